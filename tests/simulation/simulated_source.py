"""The source of one member: it fetches slices, stores offsets, commits, and obeys the consumer group."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from bridge.model import Slice, TopicPartition
from tests.simulation.ground_truth import CREATED_ANEW, CUT_OFF, LaneLife, SimulatedRecord, Violation
from tests.simulation.kafka import Broker
from tests.simulation.memory_window import bytes_beside_value

if TYPE_CHECKING:
    from tests.simulation.member import Member

COMMIT_EVERY_S = 0.5


@dataclass(slots=True, eq=False)
class _Position:
    offset: int
    life: LaneLife
    incarnation: int
    announced_end: int = -1
    gone: tuple[LaneLife, int] | None = None
    """The life in a log that is gone, and the offset of its next record. None once the first record of the
    new log was read."""


class SimulatedSource:
    """`ports.Source` of one member."""

    def __init__(self, broker: Broker, member: Member, rng: Random) -> None:
        self._broker, self._member, self._rng = broker, member, rng
        self.held: dict[TopicPartition, _Position] = {}
        self.closing: set[TopicPartition] = set()
        self.paused: set[TopicPartition] = set()
        self.orders: list[tuple[float, str, list[TopicPartition]]] = []
        self.stored: dict[TopicPartition, int] = {}
        self.commit_at = math.inf
        self.revoking_since: float | None = None
        self.closed = False

    # -- ports.Source ------------------------------------------------------------

    def read(self, limit: int, timeout_s: float) -> Sequence[Slice]:
        member = self._member
        member.port("read")
        self.commit_due()
        self._obey()
        if slices := self._fetch(limit):
            member.pass_time(0.001)
            return slices
        if timeout_s <= 0:
            return ()
        member.wait(timeout_s)
        self.commit_due()
        self._obey()
        return self._fetch(limit)

    def has_more(self) -> bool:
        """Whether a read would find something now."""
        logs = self._broker.truth.logs
        return any(
            position.incarnation != logs[where].incarnation
            or position.offset < logs[where].end
            or position.announced_end < logs[where].end
            for where, position in self.held.items()
            if where not in self.paused
        )

    def store(self, offsets: Mapping[TopicPartition, int]) -> None:
        member = self._member
        member.port("store")
        for where, offset in sorted(offsets.items()):
            position = self.held.get(where)
            if position is None:
                raise Violation(f"{member.name} stores {where} at {offset}, which it does not hold")
            if position.incarnation != self._broker.truth.logs[where].incarnation:
                continue  # the topic was created anew or cut off, and the broker knows
            self._broker.truth.covers(where, offset, member.now, f"{member.name} stored")
            self.stored[where] = offset
            if member.narrate:
                member.narrate(f"stores {where} at {offset}")
        if self.stored and self.commit_at == math.inf:
            self.commit_at = member.now + COMMIT_EVERY_S

    def uncommitted(self) -> int:
        return len(self.stored)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._member.port("pause")
        self.paused.update(where for where in partitions if where in self.held)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._member.port("resume")
        self.paused.difference_update(partitions)

    def close(self) -> None:
        self._member.port("close")
        self._revoke(sorted(self.held))
        self.closed = True

    # -- the group -----------------------------------------------------------------

    def commit_due(self) -> None:
        """The library's timer."""
        member = self._member
        if member.now >= self.commit_at:
            if member.world.commit_fails(member.now):
                self.commit_at = member.now + COMMIT_EVERY_S
                return
            self._commit(list(self.stored))
            self.commit_at = math.inf

    def _commit(self, parts: Iterable[TopicPartition]) -> None:
        for where in parts:
            if where in self.stored:
                self._broker.commit(self._member.name, where, self.stored.pop(where), self._member.now)

    def next_order(self) -> float:
        return min((at for at, _, _ in self.orders), default=math.inf)

    def _obey(self) -> None:
        now = self._member.now
        for order in [each for each in self.orders if each[0] <= now]:
            self.orders.remove(order)
            parts = [where for where in order[2] if where in self.held]
            if order[1] == "revoke":
                self._revoke(parts)
            elif parts := [
                where for where in parts if self._broker.owner[where] != self._member.name
            ]:  # not those that came back in good order
                self._lose(parts)
        self._join()

    def _join(self) -> None:
        broker, member = self._broker, self._member
        coming = [
            where
            for where, wanted in broker.target.items()
            if wanted == member.name
            and broker.owner[where] is None
            and broker.free_at[where] <= member.now
            and where not in self.held
        ]
        if not coming:
            return
        for where in coming:
            start = broker.committed.get(where, 0)
            broker.owner[where] = member.name
            broker.organisation_rate.changes.append(member.now)
            self.held[where] = _Position(
                start,
                LaneLife(member.name, where, "", start, broker.truth.logs[where].incarnation),
                broker.truth.logs[where].incarnation,
            )
            self.stored.pop(where, None)
        if member.narrate:
            committed = [broker.committed.get(where) for where in coming]
            member.narrate(f"assigned {', '.join(map(str, coming))} at {committed}")
        self.paused.difference_update(coming)
        self.paused.update(member.engine.assigned({where: broker.committed.get(where) for where in coming}))

    def _revoke(self, parts: list[TopicPartition]) -> None:
        member = self._member
        started = self.revoking_since = member.now
        mine = [where for where in parts if self._broker.owner[where] == member.name]
        self.closing = set(parts)
        if member.narrate:
            member.narrate(f"revoking {', '.join(map(str, parts))}")
        foreign = [TopicPartition("foreign", 0)] if self._rng.random() < 0.1 else []
        if parts or not foreign:
            member.engine.revoked([*foreign, *parts])
        member.checks.check_revoke(parts, started)
        self._commit(parts)
        for where in parts:
            self._let_go(where, "revoked")
        for where in mine:
            self._broker.release(where, member.now)
        self.closing, self.revoking_since = set(), None
        if member.narrate:
            member.narrate(f"revoked {', '.join(map(str, parts))}")

    def _lose(self, parts: list[TopicPartition]) -> None:
        if self._member.narrate:
            self._member.narrate(f"lost {', '.join(map(str, parts))}")
        for where in parts:
            self.stored.pop(where, None)
            self._let_go(where, "lost")
        self._member.engine.lost(parts)

    def _let_go(self, where: TopicPartition, how: str) -> None:
        position = self.held.pop(where)
        position.life.ended = how
        self._member.checks.check_bound(position.life, how)
        self.paused.discard(where)
        self._member.checks.forget(where)

    # -- fetching --------------------------------------------------------------------

    def _fetch(self, limit: int) -> list[Slice]:
        slices = []
        for where in self._rng.sample(sorted(self.held), len(self.held)):
            if where in self.paused:
                continue
            taken = self._take(where, self.held[where], min(limit, self._rng.choice((1, 3, 8, 12))))
            if taken is not None:
                slices.append(taken)
                limit -= len(taken.records)
            if limit <= 0 or (slices and self._rng.random() < 0.5):
                break
        return slices

    def _take(self, where: TopicPartition, position: _Position, limit: int) -> Slice | None:
        log = self._broker.truth.logs[where]
        if position.incarnation != log.incarnation:  # out of range: auto.offset.reset=earliest
            position.life.ended = CUT_OFF if log.cut_off else CREATED_ANEW
            position.life.lane = self._member.engine.view.lanes.get(where)
            position.gone = position.life, position.offset
            position.offset, position.incarnation, position.announced_end = log.start, log.incarnation, -1
            self._broker.rewound.add(where)
            position.life = LaneLife(self._member.name, where, incarnation=log.incarnation)
            self._member.rewound.add(where)
        start = bisect_left(log.records, position.offset, key=lambda record: record.at)
        records: list[SimulatedRecord] = log.records[start : start + limit]
        last = start + len(records) >= len(log.records)
        if not records and position.announced_end >= log.end:
            return None
        reaches_end = last and (not records or self._rng.random() < 0.7)
        next_offset = log.end if reaches_end else records[-1].at + 1
        if reaches_end:
            position.announced_end = log.end
        if records:
            self._member.checks.check_reading(position.life, records)
        position.offset = position.life.read_to = next_offset
        if position.gone is not None:
            (life, before), position.gone = position.gone, None
            if (
                records[0].at if records else next_offset
            ) < before:  # else it looks like a gap, and the lane goes on, as long as the partition is held
                self._member.owes(life)
        overhead = sum(map(bytes_beside_value, records))
        if self._member.narrate:
            self._member.narrate(f"reads {where}: {[record.at for record in records]} → {next_offset}")
        return Slice(where, records, [record.data for record in records], next_offset, overhead)
