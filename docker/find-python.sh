#!/bin/sh
# Prints the path of a CPython of the given version, from the PATH or from pyenv's folder. Each candidate
# has to prove its version and that it can make virtual environments: a pyenv shim exists for versions
# that its settings do not allow, and Debian's python3 comes without ensurepip.
# Usage: find-python.sh 3.10
set -eu
want=$1

for python in "python$want" "$(pyenv root 2>/dev/null || :)/versions/$want".*/bin/python; do
  found=$("$python" -c '
import ensurepip, sys, venv
print(sys.executable if "%d.%d" % sys.version_info[:2] == sys.argv[1] else "")
' "$want" 2>/dev/null) || continue
  [ -z "$found" ] || { echo "$found"; exit; }
done

echo "No Python $want with venv found, neither python$want on the PATH nor in pyenv's folder." >&2
exit 1
