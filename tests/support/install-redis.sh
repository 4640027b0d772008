#!/bin/sh
# Installs Debian's redis-server, for the tests: they start their own, on a port of their own.
set -eu
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "the tests need redis-server on the PATH: it takes Debian and root to install it" >&2
  exit 1
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ apt-get update && apt-get install -y --no-install-recommends redis-server; } >"$log" 2>&1 || {
  tail -20 "$log" >&2
  exit 1
}
