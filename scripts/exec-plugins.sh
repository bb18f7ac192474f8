#!/usr/bin/env bash
# Attach a container's namespace to all networks in NETCONFPATH, or detach it.
#
#   CNI_PATH=/opt/cni/bin scripts/exec-plugins.sh add|del CONTAINER-ID NETNS-PATH
set -euo pipefail
[[ ${DEBUG:-0} -gt 0 ]] && set -x
. "$(dirname "$0")/cnifast.sh"

if [[ $# -ne 3 || ! $1 =~ ^(add|del)$ ]]; then
    echo "Usage: $0 add|del CONTAINER-ID NETNS-PATH" >&2
    exit 1
fi
# Results are only shown to those who debug.
[[ ${DEBUG:-0} -gt 0 ]] || exec >/dev/null
exec "$CNIFAST" "$1" --all --container-id "$2" "$3"
