"""An engine with scripted ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.codec.routes import Route, routes_by_topic
from bridge.engine.engine import Engine, EngineSettings
from bridge.engine.events import Observer
from bridge.model import (
    Format,
    Slice,
    TopicPartition,
)
from tests.support.engine_values import inlet
from tests.support.recording_observer import RecordingObserver
from tests.support.scripted_aep import SilentAep, healthy_aep
from tests.support.scripted_ports import ScriptedDeadLetters, ScriptedSender, ScriptedSource, VirtualTime


class Bench:
    """An engine with scripted ports."""

    def __init__(
        self,
        aep: SilentAep = healthy_aep,
        *,
        routes: Sequence[Route] = (Route("t", Format.RAW, "inlet", "ds"),),
        partitions: int = 1,
        policy: Mapping[str, Any] | None = None,
        observers: Sequence[Observer] = (),
        **settings: Any,
    ) -> None:
        self.time, self.events = VirtualTime(), RecordingObserver()
        self.sender, self.dead_letters, self.source = (
            ScriptedSender(self.time, aep),
            ScriptedDeadLetters(self.time),
            ScriptedSource(self.time),
        )
        self.inlets = {
            name: inlet(name, **(policy or {})) for name in dict.fromkeys(route.inlet for route in routes)
        }
        self.engine = Engine(
            route_of=routes_by_topic(routes),
            inlets=self.inlets,
            sender=self.sender,
            dead_letters=self.dead_letters,
            completions=self.time,
            clock=self.time,
            settings=EngineSettings(**settings),
            observers=[self.events, *observers],
        )
        self.engine.loop.attach(self.source)
        self.assign(*(TopicPartition(route.name, at) for route in routes for at in range(partitions)))

    def assign(self, *sources: TopicPartition) -> None:
        """Assign partitions as the source does: those that the engine returns start paused."""
        paused = set(self.engine.assigned(dict.fromkeys(sources)))
        self.source.paused -= set(sources)
        self.source.paused |= paused

    def read(self, *slices: Slice) -> Bench:
        self.source.feed.append([*slices])
        return self.turn()

    def turn(self, number: int = 1) -> Bench:
        for _ in range(number):
            self.engine.loop.turn(self.source)
        return self

    def settle(self, seconds: float = 60.0) -> Bench:
        """Turn until so much time has passed, or nothing is under way."""
        end = self.time.now + seconds
        self.source.stride = 20.0 if seconds > 300 else 1.0
        while self.time.now < end and (not self.engine.view.is_idle or self.source.feed):
            self.turn()
        return self.turn()

    @property
    def used(self) -> float:
        return sum(window.used for window in self.engine.view.windows.values())
