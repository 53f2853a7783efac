"""The sink's process as the bench talks to it: start a run, and get the run's result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from typing import Any

from bench.environment.process import ChildProcess

_INLET = "0123456789abcdef" * 4


class SinkProcess:
    """A sink that is running, and the port at which it listens. `bench.programs.sink` describes its lines."""

    def __init__(self, child: ChildProcess, *, tls: bool) -> None:
        self.child, self.tls = child, tls
        self.port: int = json.loads(child.read_line())["port"]
        self._numbers, self._run = count(1), 0

    @property
    def url(self) -> str:
        """The inlet's address."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}/collection/{_INLET}"

    def start_run(self, messages: int, size: int, **options: Any) -> None:
        """Have the sink count from zero until so many messages of this size have been answered.

        Results of older runs, which may still come, are dropped.
        """
        self._run = next(self._numbers)
        self.child.request(
            json.dumps({"run": self._run, "expect": messages, "size": size, **options}),
            json.dumps({"started": self._run}),
        )

    def result(self, unless_ended: Sequence[ChildProcess] = ()) -> dict[str, Any]:
        """Wait for the run's result.

        Raise RuntimeError when one of `unless_ended` ends before, and when the line belongs to another run.
        """
        result: dict[str, Any] = json.loads(self.child.read_line(unless_ended=unless_ended))
        if result.get("run") != self._run:
            raise RuntimeError(
                f"the sink sent the result of another run than {self._run}: {str(result)[:200]}"
            )
        return result
