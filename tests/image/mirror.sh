#!/bin/sh
# Prints the address of this machine's first source of Debian packages.
set -eu
found=$(find /etc/apt \( -name '*.sources' -o -name '*.list' \) -exec \
  sed -nE 's/^(URIs:|deb( \[[^]]*\])?) +([^ ]+).*/\3/p' {} +)
[ -n "$found" ] || {
  echo "no package source in /etc/apt" >&2
  exit 1
}
echo "$found" | head -n 1
