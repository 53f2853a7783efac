#!/bin/bash
# usage: kit.sh SCRIPT ARGS...   run a script of the Kubernetes kit
#   The kit is the folder $KUBERNETES_KIT, by default ../shared/kubernetes beside this repository. It builds
#   helm, a control plane, KEDA, BuildKit and other tools from source, keeps them in
#   ${XDG_CACHE_HOME:-~/.cache}/aep-bridge-kubernetes, and runs a cluster with one real node in a network
#   namespace. Its README says what it needs.
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
kit=${KUBERNETES_KIT:-$root/../shared/kubernetes}
[ -x "$kit/lab.sh" ] || { echo "kit.sh: there is no Kubernetes kit in $kit; set KUBERNETES_KIT" >&2; exit 1; }
[ $# -gt 0 ] || { sed -n 2,6p "$0"; exit 2; }
script=$1; shift
exec "$kit/$script" "$@"
