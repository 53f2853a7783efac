"""Scan manifests and Dockerfile, offline. A finding ends the program with 1, unless it is explained here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "aep-bridge"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
KIT = Path(os.environ.get("KIT") or _CACHE / "aep-bridge-kubernetes")
VALUE_SETS = ("01-secrets", "03-keda-secrets", "06-static-membership", "10-network-policy")

NO_CPU_LIMIT = "throttling would delay heartbeats as well as requests; the CPU request guarantees the share"
PULL_IF_NOT_PRESENT = "tags are never moved, and a pod must come back while the registry is down"
SPREAD = "topologySpreadConstraints do that, and for more than two pods"
TEST_POD_ENDS = "the pod of `helm test` ends by itself"
LITTLE_STORAGE = "the root is read-only and /tmp is memory, so the container writes nothing but its log"

CHECKOV_EXPLAINED = {
    "CKV_K8S_11": NO_CPU_LIMIT,
    "CKV_K8S_15": PULL_IF_NOT_PRESENT,
    "CKV_K8S_43": "a digest is not known before the image is pushed; a user can set image.digest",
    "CKV_K8S_8": TEST_POD_ENDS,
    "CKV_K8S_9": TEST_POD_ENDS,
}
KUBE_SCORE_EXPLAINED = {
    "container-resources": NO_CPU_LIMIT,
    "container-image-pull-policy": PULL_IF_NOT_PRESENT,
    "container-ephemeral-storage-request-and-limit": LITTLE_STORAGE,
    "deployment-replicas": "one replica is the user's choice; Kafka keeps the records, so nothing is lost",
    "statefulset-has-host-podantiaffinity": SPREAD,
    "deployment-has-host-podantiaffinity": SPREAD,
}
DOCKERFILE_EXPLAINED = {
    "CKV_DOCKER_7": "the version is in the default of the argument, which checkov does not read"
}


def output_of(*command: str | Path, stdin: str | None = None) -> str:
    """Return a program's output, whatever its exit code. Without output, exit code 0 or 1 is expected."""
    words = [*map(str, command)]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False, cwd=ROOT)
    if not done.stdout.strip() and done.returncode not in {0, 1}:
        sys.exit(f"{command[0]}: {done.stderr}")
    return done.stdout


def checkov(folder: Path, framework: str, explained: Mapping[str, str]) -> list[str]:
    """Return the findings of checkov in a folder that are not explained."""
    options = ("--output", "json", "--quiet", "--compact", "--skip-download")
    results = json.loads(
        output_of(KIT / "scan/bin/checkov", "-d", folder, "--framework", framework, *options)
    )
    failed: list[dict[str, str]] = []
    for part in results if isinstance(results, list) else [results]:
        failed += part.get("results", {}).get("failed_checks", [])
    return [
        f"checkov {check['check_id']} {check['resource']}: {check['check_name']}"
        for check in failed
        if check["check_id"] not in explained
    ]


def kube_score(manifests: Path) -> list[str]:
    """Return the findings of kube-score in a file that are not explained."""
    findings = []
    objects = json.loads(output_of(KIT / "bin/kube-score", "score", "--output-format", "json", manifests))
    for item in objects:
        for check in item["checks"] or []:
            check_id = check["check"]["id"]
            if check["grade"] < 7 and not check["skipped"] and check_id not in KUBE_SCORE_EXPLAINED:
                comments = "; ".join(comment["summary"] for comment in check["comments"] or [])
                findings.append(f"kube-score {check_id} {item['object_name']}: {comments}")
    return findings


def hadolint() -> list[str]:
    """Return the findings of hadolint."""
    findings = json.loads(output_of(KIT / "scan/bin/hadolint", "-f", "json", "Dockerfile"))
    return [f"hadolint {entry['code']} line {entry['line']}: {entry['message']}" for entry in findings]


def render(value_set: str) -> str:
    """Return the manifests of a value set."""
    values = CHART / "ci" / f"{value_set}-values.yaml"
    return output_of(KIT / "bin/helm", "template", "r", CHART, "--namespace", "bridge", "-f", values)


def main() -> int:
    """Run all scanners, print what is not explained, and return the exit code."""
    findings = hadolint()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for value_set in VALUE_SETS:
            path = folder / f"{value_set}.yaml"
            path.write_text(render(value_set))
            findings += kube_score(path)
        findings += checkov(folder, "kubernetes", CHECKOV_EXPLAINED)
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "Dockerfile").write_text((ROOT / "Dockerfile").read_text())
        findings += checkov(Path(name), "dockerfile", DOCKERFILE_EXPLAINED)
    print("\n".join(sorted(set(findings))) or "every finding is explained in tests/kubernetes/scan.py")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
