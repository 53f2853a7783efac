"""The wheel that users install holds the whole package and nothing else, and runs on its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bridge import __version__
from tests.operators.conftest import ROOT

pytestmark = pytest.mark.timeout(120)

RUN = """
import sys
from importlib.metadata import distribution
import bridge
assert bridge.__file__.startswith(sys.path[0]), bridge.__file__
from bridge.ops.status_page import page
assert b"<title>aep-bridge</title>" in page()
sys.argv = ["aep-bridge", *sys.argv[1:]]
script = next(each for each in distribution("aep-bridge").entry_points if each.group == "console_scripts")
assert script.name == "aep-bridge"
script.load()()
"""


def test_the_wheel_is_whole_and_runs(tmp_path: Path) -> None:
    """Each file of bridge/ is in it, the status page too. Unpacked elsewhere, its script works."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
        metadata = archive.read(f"aep_bridge-{__version__}.dist-info/METADATA").decode()
        archive.extractall(tmp_path / "installed")
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "bridge").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "bridge/ops/status_page/page.html" in inside
    assert package == {name for name in inside if ".dist-info/" not in name}
    assert set(re.findall(r"^Requires-Dist: ([\w-]+)", metadata, re.MULTILINE)) >= {
        "confluent-kafka",
        "jsonpatch",
        "typer",
    }

    def aep_bridge(*words: str) -> str:
        command = [
            sys.executable,
            "-P",
            "-c",
            f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r})\n{RUN}",
            *words,
        ]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": ""},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert aep_bridge("--version") == f"aep-bridge {__version__}\n"
    assert '"lost": 0' in aep_bridge("demo", "--events", "400", "-o", "json")
