# What scripts of this directory share; to be sourced.  Works for root and for users with sudo, on a
# Debian with nothing but Python: what is missing is installed by apt and, into .venv, by pip.

VENV=${CNIFAST_VENV:-.venv}

# as_root CMD...: run a command as root, where that can be had.
as_root() {
    if [ "$(id -u)" = 0 ] || ! command -v sudo >/dev/null; then "$@"; else sudo -E "$@"; fi
}

# need_packages NAME...: install the Debian packages that are not there yet.
need_packages() {
    local missing=() name
    for name in "$@"; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
    done
    [ ${#missing[@]} = 0 ] && return
    if ! command -v apt-get >/dev/null; then
        echo "missing, and no apt-get to install them: ${missing[*]}" >&2
        return 1
    fi
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${missing[@]}" >/dev/null
}

# need_venv: make .venv with the first python3 that is 3.11 or newer, and what building takes.
need_venv() {
    local python=${PYTHON:-python3}
    need_packages gcc libc6-dev
    command -v "$python" >/dev/null || need_packages python3
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "$python is older than 3.11" >&2
        return 1
    }
    # A distribution's Python comes in parts; others are whole.
    "$python" -c 'import ensurepip, venv' 2>/dev/null || need_packages python3-venv
    "$python" -c 'import os, sysconfig as s, sys
sys.exit(not os.path.exists(s.get_path("include") + "/Python.h"))' || need_packages python3-dev
    [ -x "$VENV/bin/python" ] || "$python" -m venv "$VENV"
    # --group, by which pyproject.toml names what tests need, is as young as that.
    "$VENV/bin/python" -m pip install -q --upgrade 'pip>=25.1'
}
