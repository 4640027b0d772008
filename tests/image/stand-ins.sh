#!/bin/sh
# Makes FILE, a root file system with Debian's HAProxy and Redis. It stands in for the images of the profile `scale`, so
# that their settings are tried: the programs are the same, a few versions older.
# Usage: stand-ins.sh FILE
set -eu
cd "$(dirname "$0")/../.."
mirror=$(sh tests/image/mirror.sh)
release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
eatmydata mmdebstrap --variant=minbase --include=haproxy,redis-server "$release" "$1" "$mirror"
