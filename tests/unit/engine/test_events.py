"""The engine's events: each hook reaches the observers that override it, in the order of the list."""

from __future__ import annotations

import pytest

from bridge.engine.events import Observer, Observers
from tests.support.recording_observer import RecordingObserver

HOOKS = [name for name in dir(Observer) if not name.startswith("_")]


def overriding(hook: str, name: str, calls: list[tuple[str, object]]) -> Observer:
    """Return an observer whose class overrides this hook, and which enters every call."""

    def note(self: Observer, event: object) -> None:
        calls.append((name, event))

    return type("Overriding", (Observer,), {hook: note})()


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_reaches_every_observer_in_the_lists_order(hook: str, count: int) -> None:
    """Metrics and logs are observers: a hook that is not passed on is a metric that stays at zero."""
    calls: list[tuple[str, object]] = []
    names = [f"observer-{number}" for number in range(count)]
    observers = Observers([overriding(hook, name, calls) for name in names])
    event = object()
    getattr(observers, hook)(event)

    assert calls == [(name, event) for name in names]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_an_instance_was_given_counts_as_overridden(hook: str) -> None:
    """Between two observers that override it in their class: the order of the list holds for all of them."""
    calls: list[tuple[str, object]] = []
    recording = RecordingObserver()
    first, last = overriding(hook, "first", calls), overriding(hook, "last", calls)
    setattr(recording, hook, lambda event: calls.append(("recording", event)))
    event = object()
    getattr(Observers([first, recording, last]), hook)(event)

    assert calls == [("first", event), ("recording", event), ("last", event)]


@pytest.mark.parametrize("hook", HOOKS)
def test_an_observer_that_overrides_nothing_is_never_called(
    hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hooks run on the engine's thread, for each request: what nobody observes must cost nothing."""
    calls: list[object] = []

    def inherited(self: Observer, event: object) -> None:
        calls.append(event)

    monkeypatch.setattr(Observer, hook, inherited)
    silent, recording = Observer(), RecordingObserver()
    for observers in ([silent], [silent, recording], [silent, silent]):
        getattr(Observers(observers), hook)("event")

    assert calls == []
    assert recording.log == ["event"]
