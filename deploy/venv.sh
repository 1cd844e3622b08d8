#!/bin/sh
# Builds the virtual environment with every extra.
set -eu

venv=${1:?"usage: deploy/venv.sh DIRECTORY"}
for python in python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
  if $python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    [ -x "$venv/bin/python" ] || $python -m venv "$venv"
    echo "banstream: installing Python packages into $venv"
    exec "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
  fi
done
echo "banstream: needs Python 3.11 or newer with venv (Debian: apt-get install python3-venv)." >&2
exit 3
