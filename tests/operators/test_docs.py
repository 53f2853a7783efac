"""The documentation builds without a broken link, its generated pages are current, and the tutorial's commands work as they stand."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from make.reference import PAGES
from tests.operators.conftest import ROOT, aep_bridge
from tests.support.kafka import Kafka
from tests.support.ports import free_port

TUTORIAL = ROOT / "docs" / "tutorial" / "first-delivery.md"


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_current(name: str) -> None:
    """What is in the repository is what the code says now."""
    assert PAGES[name]() == (ROOT / "docs" / "reference" / name).read_text(), "run make docs-generate"


def test_the_site_builds_and_a_broken_link_is_an_error(tmp_path: Path) -> None:
    """Strict: the site as it is builds; with a link to nowhere, or to an anchor that is not there, it does not."""

    def build(folder: Path) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--strict",
            "--config-file",
            str(folder / "mkdocs.yml"),
            "--site-dir",
            str(tmp_path / "site"),
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)

    done = build(ROOT)
    assert done.returncode == 0, done.stderr
    assert "https://fonts.g" not in (tmp_path / "site" / "index.html").read_text()
    for name in ("docs", "make"):
        shutil.copytree(ROOT / name, tmp_path / "copy" / name)
    shutil.copy(ROOT / "mkdocs.yml", tmp_path / "copy")
    for name in ("helm/aep-bridge/README.md", "config/minimal.yaml", "config/aep-bridge.yaml"):
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / name).touch()
    for broken in ("[x](nowhere.md)", "[x](how-to/tune.md#nowhere)"):
        (tmp_path / "copy" / "docs" / "index.md").write_text(f"# x\n\n{broken}\n")
        failed = build(tmp_path / "copy")
        assert failed.returncode != 0
        assert "nowhere" in failed.stderr


def test_completion_is_there() -> None:
    """The shell can be told of every command."""
    text = (ROOT / "docs" / "reference" / "commands.md").read_text()

    assert all(
        f"\n## {name}\n" in text
        for name in ("init", "status", "check", "config explain", "dlq replay", "simulate")
    )
    assert "--install-completion" in aep_bridge("--help").stdout
    assert "COMPREPLY" in aep_bridge(code=None, _AEP_BRIDGE_COMPLETE="source_bash").stdout
    assert (
        "dlq"
        in aep_bridge(
            code=None, _AEP_BRIDGE_COMPLETE="complete_bash", COMP_WORDS="aep-bridge dl", COMP_CWORD="1"
        ).stdout.split()
    )


@pytest.mark.timeout(170)
def test_every_block_of_the_tutorial_runs(kafka: Kafka, tmp_path: Path) -> None:
    """All blocks, in order, in one shell, as a reader pastes them. Only addresses differ, and `make demo` runs without its installation."""
    blocks = re.findall(r"^```sh\n(.*?)^```", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 11
    assert "$(PY) -m bridge demo\n" in (ROOT / "Makefile").read_text()
    admin, aep = free_port(), free_port()
    script = "set -e\n" + "\n".join(f'echo "=== {number}"\n{block}' for number, block in enumerate(blocks))
    script = script.replace("make demo", "python -m bridge demo").replace("localhost:9092", kafka.bootstrap())
    script = script.replace("9299", str(aep)).replace("127.0.0.1:8080", f"127.0.0.1:{admin}")
    with tempfile.TemporaryFile("w+") as output:
        environ = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "AEP_BRIDGE_ADMIN__PORT": str(admin),
        }
        shell = subprocess.Popen(
            ["bash", "-c", "set -m\n" + script],
            cwd=tmp_path,
            env=environ,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = shell.wait(150)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            _end(shell.pid)
        output.seek(0)
        said = output.read()

    assert code in (0, 143), said[-4000:]
    assert "=== 10" in said
    assert '"lost": 0' in said.partition("=== 1\n")[0]
    assert '"title"' in said
    assert "wrong ims org" in said
    assert '"replay": 2' in said
    assert '"accepted": 2' in said
    assert (tmp_path / "bridge.log").read_text().count("bridge.stopped")


def _end(session: int) -> None:
    """Ends what the tutorial's shell started: the processes of its session, each by its id."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                os.kill(int(folder.name), signal.SIGKILL)
        except (OSError, ValueError):
            continue
