"""The judge of copies: each needs a fault that touched its request or its partition, and that may repeat something."""

from __future__ import annotations

import copy as copying
import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.timeline import Arrival, Handover, Release, Window

SESSION_S, REQUEST_TIMEOUT_S, DRAIN_S, COMMIT_S = 6.0, 5.0, 10.0, 0.5
UNCOMMITTED = 500
AFTER_S = SESSION_S + REQUEST_TIMEOUT_S + DRAIN_S
"""How long after its end a fault may still move a partition: a session that runs out, a request, a drain."""
UNDER_WAY_S = 1.5
"""From the moment that AEP accepted to the one that the replica has read the answer, or from the end of a cut to the last bytes that it held up."""
ADDED = 300
"""Copies that are added to each fault where the judge is tried."""


@dataclass(frozen=True, slots=True)
class Copy:
    """An event that arrived again, or its dead letter."""

    event: str
    partition: int
    offset: int
    before: Arrival
    after: Arrival
    letter: bool = False


class Judge:
    """Explains copies. `per_s`: events a second, of which so many may have been settled since the last commit."""

    def __init__(
        self, windows: Sequence[Window], moves: Mapping[int, Sequence[Handover]], per_s: float
    ) -> None:
        self._windows, self._moves = windows, moves
        self._rules = {window.rule: window for window in windows if window.rule is not None}
        self._answers = [window for window in windows if window.answers]
        self._letters = [window for window in windows if window.letters]
        self._times = {partition: [move.at for move in each] for partition, each in moves.items()}
        for each in moves.values():
            for move in each:
                move.causes = [window for window in windows if window.lanes and _moved(window, move)]
                move.allowed = max((_allowed(window, move, per_s) for window in move.causes), default=0)

    def explain(self, copies: Iterable[Copy]) -> list[Copy]:
        """Gives each copy to a fault; returns those for which there is none."""
        return [
            copy
            for copy in sorted(copies, key=lambda copy: copy.after.at)
            if not (self._answer_lost(copy) or self._lane_lost(copy))
        ]

    def tried(self, copies: Iterable[Copy]) -> list[Copy]:
        """Those of some copies for which there would be no fault. Changes nothing."""
        return copying.deepcopy(self).explain(copies)

    def _answer_lost(self, copy: Copy) -> bool:
        """Whether the answer to the first of the two (or the acknowledgement of the letter) was lost. It then explains one copy: this."""
        before = copy.before
        found = None if copy.letter or before.rule is None else self._rules.get(before.rule)
        for window in self._letters if copy.letter else self._answers:
            if (
                found is None
                and _on(window, before.at)
                and window.replica in (None, before.replica)
                and (copy.letter or window.copies < window.repeats)
            ):
                found = window
        if found is None:
            return False
        _count(found, copy)
        return True

    def _lane_lost(self, copy: Copy) -> bool:
        """Whether its partition was given to one of the two senders meanwhile, with this offset uncommitted, because of a fault that touched it.

        Or to a third one, who did not get to send it, and passed the partition on: nobody had committed the offset when the second sender was given it.
        """
        moves, times = self._moves.get(copy.partition, ()), self._times.get(copy.partition, [])
        senders = {copy.before.replica, copy.after.replica}
        for index in range(bisect_left(times, copy.before.at - REQUEST_TIMEOUT_S), len(times)):
            move = moves[index]
            if move.at > copy.after.at:
                break
            if copy.offset < move.base or move.copies >= move.allowed:
                continue
            if move.replica not in senders and not copy.letter and not _passed_on(moves[index + 1 :], copy):
                continue
            for window in move.causes:
                if copy.letter or window.replica is None or window.replica in senders:
                    if move.copies == 0:
                        window.repeats += move.allowed
                    move.copies += 1
                    _count(window, copy)
                    return True
        return False


class Waiting:
    """The cause that is no fault: a partition was handed over in good order while an older record of it waited to be sent, for the first time or again, and what was accepted behind that came again.

    `settled`: for each partition its offsets, and every arrival that told its sender so.
    """

    def __init__(
        self,
        moves: Mapping[int, Sequence[Handover]],
        released: Mapping[int, Sequence[Release]],
        settled: Mapping[int, Mapping[int, Sequence[Arrival]]],
    ) -> None:
        self._moves, self._released, self._settled = moves, released, settled

    def explains(self, copy: Copy) -> bool:
        """Whether between the two arrivals one gave the partition back and the other was given it, with an older record that the first had not settled."""
        senders = {copy.before.replica, copy.after.replica}
        settled = self._settled.get(copy.partition, {})
        for release in self._released.get(copy.partition, ()):
            if not copy.before.at <= release.at <= copy.after.at:
                continue
            for move in self._moves.get(copy.partition, ()):
                if (
                    release.at <= move.at <= copy.after.at
                    and copy.offset >= move.base
                    and (copy.letter or move.replica in senders)
                ):
                    if any(
                        offset in settled and not release.knew(settled[offset])
                        for offset in range(move.base, copy.offset)
                    ):
                        return True
        return False


def _passed_on(moves: Iterable[Handover], copy: Copy) -> bool:
    """Whether one of these gave the partition to the second sender before the second arrival, with the offset uncommitted still."""
    return any(
        move.at <= copy.after.at and move.replica == copy.after.replica and copy.offset >= move.base
        for move in moves
    )


def _count(window: Window, copy: Copy) -> None:
    window.letter_copies += copy.letter
    window.copies += not copy.letter


def _on(window: Window, at: float) -> bool:
    return window.start - UNDER_WAY_S <= at <= min(window.end + UNDER_WAY_S, window.until)


def _moved(window: Window, move: Handover) -> bool:
    """Whether the fault may be why the partition moved."""
    on = window.start <= move.at <= min(window.end + AFTER_S, window.until)
    return on and (window.partitions is None or move.partition in window.partitions)


def _allowed(window: Window, move: Handover, per_s: float) -> int:
    """`max_uncommitted_records`, and what may have been settled since the last commit."""
    return UNCOMMITTED + math.ceil(per_s * (COMMIT_S + (move.at - window.start if window.commits else 0)))


def added(
    arrivals: Sequence[tuple[str, int, int, Arrival]], window: Window, replicas: Sequence[str]
) -> list[Copy]:
    """Copies that nobody may have made: events that arrived while a fault was on, a moment later again; every second one from another replica.

    `arrivals`: event, partition, offset, arrival; in order.
    """
    first = bisect_left(arrivals, window.start, key=lambda each: each[3].at)
    last = bisect_left(arrivals, window.end, key=lambda each: each[3].at)
    step = max(1, (last - first) // ADDED)
    made = []
    for number, (event, partition, offset, arrival) in enumerate(arrivals[first:last:step][:ADDED]):
        others = [name for name in replicas if name != arrival.replica]
        replica = others[number // 2 % len(others)] if number % 2 and others else arrival.replica
        made.append(Copy(event, partition, offset, arrival, Arrival(arrival.at + 0.3, replica)))
    return made
