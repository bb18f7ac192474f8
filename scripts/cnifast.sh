# How scripts of this directory find the command; to be sourced.  On PATH, else in the checkout.

CNIFAST=$(command -v cnifast) || CNIFAST=$(dirname "${BASH_SOURCE[0]}")/../.venv/bin/cnifast
if [[ ! -x $CNIFAST ]]; then
    echo "there is no cnifast on PATH: pip install ." >&2
    exit 1
fi
