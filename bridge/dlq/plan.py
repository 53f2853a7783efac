"""What a replay would do, worked out before anything is sent: one action for each dead letter within the bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bridge.dlq.letters import DeadLetter, Place
from bridge.dlq.patch import CannotPatch, Patch
from bridge.dlq.reading import Bounds
from bridge.dlq.selection import Selection, current
from bridge.model import TopicPartition


@dataclass(slots=True)
class Plan:
    """Which letters go where. Those behind `position` were done by an earlier run of the same replay."""

    bounds: Bounds
    position: Mapping[TopicPartition, int]
    send: dict[TopicPartition, dict[int, str]] = field(default_factory=dict)
    """Offsets to replay, each with its record's source topic."""
    park: dict[TopicPartition, set[int]] = field(default_factory=dict)
    """Offsets that were replayed too often."""
    where_to: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(source topic, "replay" or "park") → letters."""
    reasons: Counter[str] = field(default_factory=Counter)
    seen: int = 0
    repeats: int = 0
    """Letters of a record that another letter stands for."""
    done: int = 0
    not_meant: int = 0
    unpatchable: list[tuple[Place, str]] = field(default_factory=list)

    @property
    def sending(self) -> int:
        """Letters to replay."""
        return sum(map(len, self.send.values()))

    @property
    def parking(self) -> int:
        """Letters to park."""
        return sum(map(len, self.park.values()))


def plan(
    letters: Iterable[DeadLetter], bounds: Bounds, position: Mapping[TopicPartition, int], selection: Selection, patch: Patch | None, max_replays: int
) -> Plan:
    """Looks at every letter once; holds one for each source record meanwhile."""
    made = Plan(bounds, position)

    def counted() -> Iterable[DeadLetter]:
        for letter in letters:
            made.seen += 1
            yield letter

    kept = current(counted())
    made.repeats = made.seen - len(kept)
    for letter in kept.values():
        where = TopicPartition(letter.place.topic, letter.place.partition)
        if not selection.takes(letter):
            made.not_meant += 1
        elif letter.place.offset < position.get(where, 0):
            made.done += 1
        elif letter.count >= max_replays:
            made.park.setdefault(where, set()).add(letter.place.offset)
            made.where_to[letter.source.topic, "park"] += 1
        else:
            if patch is not None:
                try:
                    patch.apply(letter.record.value())
                except CannotPatch as problem:
                    made.unpatchable.append((letter.place, str(problem)))
                    continue
            made.send.setdefault(where, {})[letter.place.offset] = letter.source.topic
            made.where_to[letter.source.topic, "replay"] += 1
            made.reasons[letter.normal] += 1
    return made
