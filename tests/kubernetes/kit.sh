#!/bin/bash
# usage: kit.sh SCRIPT ARGS...   runs a script of the Kubernetes kit: the folder in $KUBERNETES_KIT, or ../shared/kubernetes beside this repository
#   The kit builds helm, a control plane, KEDA, BuildKit and so on from source, keeps them under ${XDG_CACHE_HOME:-~/.cache}/aep-bridge-kubernetes,
#   and runs a cluster with one real node in a network namespace. Its README says what it needs.
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
kit=${KUBERNETES_KIT:-$root/../shared/kubernetes}
[ -x "$kit/lab.sh" ] || { echo "kit.sh: no Kubernetes kit in $kit: set KUBERNETES_KIT" >&2; exit 1; }
[ $# -gt 0 ] || { sed -n 2,4p "$0"; exit 2; }
script=$1; shift
exec "$kit/$script" "$@"
