"""The image, run as Kubernetes' profile "restricted" does: own user, read-only root, no capabilities."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from bridge import __version__

KIT = Path(__file__).parent / "kit.sh"
IMAGE = os.environ.get("BRIDGE_IMAGE", "localhost/aep-bridge:0.1.0")
BASE_IMAGE = "localhost/python-base:slim"
MAX_ADDED_MB = 150
"""Megabytes that the image may add to its base."""
LABELS = ("title", "description", "licenses", "version", "revision")

FIND_LEFTOVERS = r"""
import importlib.util, os, shutil
tools = [name for name in ('pip', 'gcc', 'cc', 'make') if shutil.which(name)]
leftovers = (os.path.expanduser('~root/.cache'), '/src', '/dist', '/opt/build')
print(os.getuid(), os.access('/opt/aep-bridge', os.W_OK), tools, importlib.util.find_spec('pip'),
      any(map(os.path.exists, leftovers)))
"""

CONFIGURATION = """\
kafka: {bootstrap_servers: '127.0.0.1:1'}
aep: {inlet_url: 'http://127.0.0.1:1/collection/abc'}
topics: [{topic: t}]
admin: {port: 0}
"""


def run_image(*args: str, options: str = "") -> subprocess.CompletedProcess[str]:
    """Run the image with these arguments. `options` are those of the container."""
    return subprocess.run(
        [KIT, "image/run.sh", IMAGE, *args],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "RUN_EXTRA": options},
    )


def run_python(script: str) -> str:
    """Return what a script prints inside of the image."""
    done = run_image("-c", script, options="--entrypoint python")

    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def inspect(image: str) -> dict[str, object]:
    """Return what the image store knows about an image."""
    command = [KIT, "image/in-store.sh", "podman", "image", "inspect", image]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    description: dict[str, object] = json.loads(done.stdout)[0]
    return description


def test_the_entry_point_is_the_bridge() -> None:
    """Arguments of the container are those of `aep-bridge`."""
    assert run_image("--version").stdout.strip() == f"aep-bridge {__version__}"


def test_the_demo_runs_and_loses_nothing() -> None:
    """A user can try the image without anything else."""
    done = run_image("demo", "--events", "1000", "--output", "json")
    report = json.loads(done.stdout)

    assert done.returncode == 0, done.stderr
    assert report["lost"] == 0
    assert report["wrongly_dead_lettered"] == 0
    assert report["duplicates"] == 0
    assert report["accepted"] + report["dead_lettered"] == report["produced"]


def test_nothing_of_the_build_is_left() -> None:
    """The user is numeric and can't write to the installation, and there is no pip, compiler or cache."""
    assert run_python(FIND_LEFTOVERS) == "65532 False [] None False"


def test_the_image_has_labels_and_adds_little_to_its_base() -> None:
    """The OCI labels are there. The sizes are printed."""
    image = inspect(IMAGE)
    labels = image["Labels"]
    size, base_size = int(str(image["Size"])), int(str(inspect(BASE_IMAGE)["Size"]))
    print(f"\n{IMAGE}: {size / 1e6:.0f} MB, of which its base {base_size / 1e6:.0f} MB")

    assert isinstance(labels, dict)
    assert labels.keys() >= {f"org.opencontainers.image.{name}" for name in LABELS}
    assert (size - base_size) / 1e6 < MAX_ADDED_MB


def test_sigterm_reaches_the_bridge() -> None:
    """Process 1 is the bridge itself: a SIGTERM ends it with 0, and at once if nothing is to be drained."""
    folder = Path(os.environ["OUT"]) if "OUT" in os.environ else Path("/tmp")
    path = folder / "bridge-sigterm.yaml"
    path.write_text(CONFIGURATION)
    path.chmod(0o644)
    name = f"sigterm-{os.getpid()}"
    process = subprocess.Popen(
        [KIT, "image/run.sh", IMAGE, "run", "--config", "/config.yaml"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "RUN_EXTRA": f"--name {name} -v {path}:/config.yaml:ro"},
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "bridge.started" in line:
            break
    time.sleep(1)
    started = time.monotonic()
    kill = ["podman", "kill", "--signal", str(int(signal.SIGTERM)), name]
    subprocess.run([KIT, "image/in-store.sh", *kill], capture_output=True, check=False)
    rest = process.communicate(timeout=40)[0]

    assert process.returncode == 0, "".join(lines) + rest
    assert "bridge.stopped" in rest
    assert time.monotonic() - started < 20
