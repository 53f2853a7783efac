"""The documentation builds without a broken link, is current, and its tutorial works."""

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
LINKED_FROM_DOCS = ("helm/aep-bridge/README.md", "config/minimal.yaml", "config/aep-bridge.yaml")
"""Files outside of docs/ that its pages link to."""
ENDED_BY_THE_TUTORIAL = 128 + signal.SIGTERM
"""The shell's exit code if the tutorial's last command is ended by its own `kill`."""


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_current(name: str) -> None:
    """What is in the repository is what the code says now."""
    assert PAGES[name]() == (ROOT / "docs" / "reference" / name).read_text(), "run make docs-generate"


def build_site(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    command += ["--config-file", str(folder / "mkdocs.yml"), "--site-dir", str(site)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize("command", ["check", "dlq replay", "status"])
def test_the_exit_codes_of_a_command_are_on_their_page(command: str) -> None:
    """A help text that is wrapped in the middle of its exit codes once took them off the page."""
    assert f"\n| `{command}` | 0 " in PAGES["exit-codes.md"]()


def test_the_site_builds_and_a_broken_link_is_an_error(tmp_path: Path) -> None:
    """With a link to a page or an anchor that does not exist, the build fails and names it."""
    site, copy = tmp_path / "site", tmp_path / "copy"
    done = build_site(ROOT, site)
    assert done.returncode == 0, done.stderr
    assert "https://fonts.g" not in (site / "index.html").read_text()

    for name in ("docs", "make"):
        shutil.copytree(ROOT / name, copy / name)
    shutil.copy(ROOT / "mkdocs.yml", copy)
    for name in LINKED_FROM_DOCS:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).touch()
    for link in ("[x](nowhere.md)", "[x](how-to/tune.md#nowhere)"):
        (copy / "docs" / "index.md").write_text(f"# x\n\n{link}\n")
        failed = build_site(copy, site)
        assert failed.returncode != 0
        assert "nowhere" in failed.stderr


def test_the_shell_completes_every_command() -> None:
    """Completion can be installed, and it finds commands of commands too."""
    commands = ("init", "status", "check", "config explain", "dlq replay", "simulate")
    text = (ROOT / "docs" / "reference" / "commands.md").read_text()
    script = aep_bridge(code=None, _AEP_BRIDGE_COMPLETE="source_bash").stdout
    typed = {"COMP_WORDS": "aep-bridge dl", "COMP_CWORD": "1"}
    completions = aep_bridge(code=None, _AEP_BRIDGE_COMPLETE="complete_bash", **typed).stdout.split()

    assert [name for name in commands if f"\n## {name}\n" not in text] == []
    assert "--install-completion" in aep_bridge("--help").stdout
    assert "COMPREPLY" in script
    assert "dlq" in completions


@pytest.mark.timeout(170)
def test_every_block_of_the_tutorial_runs(kafka: Kafka, tmp_path: Path) -> None:
    """All blocks run in order in one shell, as a reader pastes them.

    Only addresses differ, and `make demo` runs without its installation.
    """
    blocks = re.findall(r"^```sh\n(.*?)^```", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 11
    assert "$(PY) -m bridge demo\n" in (ROOT / "Makefile").read_text()
    admin_port, aep_port = free_port(), free_port()
    script = "set -e\n" + "\n".join(f'echo "=== {number}"\n{block}' for number, block in enumerate(blocks))
    for original, replacement in (
        ("make demo", "python -m bridge demo"),
        ("localhost:9092", kafka.bootstrap()),
        ("9299", str(aep_port)),
        ("127.0.0.1:8080", f"127.0.0.1:{admin_port}"),
    ):
        script = script.replace(original, replacement)
    environ = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AEP_BRIDGE_ADMIN__PORT": str(admin_port),
    }
    with tempfile.TemporaryFile("w+") as output:
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
            kill_session(shell.pid)
        output.seek(0)
        text = output.read()

    assert code in {0, ENDED_BY_THE_TUTORIAL}, text[-4000:]
    assert "=== 10" in text
    assert '"lost": 0' in text.partition("=== 1\n")[0]
    assert '"title"' in text
    assert "wrong ims org" in text
    assert '"replay": 2' in text
    assert '"accepted": 2' in text
    assert "bridge.stopped" in (tmp_path / "bridge.log").read_text()


def kill_session(session: int) -> None:
    """Kill what the tutorial's shell started: the processes of its session, each by its id."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                os.kill(int(folder.name), signal.SIGKILL)
        except (OSError, ValueError):
            continue
