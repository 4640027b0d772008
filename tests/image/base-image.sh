#!/bin/sh
# Makes FILE, the root file system of a stand-in for Docker's python:3.12-slim, of Debian's packages and a CPython 3.12
# of this machine. As in Docker's, Python's own library has no byte code. pip finds this machine's certificates.
# Usage: base-image.sh FILE
set -eu
cd "$(dirname "$0")/../.."
file=$1
python=$(sh docker/find-python.sh 3.12)
mirror=$(sh tests/image/mirror.sh)
release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/add-python" <<'HOOK'
#!/bin/sh
# Adds CPython to the root file system $1, and what Docker's image has beside it.
set -e
tar -C "$PREFIX" --exclude='*/test' --exclude='*/idlelib' --exclude='*/config-3.*' --exclude='__pycache__' \
  --exclude='*.a' --exclude='site-packages/*' -cf - bin/python3.12 lib | tar -C "$1/usr/local" -xf -
ln -s python3.12 "$1/usr/local/bin/python3"
ln -s python3.12 "$1/usr/local/bin/python"
cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/ca-certificates.crt"
printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >"$1/etc/pip.conf"
chroot "$1" sh -ec 'ldconfig; python -B -m ensurepip >/dev/null; ln -s pip3 /usr/local/bin/pip
  find /usr/local -name __pycache__ -prune -exec rm -r {} +; python -B -c "import ctypes, ssl"'
HOOK
chmod +x "$work/add-python"

needs=ca-certificates,libssl3,libffi8,libsqlite3-0,libreadline8,libuuid1,libncursesw6,libbz2-1.0,liblzma5,zlib1g
PREFIX=$("$python" -c 'import sys; print(sys.base_prefix)') eatmydata mmdebstrap --variant=minbase \
  --include="$needs,netbase,tzdata" --customize-hook="$work/add-python \"\$1\"" "$release" "$file" "$mirror"
