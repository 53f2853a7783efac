"""The thread that looks at topics, one look at a time: what is wrong with one topic is that topic's alone, and ends are the newest that are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as Position
from prometheus_client.core import GaugeMetricFamily

from bridge.engine.snapshot import lag
from bridge.kafka.client_errors import Unreachable
from bridge.kafka.topic_monitor import REFRESH_S, RETRY_S, TopicMonitor
from bridge.kafka.topics import DeadLetterTopic, TopicAdmin, TopicError
from bridge.model import DeadLetter, Reason, Refusal, TopicPartition
from bridge.ops.telemetry import Telemetry
from tests.support.memory import MemoryRecord
from tests.support.settings import settings

A, B = TopicPartition("shop-a", 0), TopicPartition("shop-b", 0)


class Brokers:
    """Topics with partition counts, those whose dead-letter topic is wrong, and where partitions end; away when told so."""

    def __init__(self, *topics: str) -> None:
        self.counts = dict.fromkeys(topics, 1)
        self.wrong: set[str] = set()
        self.answers: dict[TopicPartition, int] = {}
        self.leaderless: set[TopicPartition] = set()
        self.now = 100.0
        self.away = False
        self.ensured: list[str] = []
        self.asked: list[list[TopicPartition]] = []

    def partition_counts(self, _: Iterable[str], __: Callable[[str], bool]) -> dict[str, int]:
        self._reached()
        return dict(self.counts)

    def ensure_dead_letter_topic(self, source: str, dead_letter: str, *, create: bool) -> DeadLetterTopic:
        assert create
        self._reached()
        self.ensured.append(source)
        if source in self.wrong:
            raise TopicError(f"dead-letter topic {dead_letter} is wrong")
        return DeadLetterTopic(dead_letter, 1, None)

    def end_offsets(
        self, partitions: Iterable[TopicPartition], timeout_s: float
    ) -> dict[TopicPartition, int]:
        self.asked.append(list(partitions))
        if self.leaderless.intersection(self.asked[-1]):
            self.now += timeout_s
        return {where: self.answers[where] for where in self.asked[-1] if where in self.answers}

    def _reached(self) -> None:
        if self.away:
            raise Unreachable("no broker answered")


class Bench:
    """A watch over brokers, without its thread."""

    def __init__(self, brokers: Brokers) -> None:
        self.assigned: list[TopicPartition] = []
        self.fatal: list[TopicError] = []
        self.topics = cast("TopicAdmin", brokers)
        config = settings(topics=[{"topic": "^shop-.*", "format": "envelope"}])
        self.watch = TopicMonitor(
            config,
            lambda: self.topics,
            lambda: self.assigned,
            lambda _: None,
            self.fatal.append,
            lambda: brokers.now,
        )

    def look(self) -> float:
        return self.watch.check_topics(self.topics)

    def blocking_reason(self, source: TopicPartition) -> str | None:
        refusal = Refusal(Reason.REFUSED, "e")
        return self.watch.blocking_reason(
            DeadLetter(MemoryRecord(source, 1, b"v"), f"{source.topic}.dlq", refusal, "b", "i", None)
        )


def test_a_wrong_topic_keeps_up_only_its_own_letters() -> None:
    """The others are made sure of in the same look; its letters get the reason, until a later look finds it right."""
    brokers = Brokers()
    bench = Bench(brokers)
    bench.look()
    brokers.counts, brokers.wrong = {"shop-a": 1, "shop-b": 1}, {"shop-a"}
    bench.watch.request_recheck("shop-a")
    bench.watch.request_recheck("shop-b")

    assert RETRY_S == bench.look()
    assert ["shop-a", "shop-b"] == brokers.ensured
    assert ("dead-letter topic shop-a.dlq is wrong", None) == (
        bench.blocking_reason(A),
        bench.blocking_reason(B),
    )
    assert [] == bench.fatal

    brokers.wrong.clear()

    assert REFRESH_S == bench.look()
    assert bench.blocking_reason(A) is None


def test_a_wrong_topic_is_looked_at_less_and_less_and_soon_where_a_letter_waits() -> None:
    """Nobody's letters: a minute between two looks in the end. Asking for one's reason puts it first again."""
    brokers = Brokers()
    bench = Bench(brokers)
    bench.look()
    brokers.counts, brokers.wrong = {"shop-a": 1}, {"shop-a"}
    bench.watch.request_recheck("shop-a")

    assert [2, 4, 8, 16, 32, 60, 60] == [bench.look() for _ in range(7)]


def test_a_wrong_topic_at_the_first_look_ends_the_start() -> None:
    """A configuration that can't work is an error at start."""
    brokers = Brokers("shop-a")
    brokers.wrong = {"shop-a"}
    bench = Bench(brokers)
    bench.look()

    assert ["dead-letter topic shop-a.dlq is wrong"] == [str(error) for error in bench.fatal]


def test_a_dead_letter_topic_that_is_doubted_is_made_sure_of_again() -> None:
    """Once is enough while nobody doubts it; a topic that was deleted meanwhile is doubted."""
    brokers = Brokers("shop-a")
    bench = Bench(brokers)
    bench.look()
    bench.watch.request_checks(["shop-a"])
    bench.look()

    assert ["shop-a"] == brokers.ensured

    bench.watch.request_recheck("shop-a")
    bench.look()

    assert ["shop-a", "shop-a"] == brokers.ensured


def test_what_was_to_be_done_is_kept_while_brokers_are_away() -> None:
    """A look without an answer is repeated soon, and finds what it had to do."""
    brokers = Brokers("shop-a")
    brokers.away = True
    bench = Bench(brokers)

    assert RETRY_S == bench.look()

    brokers.away = False

    assert REFRESH_S == bench.look()
    assert ["shop-a"] == brokers.ensured


def test_an_end_is_the_larger_of_what_was_fetched_and_what_was_asked() -> None:
    """A paused partition is not fetched: the brokers know better. Where they don't answer, what is known stays."""
    brokers = Brokers("shop-a", "shop-b")
    bench = Bench(brokers)
    bench.assigned = [A, B]
    bench.watch.update_fetched_ends({A: 10, B: 30})
    brokers.answers = {A: 40, B: 20}
    bench.watch.query_end_offsets(bench.topics)

    assert {A: 40, B: 30} == bench.watch.end_offsets

    brokers.answers = {B: 35}
    bench.watch.query_end_offsets(bench.topics)

    assert {A: 40, B: 35} == bench.watch.end_offsets


def test_only_what_is_assigned_is_asked_for() -> None:
    """Nothing assigned, no request; and a partition that went to another member is forgotten."""
    brokers = Brokers("shop-a")
    bench = Bench(brokers)
    bench.watch.query_end_offsets(bench.topics)

    assert [] == brokers.asked

    brokers.answers = {A: 40}
    bench.assigned = [A]
    bench.watch.query_end_offsets(bench.topics)
    bench.assigned = []
    bench.watch.query_end_offsets(bench.topics)

    assert {} == bench.watch.end_offsets


def test_a_partition_without_a_leader_is_left_alone_for_a_minute() -> None:
    """The client would spin for as long as it may look for the leader; the others are asked for meanwhile, and an answer that only came late costs nothing."""
    brokers = Brokers("shop-a", "shop-b")
    bench = Bench(brokers)
    bench.assigned = [A, B]
    brokers.answers = {A: 40}
    bench.watch.query_end_offsets(bench.topics)
    brokers.leaderless = {B}
    bench.watch.query_end_offsets(bench.topics)
    bench.watch.query_end_offsets(bench.topics)
    brokers.now += REFRESH_S
    bench.watch.query_end_offsets(bench.topics)

    assert [[A, B], [A, B], [A], [A, B]] == brokers.asked


def test_an_end_without_a_leader_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client answers with an offset below 0, and with no error."""
    answers = {}
    for partition, offset in ((0, 7), (1, -1001)):
        answers[Position("t", partition)] = future = Future[Any]()
        future.set_result(SimpleNamespace(offset=offset))
    topics = TopicAdmin({"bootstrap.servers": "127.0.0.1:9", "log_level": 0})
    monkeypatch.setattr(topics, "_admin", SimpleNamespace(list_offsets=lambda _, request_timeout: answers))

    assert {TopicPartition("t", 0): 7} == topics.end_offsets(
        [TopicPartition("t", 0), TopicPartition("t", 1)], 1
    )


@pytest.mark.parametrize("code", [KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.INVALID_REPLICATION_FACTOR])
def test_a_cluster_that_is_not_ready_is_waited_for(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Another replica made the topic a moment ago, or not all brokers are up: a first start must not end with 2 for that."""
    failed = Future[Any]()
    failed.set_exception(KafkaException(KafkaError(code)))
    topics = TopicAdmin({"bootstrap.servers": "127.0.0.1:9", "log_level": 0})
    listed = SimpleNamespace(topics={"t": SimpleNamespace(partitions={}, error=None)})
    known = Future[Any]()
    known.set_result({})
    monkeypatch.setattr(
        topics,
        "_admin",
        SimpleNamespace(
            list_topics=lambda timeout: listed,
            describe_configs=lambda wanted, request_timeout: {
                wanted[0]: known if code == KafkaError.INVALID_REPLICATION_FACTOR else failed
            },
            create_topics=lambda wanted, request_timeout: {"t.dlq": failed},
        ),
    )

    with pytest.raises(Unreachable, match="new topic|fewer brokers"):
        topics.ensure_dead_letter_topic("t", "t.dlq", create=True)


@pytest.mark.parametrize(
    ("watermark", "stored", "end", "expected"),
    [
        (5, 3, 10, 5),
        (None, 3, 10, 7),
        (None, None, 10, None),
        (0, None, 10, 10),
        (5, 5, None, None),
        (12, 12, 10, 0),
    ],
)
def test_the_lag_of_a_partition_of_which_nothing_was_read_counts_from_its_committed_offset(
    watermark: int | None, stored: int | None, end: int | None, expected: int | None
) -> None:
    """It starts paused where its inlet is full, and its lag is told all the same: in the status and as a metric."""
    entry = {
        "topic": "t",
        "partition": 0,
        "watermark": watermark,
        "stored": stored,
        "oldest_unsettled_s": 0.0,
        "watermark_age_s": 0.0,
    }

    assert expected == lag(entry, end)

    telemetry = Telemetry()
    ends: dict[TopicPartition, Any] = {} if end is None else {TopicPartition("t", 0): end}
    telemetry.watch(lambda: {"partitions": [entry]}, lambda: ends, dict)
    family = next(
        each
        for each in telemetry.registry.collect()
        if isinstance(each, GaugeMetricFamily) and each.name == "aep_bridge_consumer_lag"
    )

    assert ([] if expected is None else [expected]) == [sample.value for sample in family.samples]
