"""The image, run as Kubernetes' profile "restricted" would: its own user, read-only root, no capabilities."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

KIT = Path(__file__).parent / "kit.sh"
IMAGE = os.environ.get("BRIDGE_IMAGE", "localhost/aep-bridge:0.1.0")
LIMIT_MB = 150
"""Megabytes that the image may have above its base."""


def run(*args: str, extra: str = "") -> subprocess.CompletedProcess[str]:
    """Runs the image."""
    return subprocess.run(
        [KIT, "image/run.sh", IMAGE, *args],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "RUN_EXTRA": extra},
    )


def python(script: str) -> str:
    """What a script prints inside the image."""
    done = run("-c", script, extra="--entrypoint python")

    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def inspect(image: str) -> dict[str, object]:
    """What the image's store says of it."""
    done = subprocess.run(
        [KIT, "image/in-store.sh", "podman", "image", "inspect", image],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, object] = json.loads(done.stdout)[0]
    return found


def test_version() -> None:
    """The entry point is the bridge."""
    from bridge import __version__

    assert run("--version").stdout.strip() == f"aep-bridge {__version__}"


def test_demo() -> None:
    """The demo works in it, and loses nothing."""
    done = run("demo", "--events", "1000", "--output", "json")
    report = json.loads(done.stdout)

    assert done.returncode == 0, done.stderr
    assert report["lost"] == report["wrongly_dead_lettered"] == report["duplicates"] == 0
    assert report["accepted"] + report["dead_lettered"] == report["produced"]


def test_nothing_is_left_over() -> None:
    """A numeric user that owns nothing of the installation; no pip, no compiler, no cache."""
    said = python(
        "import os, shutil, importlib.util, pathlib\n"
        "print(os.getuid(), os.access('/opt/aep-bridge', os.W_OK), [n for n in ('pip', 'gcc', 'cc', 'make') if shutil.which(n)],\n"
        "      importlib.util.find_spec('pip'),\n"
        "      any(map(os.path.exists, (os.path.expanduser('~root/.cache'), '/src', '/dist', '/opt/build'))))"
    )

    assert said == "65532 False [] None False"


def test_labels_and_size() -> None:
    """OCI labels are there, and the size is reported: its own and above its base."""
    image = inspect(IMAGE)
    labels = image["Labels"]
    size, base = int(str(image["Size"])), int(str(inspect("localhost/python-base:slim")["Size"]))
    print(f"\n{IMAGE}: {size / 1e6:.0f} MB, of which its base {base / 1e6:.0f} MB")

    assert isinstance(labels, dict)
    assert labels.keys() >= {
        f"org.opencontainers.image.{name}"
        for name in ("title", "description", "licenses", "version", "revision")
    }
    assert (size - base) / 1e6 < LIMIT_MB


def test_sigterm_reaches_the_bridge() -> None:
    """Process 1 is the bridge itself: a SIGTERM ends it with 0, at once where nothing is to be drained."""
    config = "kafka: {bootstrap_servers: '127.0.0.1:1'}\naep: {inlet_url: 'http://127.0.0.1:1/collection/abc'}\ntopics: [{topic: t}]\nadmin: {port: 0}\n"
    folder = Path(os.environ["OUT"]) if "OUT" in os.environ else Path("/tmp")
    path = folder / "bridge-sigterm.yaml"
    path.write_text(config)
    path.chmod(0o644)
    name = f"sigterm-{os.getpid()}"
    process = subprocess.Popen(
        [KIT, "image/run.sh", IMAGE, "run", "--config", "/config.yaml"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "RUN_EXTRA": f"--name {name} -v {path}:/config.yaml:ro"},
    )  # fmt: skip
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "bridge.started" in line:
            break
    time.sleep(1)
    started = time.monotonic()
    subprocess.run(
        [KIT, "image/in-store.sh", "podman", "kill", "--signal", str(int(signal.SIGTERM)), name],
        capture_output=True,
        check=False,
    )
    rest = process.communicate(timeout=40)[0]

    assert process.returncode == 0, "".join(said) + rest
    assert "bridge.stopped" in rest
    assert time.monotonic() - started < 20
