#!/bin/sh
# Makes DIR anew: a virtual environment of PYTHON with what the LOCKs pin, and nothing else. No package is resolved and
# none is compiled from source. Each lock is installed after the one before it: a later one may replace a version. The
# editable install of this package is the Makefile's next step.
# Usage: venv.sh DIR PYTHON LOCK...
set -eu
dir=$1 python=$2
shift 2
cd "$(dirname "$0")/.."

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
  echo "$python is not Python 3.10 or later; name one: make PYTHON=python3.12 ..." >&2
  exit 1
}
rm -rf "$dir"
"$python" -m venv "$dir"

# pip.lock first: the pip that comes with Python 3.10 to 3.12 takes twice the time for the same wheels.
for lock in docker/pip.lock "$@"; do
  "$dir/bin/python" -m pip install -qq --disable-pip-version-check --no-compile --no-deps --require-hashes \
    --only-binary :all: -r "$lock"
done

# pip would compile on one processor, and the libraries' own tests too. A file that does not compile is not imported.
"$dir/bin/python" -m compileall -qq -j 0 -x '/tests/' "$dir/lib" || :
