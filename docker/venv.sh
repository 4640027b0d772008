#!/bin/sh
# Makes DIR anew: a virtual environment of PYTHON with what the locks pin, and nothing else. No package is
# resolved and none compiled. The editable install of this package is the Makefile's next step.
# Usage: venv.sh DIR PYTHON [LOCK]     LOCK: another OptiLLM's, installed over that of requirements.lock
set -eu
dir=$1 python=$2 other=${3:-}
cd "$(dirname "$0")/.."

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
  echo "$python is not Python 3.10 or later; name one: make PYTHON=python3.12 ..." >&2
  exit 1
}
rm -rf "$dir"
"$python" -m venv "$dir"

install() {
  "$dir/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --require-hashes --only-binary :all: "$@"
}
install -r docker/requirements.lock -r docker/requirements-dev.lock
[ -z "$other" ] || install -r "$other"
