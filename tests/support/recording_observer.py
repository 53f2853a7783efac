"""An observer that keeps every event of the engine."""

from __future__ import annotations

from typing import Any, TypeVar

from bridge.engine.events import HOOKS, Observer

T = TypeVar("T")


class RecordingObserver(Observer):
    """Keeps every event in `log`, in the order in which they happened."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        for name in HOOKS:
            setattr(self, name, self.log.append)

    def of(self, kind: type[T]) -> list[T]:
        """Return the events of one kind."""
        return [event for event in self.log if isinstance(event, kind)]
