"""A child process does not outlive its context, and a replica that fails makes its step fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from bench.environment.process import replicas
from tests.unit.bench.environment.conftest import StartScript


def _is_running(pid: int) -> bool:
    """A process that has ended, and whose parent has not waited for it, is still listed, in the state Z."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def test_a_process_does_not_outlive_the_wrapper_that_started_it(start_script: StartScript) -> None:
    """A killed `perf` leaves the bridge behind, whose CPU all later steps would lack."""
    with (
        pytest.raises(ZeroDivisionError),
        start_script("import time; time.sleep(60)", wrapper=["sh", "-c", '"$@"; true', "sh"]) as child,
    ):
        wrapped = child.wrapped_pid()
        assert _is_running(wrapped)
        assert wrapped != child.pid
        raise ZeroDivisionError

    _wait_until(lambda: not _is_running(wrapped))


EXITS_WITH_ITS_SIGTERMS_LESS_ONE = """
import signal, sys, time
signals = []
signal.signal(signal.SIGTERM, lambda *_: signals.append(1))
print("ready", flush=True)
while not signals: time.sleep(0.01)
time.sleep(0.3)
sys.exit(len(signals) - 1)
"""


def test_a_replica_gets_one_sigterm_only(start_script: StartScript) -> None:
    """A second SIGTERM ends a bridge at once, with all records that it has read unsettled."""
    with replicas() as children:
        children += [start_script(EXITS_WITH_ITS_SIGTERMS_LESS_ONE, pipes=True) for _ in range(2)]
        assert [child.read_line() for child in children] == ["ready"] * 2

    assert [child.process.returncode for child in children] == [0, 0]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("raise SystemExit(3)", "ended, exit code 3"),
        (EXITS_WITH_ITS_SIGTERMS_LESS_ONE.replace("len(signals) - 1", "4"), "left with exit code 4"),
    ],
)
def test_a_replica_that_does_not_end_cleanly_fails_its_step(
    code: str, error: str, start_script: StartScript
) -> None:
    """Both when it ends by itself and when it ends badly after SIGTERM. The other replicas are killed."""
    with pytest.raises(RuntimeError, match=error), replicas() as children:
        children += [start_script(each, pipes=True) for each in (EXITS_WITH_ITS_SIGTERMS_LESS_ONE, code)]
        children[0].read_line()
        if "3" in error:
            children[1].process.wait(10)
        else:
            children[1].read_line()

    assert all(child.process.poll() is not None for child in children)


def test_waiting_for_a_line_ends_when_a_replica_has_ended(start_script: StartScript) -> None:
    """Without the replica no line can come: the bench must not wait for the rest of three minutes."""
    with (
        start_script(EXITS_WITH_ITS_SIGTERMS_LESS_ONE, pipes=True) as sink,
        start_script("raise SystemExit(3)") as replica,
    ):
        sink.read_line()
        with pytest.raises(RuntimeError, match="exit code 3"):
            sink.read_line(unless_ended=[replica])
