#!/bin/sh
# Installs a package of Debian, for the tests: redis-server, which they start on a port of their own, or chromium.
# Usage: install-package.sh NAME
set -eu
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "the tests need $1 on the PATH: it takes Debian and root to install it" >&2
  exit 1
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ apt-get update && apt-get install -y --no-install-recommends "$1"; } >"$log" 2>&1 || {
  tail -20 "$log" >&2
  exit 1
}
