"""The replicas as a cluster would run them: so many are wanted, and the missing ones are started."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from threading import Event

from tests.chaos.journal import Journal
from tests.chaos.replica import Replica
from tests.chaos.replica_config import DRAIN_TIMEOUT_S, END_TIMEOUT_S, REVOKE_TIMEOUT_S
from tests.chaos.timeline import FaultWindow, PartitionEvent, partitions_held


class ReplicaSet:
    """Starts, ends and replaces replicas. `make` builds the replica with a number."""

    def __init__(self, make: Callable[[int], Replica], rng: random.Random, journal: Journal) -> None:
        self._make, self._rng, self._journal = make, rng, journal
        self._lock = threading.RLock()
        self.current: list[Replica] = []
        """The replicas that there should be, including those that ended and are not replaced yet."""
        self.all: list[Replica] = []
        """Every replica that was ever started."""
        self.wanted = 0

    def start(self) -> Replica:
        """Start one more replica."""
        with self._lock:
            replica = self._make(len(self.all) + 1)
            self.all.append(replica)
            self.current.append(replica)
        self._journal.note("replica.started", name=replica.name, pid=replica.pid)
        return replica

    @property
    def living(self) -> list[Replica]:
        """The replicas that run and were not asked to end."""
        with self._lock:
            return [replica for replica in self.current if replica.alive and not replica.stopped]

    def pick(self, seconds: float) -> Replica:
        """Return a random living replica that has partitions; any living one if none has for `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            living = self.living
            busy = [replica for replica in living if replica.partitions]
            if busy or (living and time.monotonic() > deadline):
                return self._rng.choice(busy or living)
            time.sleep(0.1)

    def scale(self, wanted: int) -> None:
        """Start the replicas that are missing, or end those that are too many, by SIGTERM and all at once."""
        with self._lock:
            self.wanted = wanted
            surplus = self.current[wanted:]
            del self.current[wanted:]
        self.end(surplus)
        while len(self.current) < wanted:
            self.start()

    def end(self, replicas: Sequence[Replica]) -> None:
        """Send SIGTERM to all of these replicas at once, and note how each ended."""
        for replica in replicas:
            if replica.alive and not replica.stopped:
                replica.signal(signal.SIGTERM)
        for replica in replicas:
            self.note_end(replica, replica.end(END_TIMEOUT_S))

    def remove(self, replica: Replica) -> None:
        """Take a replica out of those that there should be, so that another one is started."""
        with self._lock:
            if replica in self.current:
                self.current.remove(replica)

    def note_end(self, replica: Replica, code: int) -> None:
        """Note how a replica ended that was asked to: it must have drained in time, without its watchdog."""
        self._journal.note("replica.ended", name=replica.name, code=code)
        ended_at_start = code == -signal.SIGTERM and not replica.began_to_read
        if code != 0 and not ended_at_start:
            self._journal.report_problem(
                f"{replica.name} was asked to end and ended with {code}: see {replica.log.name}"
            )

    def complete(self, partitions: int) -> bool:
        """Say whether as many replicas as wanted are ready, and each partition belongs to exactly one."""
        living = self.living
        owned = sorted(partition for replica in living for partition in replica.partitions)
        return (
            len(living) == self.wanted
            and owned == list(range(partitions))
            and all(replica.ready() for replica in living)
        )

    def supervise(self, over: Event) -> None:
        """Start what is missing, as a cluster does, and inspect what runs, until `over` is set."""
        while not over.wait(0.5):
            for replica in list(self.current):
                if replica.alive:
                    replica.inspect()
                elif not replica.stopped:
                    code, log = replica.process.returncode, replica.log.name
                    self._journal.report_problem(f"{replica.name} ended by itself with {code}: see {log}")
                    self.remove(replica)
            with self._lock:
                missing = self.wanted - len(self.current)
            for _ in range(missing):
                self.start()

    def close(self) -> None:
        """End every process, whatever state it is in."""
        for replica in self.all:
            if replica.alive:
                replica.signal(signal.SIGCONT)
                replica.signal(signal.SIGTERM)
        for replica in self.all:
            replica.end(END_TIMEOUT_S)

    def deadlines_passed(self, windows: Sequence[FaultWindow]) -> list[FaultWindow]:
        """Return a window for each revoke or drain whose deadline passed with requests open.

        The replicas' logs say so. It is a named cause of duplicates, except while a fault was alone.
        """
        passed = []
        for replica in self.all:
            for event in replica.partition_events:
                if event.kind == "cut off" and not _during_fault_alone(event, windows):
                    start = event.at - (REVOKE_TIMEOUT_S if event.partitions else DRAIN_TIMEOUT_S)
                    partitions = event.partitions or partitions_held(
                        replica.partition_events, start, event.at
                    )
                    window = FaultWindow("revoke cut off", start, event.at, moves_partitions=True, hits=1)
                    window.replica, window.partitions = replica.name, partitions
                    passed.append(window)
        return passed


def _during_fault_alone(event: PartitionEvent, windows: Sequence[FaultWindow]) -> bool:
    return any(window.alone and window.start <= event.at <= window.end for window in windows)
