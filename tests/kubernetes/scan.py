"""Scans manifests and Dockerfile, offline. A finding ends it with 1, unless it is among those that are explained here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "aep-bridge"
KIT = Path(
    os.environ.get("KIT")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aep-bridge-kubernetes"
)
VALUES = ("01-secrets", "03-keda-secrets", "06-static-membership", "10-network-policy")

CHECKOV = {
    "CKV_K8S_11": "no CPU limit: throttling delays heartbeats as well as requests; the request keeps the share",
    "CKV_K8S_15": "IfNotPresent: tags are never moved, and a registry that is down must not keep a pod from coming back",
    "CKV_K8S_43": "a digest can't be known before the image is pushed; image.digest takes it",
    "CKV_K8S_8": "the test's pod ends by itself",
    "CKV_K8S_9": "the test's pod ends by itself",
}
KUBE_SCORE = {
    "container-resources": "no CPU limit, as above",
    "container-image-pull-policy": "IfNotPresent, as above",
    "container-ephemeral-storage-request-and-limit": "the root is read-only and /tmp is memory: the container writes no ephemeral storage but its log",
    "deployment-replicas": "one replica is a choice of the user; nothing is lost meanwhile, Kafka keeps the records",
    "statefulset-has-host-podantiaffinity": "topologySpreadConstraints do that, and not only for two pods",
    "deployment-has-host-podantiaffinity": "topologySpreadConstraints do that, and not only for two pods",
}
DOCKERFILE = {"CKV_DOCKER_7": "the version is in the default of the argument, which checkov does not read"}


def call(*command: str | Path, stdin: str | None = None) -> str:
    """A program's output, whatever its exit code."""
    done = subprocess.run(
        [*map(str, command)], input=stdin, capture_output=True, text=True, check=False, cwd=ROOT
    )
    if not done.stdout.strip() and done.returncode not in (0, 1):
        sys.exit(f"{command[0]}: {done.stderr}")
    return done.stdout


def checkov(folder: Path, framework: str, known: dict[str, str]) -> list[str]:
    """Findings of checkov in a folder."""
    text = call(
        KIT / "scan/bin/checkov",
        "-d",
        folder,
        "--framework",
        framework,
        "--output",
        "json",
        "--quiet",
        "--compact",
        "--skip-download",
    )
    results = json.loads(text)
    failed = [
        entry
        for part in (results if isinstance(results, list) else [results])
        for entry in part.get("results", {}).get("failed_checks", [])
    ]
    return [
        f"checkov {entry['check_id']} {entry['resource']}: {entry['check_name']}"
        for entry in failed
        if entry["check_id"] not in known
    ]


def kube_score(manifests: Path) -> list[str]:
    """Findings of kube-score in a file."""
    found = []
    for item in json.loads(call(KIT / "bin/kube-score", "score", "--output-format", "json", manifests)):
        for check in item["checks"] or []:
            if check["grade"] < 7 and not check["skipped"] and check["check"]["id"] not in KUBE_SCORE:
                comments = "; ".join(comment["summary"] for comment in check["comments"] or [])
                found.append(f"kube-score {check['check']['id']} {item['object_name']}: {comments}")
    return found


def hadolint() -> list[str]:
    """Findings of hadolint."""
    return [
        f"hadolint {entry['code']} line {entry['line']}: {entry['message']}"
        for entry in json.loads(call(KIT / "scan/bin/hadolint", "-f", "json", "Dockerfile"))
    ]


def main() -> int:
    """All scanners. Prints what is not explained."""
    found = hadolint()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for values in VALUES:
            text = call(
                KIT / "bin/helm",
                "template",
                "r",
                CHART,
                "--namespace",
                "bridge",
                "-f",
                CHART / "ci" / f"{values}-values.yaml",
            )
            (folder / f"{values}.yaml").write_text(text)
            found += kube_score(folder / f"{values}.yaml")
        found += checkov(folder, "kubernetes", CHECKOV)
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "Dockerfile").write_text((ROOT / "Dockerfile").read_text())
        found += checkov(Path(name), "dockerfile", DOCKERFILE)
    print("\n".join(sorted(set(found))) or "nothing that is not explained in tests/kubernetes/scan.py")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
