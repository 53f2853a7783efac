"""The thread that looks after Kafka's topics while the bridge runs.

It checks every dead-letter topic, and creates it where that is allowed; it counts the partitions of the
mapped topics; and it asks where the assigned partitions end. While brokers are away it waits for them. A
wrong dead-letter topic holds back only the dead letters of its own topic.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping

import structlog

from bridge.codec.routes import matches
from bridge.config.settings import Settings
from bridge.kafka.client_errors import Unreachable
from bridge.kafka.end_offsets import EndOffsets
from bridge.kafka.topics import TopicAdmin, TopicError
from bridge.model import DeadLetter, TopicPartition
from bridge.ports import Clock

log = structlog.get_logger("bridge")

REFRESH_S = 60.0
"""Between two checks of all topics. Also the longest pause while something is wrong."""
RETRY_S = 2.0
"""Before the next check where brokers did not answer. Also the first pause where something is wrong."""
END_OFFSETS_S = 5.0
"""Between two requests for the ends of the assigned partitions."""


class TopicMonitor:
    """Checks topics on a thread of its own, from `start` to `stop`. Without `start`, nothing of it is known.

    "Topic" is a topic whose records the bridge reads; each has a dead-letter topic.
    """

    def __init__(
        self,
        settings: Settings,
        create_admin: Callable[[], TopicAdmin],
        assigned: Callable[[], Iterable[TopicPartition]],
        on_counts: Callable[[Mapping[str, int]], None],
        on_wrong: Callable[[TopicError], None],
        clock: Clock = time.monotonic,
    ) -> None:
        """The functions are called on the thread, and must not raise.

        `assigned` returns the partitions that are assigned to this member now. `on_counts` gets the
        partition counts of the mapped topics that exist. `on_wrong` gets the first error of the first
        check, after which the thread ends: a configuration that can't work is an error when the bridge
        starts, and later only that topic's.
        """
        self._settings, self._create_admin = settings, create_admin
        self._on_counts, self._on_wrong = on_counts, on_wrong
        self._clock = clock
        self._mapped = [entry.topic for entry in settings.topics]
        self._ends = EndOffsets(assigned, clock)
        self._requests: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        """Topics to check, which are given by other threads. None ends the thread."""
        self._to_recheck: set[str] = set()
        """Topics to check although they are in `_correct`."""
        self._correct: set[str] = set()
        """Topics whose dead-letter topic was all right when it was checked."""
        self._due: set[str] = set()
        """Topics to check next."""
        self._errors: dict[str, str] = {}
        """Topic → what is wrong with its dead-letter topic."""
        self._has_listed = False
        """Whether the mapped topics have been listed once."""
        self._has_checked = False
        """Whether the brokers have answered one whole check."""
        self._ended = False
        self._pause_s = RETRY_S
        """The next pause where something is wrong; it doubles up to `REFRESH_S`."""

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="topics", daemon=True).start()

    def stop(self) -> None:
        """End the thread as soon as no request is under way. Does not wait for that."""
        self._requests.put(None)

    # -- what other threads ask and report --------------------------------------------------

    def request_checks(self, topics: Iterable[str]) -> None:
        """Have the dead-letter topics of these topics checked soon, unless they are known to be right."""
        for topic in set(topics) - self._correct:
            self._requests.put(topic)

    def request_recheck(self, topic: str) -> None:
        """Have a dead-letter topic checked that may have been deleted since: Kafka did not find it."""
        if topic not in self._to_recheck:
            self._to_recheck.add(topic)
            self._requests.put(topic)

    def blocking_reason(self, letter: DeadLetter) -> str | None:
        """Return why a dead letter must not be published now: its topic is missing or would not keep it.

        To ask for it also has that topic checked again.
        """
        topic = letter.record.topic()
        error = self._errors.get(topic)
        if error is not None:
            self.request_recheck(topic)
        return error

    def update_fetched_ends(self, ends: Mapping[TopicPartition, int]) -> None:
        """Replace the end offsets that the consumer's fetches give."""
        self._ends.update_fetched(ends)

    @property
    def end_offsets(self) -> dict[TopicPartition, int]:
        """Where partitions end, as far as it is known."""
        return self._ends.by_partition()

    # -- the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        admin = self._create_admin()
        checked_at = check_at = query_at = 0.0
        while not self._ended:
            if self._clock() >= check_at:
                pause_s = self.check_topics(admin)
                checked_at = self._clock()
                check_at = checked_at + pause_s
            if self._clock() >= query_at:
                self.query_end_offsets(admin)
                query_at = self._clock() + END_OFFSETS_S
            try:
                topic = self._requests.get(timeout=max(0.0, min(check_at, query_at) - self._clock()))
            except queue.Empty:
                continue
            if topic is None:
                return
            if topic in self._to_recheck:
                # Not at once: its dead letters may fail again and again.
                check_at = min(check_at, checked_at + RETRY_S)
            elif topic not in self._correct:
                self._due.add(topic)
                check_at = 0.0

    def query_end_offsets(self, admin: TopicAdmin) -> None:
        """Ask the brokers for the ends of the assigned partitions, once."""
        self._ends.query(admin)

    def check_topics(self, admin: TopicAdmin) -> float:
        """Count partitions, and check what is due. Return the seconds until this must be called again."""
        while self._to_recheck:
            topic = self._to_recheck.pop()
            self._correct.discard(topic)
            self._due.add(topic)
        try:
            errors = self._check_due(admin, self._count_partitions(admin))
        except Unreachable as problem:
            log.warning("kafka.unreachable", error=str(problem), next_try_s=RETRY_S)
            return RETRY_S if self._due or not self._has_listed else REFRESH_S
        except TopicError as problem:  # the topics can't be listed at all
            errors = [problem]
        if errors and not self._has_checked:
            self._ended = True
            self._on_wrong(errors[0])
        self._has_checked = True
        if not errors and not self._due:
            self._pause_s = RETRY_S
            return REFRESH_S
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, REFRESH_S)
        for error in errors:
            log.error(
                "dead_letter.topic_wrong",
                error=str(error),
                next_try_s=pause_s,
                next_step="its dead letters wait until the topic is corrected; other topics go on",
            )
        return pause_s

    def _count_partitions(self, admin: TopicAdmin) -> Mapping[str, int]:
        """Report the partition counts of the mapped topics. The first time, make all of these topics due."""
        counts = admin.partition_counts(self._mapped, self._settings.is_dead_letter_topic)
        self._on_counts(counts)
        if not self._has_listed:
            self._has_listed = True
            self._due |= counts.keys()
            missing = [name for name in self._mapped if not any(matches(name, topic) for topic in counts)]
            if missing:
                log.warning("topics.missing", topics=missing, next_step="they are read as soon as they exist")
        return counts

    def _check_due(self, admin: TopicAdmin, existing: Mapping[str, int]) -> list[TopicError]:
        """Check the dead-letter topics of all topics that are due and exist; return the errors.

        Raises `Unreachable`. What was not checked then stays due.
        """
        errors = []
        for topic in sorted(self._due & existing.keys()):
            try:
                self._check(admin, topic)
            except TopicError as error:
                self._errors[topic] = str(error)
                errors.append(error)
            else:
                self._due.discard(topic)
        return errors

    def _check(self, admin: TopicAdmin, topic: str) -> None:
        """Check the dead-letter topic of one topic. Raises `Unreachable`, `TopicError`."""
        entry = self._settings.entry_for(topic)
        if entry is None or topic in self._correct:
            return
        create = self._settings.dead_letter.create_topics
        dead_letter_topic = admin.ensure_dead_letter_topic(
            topic, entry.dead_letter_topic_for(topic), create=create
        )
        self._errors.pop(topic, None)
        self._correct.add(topic)
        for warning in dead_letter_topic.warnings:
            log.warning("dead_letter.topic_doubtful", topic=dead_letter_topic.name, warning=warning)
        log.info(
            "dead_letter.topic_ready",
            source=topic,
            topic=dead_letter_topic.name,
            partitions=dead_letter_topic.partitions,
            max_message_bytes=dead_letter_topic.max_message_bytes,
        )
