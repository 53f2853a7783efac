"""The thread that looks at Kafka's topics while the bridge runs: dead-letter topics as they must be, partition counts, and where partitions end.

Brokers that are away are waited for, and what is wrong with one topic keeps up nothing but that topic's dead letters.
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
from bridge.kafka.topics import TopicAdmin, TopicError
from bridge.model import DeadLetter, TopicPartition
from bridge.ports import Clock

log = structlog.get_logger("bridge")

REFRESH_S, RETRY_S, ENDS_S, ANSWER_S = 60.0, 2.0, 5.0, 2.0
"""Between two looks at all topics; after brokers did not answer; between two questions for the ends; for the answer to one."""


class TopicMonitor:
    """`start` it once; without it, what it would find out is simply not known.

    `assigned` are the partitions that are ours now. On the thread, `on_counts` hears the partition counts of the mapped topics, and `on_wrong` of a topic
    that is wrong at the first look, after which the thread ends: a wrong configuration is an error at start, and later only that topic's.
    """

    def __init__(
        self,
        settings: Settings,
        topics: Callable[[], TopicAdmin],
        assigned: Callable[[], Iterable[TopicPartition]],
        on_counts: Callable[[Mapping[str, int]], None],
        on_wrong: Callable[[TopicError], None],
        clock: Clock = time.monotonic,
    ) -> None:
        self._clock = clock
        self._settings, self._make, self._assigned, self._on_counts, self._on_wrong = (
            settings,
            topics,
            assigned,
            on_counts,
            on_wrong,
        )
        self._mapped = [entry.topic for entry in settings.topics]
        self._news: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._doubted: set[str] = set()
        """Sources whose letters could not be written."""
        self._prepared: set[str] = set()
        self._todo: set[str] = set()
        self._wrong: dict[str, str] = {}
        """Source → what is wrong with its dead-letter topic."""
        self._first = True
        self._started = self._over = False
        self._patience_s = RETRY_S
        self._fetched: Mapping[TopicPartition, int] = {}
        self._asked: Mapping[TopicPartition, int] = {}
        self._silent: dict[TopicPartition, float] = {}
        """Partitions without an answer in time, most likely without a leader → when to ask for them again."""

    def start(self) -> None:
        """Starts the thread."""
        threading.Thread(target=self._run, name="topics", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread as soon as no request is under way; does not wait for it."""
        self._news.put(None)

    # -- what others tell, and ask; any thread ---------------------------------------------

    def request_checks(self, sources: Iterable[str]) -> None:
        """Makes sure of these topics' dead-letter topics, unless that was done before."""
        for source in set(sources) - self._prepared:
            self._news.put(source)

    def request_recheck(self, source: str) -> None:
        """Kafka did not find this source's dead-letter topic: perhaps somebody deleted it. It is looked at again, and made anew where that is allowed."""
        if source not in self._doubted:
            self._doubted.add(source)
            self._news.put(source)

    def blocking_reason(self, letter: DeadLetter) -> str | None:
        """Why a letter must not be written now: the topic is not there, or would not keep it. Asking has the topic looked at again."""
        source = letter.record.topic()
        why = self._wrong.get(source)
        if why is not None:
            self.request_recheck(source)
        return why

    def update_fetched_ends(self, ends: Mapping[TopicPartition, int]) -> None:
        """Where the fetches last saw partitions end. A partition that is not fetched, paused for one, keeps an old end here."""
        self._fetched = ends

    @property
    def end_offsets(self) -> dict[TopicPartition, int]:
        """Where partitions end, as far as known: of what fetches told and what brokers answered, the larger."""
        fetched, asked = self._fetched, self._asked
        return {**fetched, **{where: max(end, fetched.get(where, end)) for where, end in asked.items()}}

    # -- the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        topics = self._make()
        looked = look_at = ask_at = 0.0
        while not self._over:
            if self._clock() >= look_at:
                pause = self.check_topics(topics)
                looked = self._clock()
                look_at = looked + pause
            if self._clock() >= ask_at:
                self.query_end_offsets(topics)
                ask_at = ENDS_S + self._clock()
            try:
                source = self._news.get(timeout=max(0.0, min(look_at, ask_at) - self._clock()))
            except queue.Empty:
                continue
            if source is None:
                return
            if source in self._doubted:
                look_at = min(
                    look_at, looked + RETRY_S
                )  # letters that fail again and again are no reason to look all the time
            elif source not in self._prepared:
                self._todo.add(source)
                look_at = 0.0

    def check_topics(self, topics: TopicAdmin) -> float:
        """Once at the topics: their counts, and the dead-letter topics that are to be made sure of. Seconds until the next look."""
        while self._doubted:
            source = self._doubted.pop()
            self._prepared.discard(source)
            self._todo.add(source)
        try:
            counts = topics.partition_counts(self._mapped, self._settings.is_dead_letter_topic)
            self._on_counts(counts)
            if self._first:
                missing = [name for name in self._mapped if not any(matches(name, topic) for topic in counts)]
                if missing:
                    log.warning(
                        "topics.missing", topics=missing, what_follows="they are read as soon as they exist"
                    )
                self._todo |= counts.keys()
                self._first = False
            found = [
                wrong
                for source in sorted(self._todo & counts.keys())
                if (wrong := self._ensure(topics, source)) is not None
            ]
        except Unreachable as error:
            log.warning("kafka.unreachable", error=str(error), next_try_s=RETRY_S)
            return RETRY_S if self._todo or self._first else REFRESH_S
        except TopicError as error:
            found = [error]
        if found and not self._started:
            self._over = True
            self._on_wrong(found[0])
        self._started = True
        if not found and not self._todo:
            self._patience_s = RETRY_S
            return REFRESH_S
        pause, self._patience_s = self._patience_s, min(2 * self._patience_s, REFRESH_S)
        for wrong in found:
            log.error(
                "dead_letter.topic_wrong",
                error=str(wrong),
                next_try_s=pause,
                what_follows="its dead letters wait; other topics go on",
            )
        return pause

    def _ensure(self, topics: TopicAdmin, source: str) -> TopicError | None:
        """Makes sure of one source's dead-letter topic. Raises `Unreachable`."""
        entry = self._settings.entry_for(source)
        self._todo.discard(source)
        if entry is None or source in self._prepared:
            return None
        try:
            made = topics.ensure_dead_letter_topic(
                source, entry.dead_letter_topic_for(source), create=self._settings.dead_letter.create_topics
            )
        except Unreachable:
            self._todo.add(source)
            raise
        except TopicError as error:
            self._todo.add(source)
            self._wrong[source] = str(error)
            return error
        self._wrong.pop(source, None)
        self._prepared.add(source)
        for warning in made.warnings:
            log.warning("dead_letter.topic_doubtful", topic=made.name, warning=warning)
        log.info(
            "dead_letter.topic",
            source=source,
            topic=made.name,
            partitions=made.partitions,
            max_message_bytes=made.max_message_bytes,
        )
        return None

    def query_end_offsets(self, topics: TopicAdmin) -> None:
        """Once for the ends of the assigned partitions. Without an answer what was known stays; brokers that are away are told of by the consumer."""
        assigned, now = list(self._assigned()), self._clock()
        self._silent = {where: until for where, until in self._silent.items() if until > now}
        wanted = [where for where in assigned if where not in self._silent]
        found = topics.end_offsets(wanted, ANSWER_S) if wanted else {}
        if self._clock() - now >= ANSWER_S:
            self._silent.update(
                dict.fromkeys((where for where in wanted if where not in found), now + REFRESH_S)
            )
        known = {**self._asked, **found}
        self._asked = {where: known[where] for where in assigned if where in known}
