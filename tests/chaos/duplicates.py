"""Duplicates, and what may have caused them: each needs a fault that touched its request or its partition.

A duplicate without such a fault has one more possible cause: an older record of its partition waited when the
partition was handed over.
"""

from __future__ import annotations

import copy
import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.replica_config import (
    AFTERMATH_S,
    COMMIT_INTERVAL_S,
    IN_TRANSIT_S,
    MAX_UNCOMMITTED_RECORDS,
    REQUEST_TIMEOUT_S,
)
from tests.chaos.timeline import Arrival, FaultWindow, Handover, Release


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An event that arrived again, or its dead letter."""

    event: str
    partition: int
    offset: int
    first: Arrival
    second: Arrival
    dead_letter: bool = False

    @property
    def senders(self) -> set[str | None]:
        return {self.first.replica, self.second.replica}


class FaultExplanations:
    """Assigns duplicates to the faults that explain them, each fault within its bound.

    `per_s`: events produced per second, which bounds how many were settled since the last commit.
    """

    def __init__(
        self, windows: Sequence[FaultWindow], moves: Mapping[int, Sequence[Handover]], per_s: float
    ) -> None:
        self._moves = moves
        self._by_rule = {window.rule: window for window in windows if window.rule is not None}
        self._losing_responses = [window for window in windows if window.loses_responses]
        self._losing_acknowledgements = [window for window in windows if window.loses_acknowledgements]
        self._move_times = {partition: [move.at for move in each] for partition, each in moves.items()}
        for each in moves.values():
            for move in each:
                move.causes = [
                    window for window in windows if window.moves_partitions and _may_move(window, move)
                ]
                bounds = (_max_read_again(window, move, per_s) for window in move.causes)
                move.allowed_duplicates = max(bounds, default=0)

    def assign(self, duplicates: Iterable[Duplicate]) -> list[Duplicate]:
        """Assign each duplicate to a fault, in the order of arrival; return those that no fault explains."""
        return [
            duplicate
            for duplicate in sorted(duplicates, key=lambda duplicate: duplicate.second.at)
            if not (self._assign_to_lost_response(duplicate) or self._assign_to_move(duplicate))
        ]

    def unexplained(self, duplicates: Iterable[Duplicate]) -> list[Duplicate]:
        """Return those of these duplicates that no fault would explain. Assigns none."""
        return copy.deepcopy(self).assign(duplicates)

    def _assign_to_lost_response(self, duplicate: Duplicate) -> bool:
        """Assign a duplicate to the fault that lost the response to its first arrival, if there is one.

        For a dead letter that is the broker's acknowledgement. One lost response explains one duplicate.
        """
        window = self._window_that_lost_response(duplicate)
        if window is None:
            return False
        _count(window, duplicate)
        return True

    def _window_that_lost_response(self, duplicate: Duplicate) -> FaultWindow | None:
        first = duplicate.first
        if not duplicate.dead_letter and first.rule in self._by_rule:
            return self._by_rule[first.rule]
        for window in self._losing_acknowledgements if duplicate.dead_letter else self._losing_responses:
            in_bound = duplicate.dead_letter or window.duplicates < window.allowed_duplicates
            if in_bound and _lasted_at(window, first.at) and window.replica in (None, first.replica):
                return window
        return None

    def _assign_to_move(self, duplicate: Duplicate) -> bool:
        """Assign a duplicate to a move of its partition between both arrivals, if a fault explains the move.

        The partition must have been given to one of the two senders with this offset uncommitted. Or to a
        third replica, which did not get to send the record, and passed the partition on: nobody had committed
        the offset when the second sender was given the partition.
        """
        moves, times = self._moves.get(duplicate.partition, ()), self._move_times.get(duplicate.partition, [])
        for index in range(bisect_left(times, duplicate.first.at - REQUEST_TIMEOUT_S), len(times)):
            move = moves[index]
            if move.at > duplicate.second.at:
                break
            if duplicate.offset < move.committed or move.duplicates >= move.allowed_duplicates:
                continue
            to_sender = move.replica in duplicate.senders or duplicate.dead_letter
            if not to_sender and not _passed_on(moves[index + 1 :], duplicate):
                continue
            for window in move.causes:
                if duplicate.dead_letter or window.replica is None or window.replica in duplicate.senders:
                    if move.duplicates == 0:
                        window.allowed_duplicates += move.allowed_duplicates
                    move.duplicates += 1
                    _count(window, duplicate)
                    return True
        return False


class WaitingRecords:
    """The one cause that is no fault: an older record waited while its partition was handed over.

    The handover was in good order, but the older record was still to be sent, for the first time or again. So
    what was accepted behind it came again. `settled`: for each partition its offsets, and every arrival whose
    response reached the sender.
    """

    def __init__(
        self,
        moves: Mapping[int, Sequence[Handover]],
        releases: Mapping[int, Sequence[Release]],
        settled: Mapping[int, Mapping[int, Sequence[Arrival]]],
    ) -> None:
        self._moves, self._releases, self._settled = moves, releases, settled

    def explain(self, duplicate: Duplicate) -> bool:
        """Say whether a release and a handover between the two arrivals left an older record unsettled."""
        first, second = duplicate.first.at, duplicate.second.at
        for release in self._releases.get(duplicate.partition, ()):
            if not first <= release.at <= second:
                continue
            for move in self._moves.get(duplicate.partition, ()):
                to_sender = move.replica in duplicate.senders or duplicate.dead_letter
                after_release = release.at <= move.at <= second
                if after_release and to_sender and self._older_record_waited(duplicate, release, move):
                    return True
        return False

    def _older_record_waited(self, duplicate: Duplicate, release: Release, move: Handover) -> bool:
        """Say whether a record from the committed offset up to the duplicate was unsettled at the release."""
        settled = self._settled.get(duplicate.partition, {})
        older = range(move.committed, duplicate.offset)
        return any(offset in settled and not release.owner_settled(settled[offset]) for offset in older)


def _passed_on(moves: Iterable[Handover], duplicate: Duplicate) -> bool:
    """Say whether a move gave the partition to the second sender in time, the offset still uncommitted."""
    return any(
        move.at <= duplicate.second.at
        and move.replica == duplicate.second.replica
        and duplicate.offset >= move.committed
        for move in moves
    )


def _count(window: FaultWindow, duplicate: Duplicate) -> None:
    window.duplicate_dead_letters += duplicate.dead_letter
    window.duplicates += not duplicate.dead_letter


def _lasted_at(window: FaultWindow, at: float) -> bool:
    return window.start - IN_TRANSIT_S <= at <= min(window.end + IN_TRANSIT_S, window.explains_until)


def _may_move(window: FaultWindow, move: Handover) -> bool:
    """Say whether the fault may be the reason why the partition moved."""
    in_time = window.start <= move.at <= min(window.end + AFTERMATH_S, window.explains_until)
    return in_time and (window.partitions is None or move.partition in window.partitions)


def _max_read_again(window: FaultWindow, move: Handover, per_s: float) -> int:
    """Return `max_uncommitted_records`, and what may have been settled since the last commit."""
    without_commits_s = COMMIT_INTERVAL_S + (move.at - window.start if window.blocks_commits else 0)
    return MAX_UNCOMMITTED_RECORDS + math.ceil(per_s * without_commits_s)
