"""The bench's own plumbing: what it starts it ends, what it asks for it gets, and what it measured it keeps."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench import __main__ as bench
from bench.events import DATASET, ORG, OTHER, PARTITIONS, SCHEMA, SHAPES, events
from bench.farend import FarEnd
from bench.figures import Results
from bench.plan import Step
from bench.process import Child, together
from bench.sink import Sink
from bridge.codec.envelope import entity_wrapper
from bridge.codec.routes import Route
from bridge.codec.validation import group_records
from bridge.model import Format

Script = Callable[..., Child]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """A process of the bench's that runs this code."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    numbers = itertools.count()

    def start(code: str, **more: Any) -> Child:
        name = f"script_{next(numbers)}"
        (tmp_path / f"{name}.py").write_text(code)
        return Child([name], tmp_path / f"{name}.log", **more)

    return start


def _runs(pid: int) -> bool:
    """A process that nobody waited for is still listed, as Z."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _until(holds: Any) -> None:
    deadline = time.monotonic() + 10
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert holds()


def test_what_a_command_started_does_not_outlive_it(script: Script) -> None:
    """`perf` that is killed leaves the bridge that it runs behind, which would take its CPU from all that is measured next."""
    with (
        pytest.raises(ZeroDivisionError),
        script("import time; time.sleep(60)", before=["sh", "-c", '"$@"; true', "sh"]) as child,
    ):
        inner = child.inner()
        assert _runs(inner)
        assert inner != child.pid
        raise ZeroDivisionError

    _until(lambda: not _runs(inner))


COUNTS = """
import signal, sys, time
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
print("ready", flush=True)
while not told: time.sleep(0.01)
time.sleep(0.3)
sys.exit(len(told) - 1)
"""


def test_replicas_are_told_to_end_once(script: Script) -> None:
    """A second SIGTERM ends a bridge at once, with all that it has read unsettled; this one's exit code counts them."""
    with together() as children:
        children += [script(COUNTS, pipes=True) for _ in range(2)]
        assert ["ready"] * 2 == [child.hear() for child in children]

    assert [0, 0] == [child.process.returncode for child in children]


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("raise SystemExit(3)", "ended, exit code 3"),
        (COUNTS.replace("len(told) - 1", "4"), "left with exit code 4"),
    ],
)
def test_a_replica_that_does_not_end_well_fails_its_step(code: str, word: str, script: Script) -> None:
    """Whether it crashed meanwhile or when it was told to end. The others don't stay behind."""
    with pytest.raises(RuntimeError, match=word), together() as children:
        children += [script(each, pipes=True) for each in (COUNTS, code)]
        children[0].hear()
        if "3" in word:
            children[1].process.wait(10)
        else:
            children[1].hear()

    assert all(child.process.poll() is not None for child in children)


def test_whoever_waits_for_a_line_hears_that_a_replica_has_ended(script: Script) -> None:
    """Instead of waiting for the rest of three minutes."""
    with script(COUNTS, pipes=True) as one, script("raise SystemExit(3)") as two:
        one.hear()
        with pytest.raises(RuntimeError, match="exit code 3"):
            one.hear(unless_ended=[two])


BODY = b'{"messages":[1,2,3]}'


def test_a_request_belongs_to_the_order_under_which_it_began(capsys: pytest.CaptureFixture[str]) -> None:
    """What a killed bridge left under way is neither counted for the next step nor does it end it."""
    sink = Sink()
    sink.begin({"order": 1, "expect": 9, "size": 1})
    assert 3 == sink.came(memoryview(BODY), 1)
    sink.begin({"order": 2, "expect": 3, "size": 1})
    assert 0 == sink.came(memoryview(BODY), 1)
    sink.went(3, 1)
    assert 0 == sink.messages == sink.answered == sink.busy
    sink.went(sink.came(memoryview(BODY), 2), 2)

    began, again, told = map(json.loads, capsys.readouterr().out.splitlines())
    assert ({"began": 1}, {"began": 2}) == (began, again)
    assert (2, 3, 1, 1) == tuple(told[key] for key in ("order", "messages", "requests", "busiest"))


ANSWERS = """
import json, sys
print(json.dumps({"port": 1}), flush=True)
for line in sys.stdin:
    order = json.loads(line)["order"]
    print(json.dumps({"order": order - 1, "messages": 5}), flush=True)
    print(json.dumps({"began": order}), flush=True)
    print(json.dumps({"order": %s, "messages": 7}), flush=True)
"""


def test_the_result_of_an_older_order_is_dropped(script: Script) -> None:
    """It was told too late, when its step had failed; and a result that is no answer to the order is an error."""
    with script(ANSWERS % "order", pipes=True) as child:
        sink = FarEnd(child, tls=False)
        for _ in range(2):
            sink.expect(7, 1)
            assert 7 == sink.result()["messages"]
    with script(ANSWERS % "order - 1", pipes=True) as child:
        sink = FarEnd(child, tls=False)
        sink.expect(7, 1)
        with pytest.raises(RuntimeError, match="another order"):
            sink.result()


def test_the_sink_counts_what_a_client_sends(tmp_path: Path) -> None:
    """The whole process, over a socket."""
    code = "import sys, urllib.request as u; [u.urlopen(sys.argv[1], b'{\"messages\":[1,2]}').read() for _ in range(3)]"
    with Child(["bench.sink"], tmp_path / "log", pipes=True) as child:
        sink = FarEnd(child, tls=False)
        for _ in range(2):
            sink.expect(6, 1, tail=2)
            subprocess.run([sys.executable, "-c", code, sink.url], check=True, timeout=30)
            result = sink.result()
            assert (6, 3) == (result["messages"], result["requests"])
            assert 4 == result["full"][1]


def _results(part: str, rounds: list[Any], revision: str) -> Results:
    return {part: {"machine": {"revision": revision}, "command": "", "took_s": 0.0, "runs": {"a": rounds}}}


def test_a_part_that_failed_in_every_round_does_not_come_in_the_place_of_what_is_known() -> None:
    """One round is enough for it to."""
    before = {
        **_results("latency", [{"p50": 1}], "old"),
        **_results("scaling", [{"p50": 1}], "old"),
        **_results("quota", [{"p50": 1}], "old"),
    }
    found = {
        **_results("latency", [None, None], "new"),
        **_results("scaling", [None, {"p50": 2}], "new"),
        **_results("startup", [None], "new"),
    }

    revisions = {part: each["machine"]["revision"] for part, each in bench.merged(found, before).items()}
    assert {"latency": "old", "scaling": "new", "startup": "new", "quota": "old"} == revisions


class _Machine:
    """`describe`, each time a minute later and at another revision."""

    def __init__(self) -> None:
        self.minutes = itertools.count()

    def __call__(self) -> dict[str, Any]:
        minute = next(self.minutes)
        return {"date": minute, "revision": f"r{minute}"}


def test_a_step_that_fails_costs_no_other_one_and_a_part_is_dated_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The quota's topic that can't be filled too. The revision is that of the beginning."""
    from bench.machine import Lab

    def broken(*_: Any) -> str:
        raise OSError("no space left")

    dates: list[int] = []
    monkeypatch.setattr(bench, "describe", machine := _Machine())
    monkeypatch.setattr(Lab, "__enter__", lambda self: self)
    monkeypatch.setattr(Lab, "__exit__", lambda *_: None)
    monkeypatch.setattr(Lab, "filled", broken)
    step = Step("latency", "a", lambda: dates.append(next(machine.minutes)) or {"p50": 1.0})
    monkeypatch.setattr(bench, "steps", lambda *_: [step])

    results: Results = {}
    failed = bench.measure(
        bench.QUICK, ("latency", "quota"), "make bench", Console(file=io.StringIO()), results
    )
    assert [{"p50": 1.0}] == results["latency"]["runs"]["a"]
    assert {"30 ms": [None], "three replicas, 6,000/s configured": [None]} == results["quota"]["runs"]
    assert 2 == len([each for each in failed if "no space left" in each])
    assert ("r0", True) == (
        results["latency"]["machine"]["revision"],
        results["latency"]["machine"]["date"] < dates[0],
    )


@pytest.mark.parametrize(
    ("shape", "dataset"),
    [
        ("envelope", {DATASET}),
        ("two-datasets", {DATASET, OTHER}),
        ("no-dataset", {DATASET}),
        ("entity", {DATASET}),
    ],
)
def test_every_shape_of_event_becomes_messages_of_the_same_size(shape: str, dataset: set[str]) -> None:
    """The sink counts by length; datasets come in turn in each partition."""
    mapping = SHAPES[shape][1]
    wrapper = entity_wrapper(schema_id=SCHEMA, schema_version="1", ims_org_id=ORG, dataset_id=DATASET)
    route = Route("t", Format(mapping.get("format", "envelope")), "inlet", mapping.get("dataset_id"), wrapper)
    values = list(events(1000, 1024, shape))
    for partition in range(PARTITIONS):
        runs = group_records(route, values[partition::PARTITIONS])
        assert all(run.refusal is None for run in runs)
        assert {1024} == {len(piece) for run in runs for piece in run.pieces}
        assert dataset == {run.dataset for run in runs}
        assert (250 if len(dataset) == 2 else 1) == len(runs)
