"""The sink's process: a run gets its own result and no other's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.environment.process import ChildProcess
from bench.environment.sink_process import SinkProcess
from tests.unit.bench.environment.conftest import StartScript

WRITES_AN_OLDER_RESULT_FIRST = """
import json, sys
print(json.dumps({"port": 1}), flush=True)
for line in sys.stdin:
    run = json.loads(line)["run"]
    print(json.dumps({"run": run - 1, "messages": 5}), flush=True)
    print(json.dumps({"started": run}), flush=True)
    print(json.dumps({"run": %s, "messages": 7}), flush=True)
"""


def test_the_result_of_an_older_run_is_dropped(start_script: StartScript) -> None:
    """The result of a step that failed may come late; it must not count for the next step."""
    with start_script(WRITES_AN_OLDER_RESULT_FIRST % "run", pipes=True) as child:
        sink = SinkProcess(child, tls=False)
        for _ in range(2):
            sink.start_run(7, 1)
            assert sink.result()["messages"] == 7


def test_a_result_that_does_not_belong_to_the_run_is_an_error(start_script: StartScript) -> None:
    """A result of another run, after the run has started, can only be a fault of the bench."""
    with start_script(WRITES_AN_OLDER_RESULT_FIRST % "run - 1", pipes=True) as child:
        sink = SinkProcess(child, tls=False)
        sink.start_run(7, 1)
        with pytest.raises(RuntimeError, match="another run"):
            sink.result()


def test_the_sink_counts_what_a_client_sends(tmp_path: Path) -> None:
    """The whole process, over a socket."""
    code = (
        "import sys, urllib.request as u; "
        "[u.urlopen(sys.argv[1], b'{\"messages\":[1,2]}').read() for _ in range(3)]"
    )
    with ChildProcess(["bench.programs.sink"], tmp_path / "log", pipes=True) as child:
        sink = SinkProcess(child, tls=False)
        for _ in range(2):
            sink.start_run(6, 1, tail=2)
            subprocess.run([sys.executable, "-c", code, sink.url], check=True, timeout=30)
            result = sink.result()
            assert (result["messages"], result["requests"]) == (6, 3)
            assert result["without_tail"]["messages"] == 4
