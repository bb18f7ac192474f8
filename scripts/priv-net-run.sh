#!/usr/bin/env bash
# Run a command in a network namespace of its own, attached to all networks in NETCONFPATH.
#
#   CNI_PATH=/opt/cni/bin scripts/priv-net-run.sh ifconfig
set -euo pipefail
[[ ${DEBUG:-0} -gt 0 ]] && set -x
. "$(dirname "$0")/cnifast.sh"

if [[ $# -eq 0 ]]; then
    echo "Usage: $0 COMMAND [ARGUMENT...]" >&2
    exit 1
fi
exec "$CNIFAST" run -- "$@"
