"""The replicas as a cluster would run them: so many are wanted, what is missing is started, and how each ended is noted."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from threading import Event

from tests.chaos.copies import DRAIN_S
from tests.chaos.members import Replica
from tests.chaos.timeline import Window, held

REVOKE_S = 5.0
END_S = DRAIN_S + 20


class Fleet:
    """Starts, ends and replaces replicas. `make` gives the one with a number; `note` and `problem` write the timeline."""

    def __init__(
        self,
        make: Callable[[int], Replica],
        rng: random.Random,
        note: Callable[..., None],
        problem: Callable[[str], None],
    ) -> None:
        self._make, self._rng, self._note, self._problem = make, rng, note, problem
        self._lock = threading.RLock()
        self.running: list[Replica] = []
        """Those that there should be, the ones included that have ended and are not replaced yet."""
        self.every: list[Replica] = []
        self.wanted = 0

    def start(self) -> Replica:
        """One more."""
        with self._lock:
            replica = self._make(len(self.every) + 1)
            self.every.append(replica)
            self.running.append(replica)
        self._note("replica.started", name=replica.name, pid=replica.pid)
        return replica

    @property
    def living(self) -> list[Replica]:
        """Those that run and were not asked to end."""
        with self._lock:
            return [replica for replica in self.running if replica.alive and not replica.stopped]

    def pick(self, seconds: float) -> Replica:
        """A living one that has partitions, at random; any living one where none has for so long."""
        deadline = time.monotonic() + seconds
        while True:
            living = self.living
            busy = [replica for replica in living if replica.held]
            if busy or (living and time.monotonic() > deadline):
                return self._rng.choice(busy or living)
            time.sleep(0.1)

    def scale(self, wanted: int) -> None:
        """Starts or ends (by SIGTERM, all at once) as many as it takes."""
        with self._lock:
            self.wanted = wanted
            surplus = self.running[wanted:]
            del self.running[wanted:]
        self.end(surplus)
        while len(self.running) < wanted:
            self.start()

    def end(self, replicas: list[Replica]) -> None:
        """SIGTERM to all of them at once; notes how each ended."""
        for replica in replicas:
            if replica.alive and not replica.stopped:
                replica.signal(signal.SIGTERM)
        for replica in replicas:
            self.ended(replica, replica.end(END_S))

    def remove(self, replica: Replica) -> None:
        """It is no longer one of those that there should be: another one is started."""
        with self._lock:
            if replica in self.running:
                self.running.remove(replica)

    def ended(self, replica: Replica, code: int) -> None:
        """Notes how a replica ended that was asked to: it must have drained, in time and without a watchdog."""
        self._note("replica.ended", name=replica.name, code=code)
        if code != 0 and not (code == -signal.SIGTERM and not replica.begun):
            self._problem(f"{replica.name} was asked to end and ended with {code}: see {replica.log.name}")

    def settled(self, partitions: int) -> bool:
        """Whether as many as there should be are ready, and each partition belongs to one."""
        living = self.living
        owned = sorted(partition for replica in living for partition in replica.held)
        return (
            len(living) == self.wanted
            and owned == list(range(partitions))
            and all(replica.ready() for replica in living)
        )

    def supervise(self, over: Event) -> None:
        """Starts what is missing, as a cluster does, and looks at what runs."""
        while not over.wait(0.5):
            for replica in list(self.running):
                if replica.alive:
                    replica.inspect()
                elif not replica.stopped:
                    self._problem(
                        f"{replica.name} ended by itself with {replica.process.returncode}: see {replica.log.name}"
                    )
                    self.remove(replica)
            with self._lock:
                missing = self.wanted - len(self.running)
            for _ in range(missing):
                self.start()

    def close(self) -> None:
        """Ends every process, whatever state it is in."""
        for replica in self.every:
            if replica.alive:
                replica.signal(signal.SIGCONT)
                replica.signal(signal.SIGTERM)
        for replica in self.every:
            replica.end(END_S)

    def cut_off(self, windows: list[Window]) -> list[Window]:
        """The revokes and drains whose deadlines passed with requests open, as the logs tell: a named cause of copies, but not where a fault was alone."""
        found = []
        for replica in self.every:
            for event in [event for event in replica.lanes if event.what == "cut off"]:
                start = event.at - (REVOKE_S if event.partitions else DRAIN_S)
                partitions = event.partitions or held(replica.lanes, start, event.at)
                if not any(window.alone and window.start <= event.at <= window.end for window in windows):
                    found.append(
                        Window(
                            "revoke cut off",
                            start,
                            event.at,
                            lanes=True,
                            replica=replica.name,
                            partitions=partitions,
                            hits=1,
                        )
                    )
        return found
