#!/bin/sh
# Installs the programs prometheus and promtool of Debian's package into a folder, for the tests and `make dashboard`.
# The package itself is not installed: it would start a server that stays.
# Usage: install-prometheus.sh [FOLDER]
set -eu
folder=${1:-/usr/local/bin}
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "the tests need promtool on the PATH: it takes Debian and root to install it" >&2
  exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
{ apt-get update && apt-get -o APT::Sandbox::User=root download prometheus && dpkg-deb --extract ./*.deb .; } >log 2>&1 || {
  tail -20 log >&2
  exit 1
}
install usr/bin/prometheus usr/bin/promtool "$folder"
