#!/bin/sh
# Installs the sidecar without Docker: DIR becomes a virtual environment with the pinned packages of requirements.lock
# and this package: 340 MB. pip alone would install all that OptiLLM depends on: 7.3 GB.
# Usage: sh docker/install.sh DIR [PYTHON]
set -eu
[ $# -ge 1 ] || {
  echo "usage: sh docker/install.sh DIR [PYTHON]" >&2
  exit 2
}
case $1 in /*) dir=$1 ;; *) dir=$PWD/$1 ;; esac
if [ -e "$dir" ] && [ ! -e "$dir/pyvenv.cfg" ]; then
  echo "$dir exists and is not a virtual environment, which this would replace; name another folder." >&2
  exit 1
fi
cd "$(dirname "$0")/.."

python=${2:-python3}
# The wheel is built with pinned tools: pip would fetch the newest ones.
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
sh docker/venv.sh "$build/tools" "$python" docker/requirements-build.lock
"$build/tools/bin/python" -m hatchling build -t wheel -d "$build" >"$build/log" 2>&1 || {
  cat "$build/log" >&2
  exit 1
}

sh docker/venv.sh "$dir" "$python" docker/requirements.lock
"$dir/bin/python" -m pip install -qq --disable-pip-version-check --no-deps "$build"/*.whl
echo "Set CEREBRAS_API_KEY and run: $dir/bin/cepo-cerebras serve"
