#!/bin/sh
# Builds the virtual environment with every extra: what deploy/locks names, and nothing that has another hash.
set -eu

venv=${1:?"usage: deploy/venv.sh DIRECTORY"}

pip() {
  "$venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"
}

for python in python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
  if $python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    [ -x "$venv/bin/python" ] || $python -m venv "$venv"
    echo "banstream: installing Python packages into $venv"
    # First the pip that is locked. Nothing needs the setuptools that a new environment may bring.
    pip install --require-hashes --requirement deploy/locks/build.lock
    pip install --require-hashes --requirement deploy/locks/dev.lock
    pip uninstall --yes setuptools 2>/dev/null
    pip install --no-deps --no-build-isolation --editable .
    exit 0
  fi
done
echo "banstream: needs Python 3.11 or newer with venv (Debian: apt-get install python3-venv)." >&2
exit 3
