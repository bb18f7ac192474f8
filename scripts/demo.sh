#!/usr/bin/env bash
# cnifast's main job, from nothing: installs what is missing, builds, and attaches a container to a
# bridge network on a private node, shows it, detaches it, and shows that nothing is left.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

need_venv
"$VENV/bin/pip" install -q .
as_root "$VENV/bin/cnifast" demo
