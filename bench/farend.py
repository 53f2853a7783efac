"""The sink's process, as the bench talks to it: orders, each with a number, and what came of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from typing import Any

from bench.process import Child

INLET = "0123456789abcdef" * 4


class FarEnd:
    """A sink that runs, and where it listens."""

    def __init__(self, child: Child, *, tls: bool) -> None:
        self.child, self.tls = child, tls
        self.port: int = json.loads(child.hear())["port"]
        self._numbers, self._order = count(1), 0

    @property
    def url(self) -> str:
        """The inlet's address."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}/collection/{INLET}"

    def expect(self, messages: int, size: int, **more: Any) -> None:
        """Orders it to wait for so many; `bench.sink` says what else can be told. What is still told of an older order is dropped."""
        self._order = next(self._numbers)
        self.child.ask(
            json.dumps({"order": self._order, "expect": messages, "size": size, **more}),
            json.dumps({"began": self._order}),
        )

    def result(self, unless_ended: Sequence[Child] = ()) -> dict[str, Any]:
        """What came of it. Raises RuntimeError where one of these ends before, and where the line is of another order."""
        found: dict[str, Any] = json.loads(self.child.hear(unless_ended=unless_ended))
        if found.get("order") != self._order:
            raise RuntimeError(f"the sink told of another order than {self._order}: {str(found)[:200]}")
        return found
