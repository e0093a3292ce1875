#!/usr/bin/env bash
# The unit and container tests on each Python that this project supports and this machine has.
#
# Looks on PATH, then under $PYENV_ROOT (or ~/.pyenv). Each version gets an environment of its own, .venv-3.12 and so
# on, made anew when pyproject.toml changes. Names what it did not find; fails if one run fails, or none was possible.
# Arguments go to pytest, in place of the folders.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

VERSIONS="3.11 3.12 3.13"
[ $# -gt 0 ] || set -- tests/unit tests/typing tests/docs/test_container_docs.py

find_python() { # version -> path of an interpreter that really is that version
    local candidate
    for candidate in "$(command -v "python$1" 2> /dev/null)" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
        if [ -x "$candidate" ] && "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2> /dev/null; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

prepare() { # version, interpreter: make or refresh its environment
    local venv=".venv-$1" stamp=".venv-$1/.installed"
    [ "$stamp" -nt pyproject.toml ] && return 0
    echo "Installing what the tests need into $venv (once per change of pyproject.toml) ..."
    rm -rf "$venv"
    "$2" -m venv "$venv" \
        && "$venv/bin/python" -m pip install -qq --disable-pip-version-check --editable '.[embedded,fastapi,examples,dev]' \
        && touch "$stamp"
}

passed="" failed="" missing=""
for version in $VERSIONS; do
    if ! python=$(find_python "$version"); then
        missing="$missing $version"
        continue
    fi
    echo "== Python $version: $python"
    if prepare "$version" "$python" && ".venv-$version/bin/python" -m pytest -q -p no:cacheprovider "$@"; then
        passed="$passed $version"
    else
        failed="$failed $version"
    fi
done

echo
[ -z "$passed" ] || echo "passed on:$passed"
[ -z "$failed" ] || echo "FAILED on:$failed"
[ -z "$missing" ] || echo "not found here:$missing"
[ -z "$failed" ] && [ -n "$passed" ]
