"""The topic monitor without its thread, one check at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import cast

from structlog.testing import capture_logs

from bridge.kafka.client_errors import Unreachable
from bridge.kafka.dead_letter_topic import DeadLetterTopic
from bridge.kafka.topic_monitor import REFRESH_S, RETRY_S, TopicMonitor
from bridge.kafka.topics import TopicAdmin, TopicError
from bridge.model import DeadLetter, Reason, Refusal, TopicPartition
from tests.support.memory import MemoryRecord
from tests.support.settings import settings


class ScriptedAdmin:
    """Stands for `TopicAdmin`: topics, those whose dead-letter topic is wrong, and whether brokers answer
    at all.
    """

    def __init__(self, *topics: str) -> None:
        self.topics = list(topics)
        self.wrong: set[str] = set()
        self.is_unreachable = False
        self.checked: list[str] = []

    def partition_counts(self, _: Iterable[str], __: Callable[[str], bool]) -> dict[str, int]:
        self._answer()
        return dict.fromkeys(self.topics, 1)

    def ensure_dead_letter_topic(self, topic: str, name: str, *, create: bool) -> DeadLetterTopic:
        assert create
        self._answer()
        self.checked.append(topic)
        if topic in self.wrong:
            raise TopicError(f"dead-letter topic {name} is wrong")
        return DeadLetterTopic(name, 1, None)

    def _answer(self) -> None:
        if self.is_unreachable:
            raise Unreachable("no broker answered")


class Bench:
    """A monitor over a scripted admin."""

    def __init__(self, admin: ScriptedAdmin) -> None:
        self._admin = cast("TopicAdmin", admin)
        self.fatal: list[str] = []
        self.counts: list[Mapping[str, int]] = []
        self.monitor = TopicMonitor(
            settings(topics=[{"topic": "^shop-.*", "format": "envelope"}]),
            lambda: self._admin,
            tuple,
            self.counts.append,
            lambda error: self.fatal.append(str(error)),
            lambda: 100.0,
        )

    def check(self) -> float:
        return self.monitor.check_topics(self._admin)

    def blocking_reason(self, topic: str) -> str | None:
        record = MemoryRecord(TopicPartition(topic, 0), 1, b"v")
        refusal = Refusal(Reason.REFUSED, "e")
        return self.monitor.blocking_reason(DeadLetter(record, f"{topic}.dlq", refusal, "b", "i", None))


def test_a_wrong_dead_letter_topic_holds_back_only_its_own_dead_letters() -> None:
    """The others are checked at the same time. Its own wait, with the reason, until a later check finds it
    right.
    """
    admin = ScriptedAdmin()
    bench = Bench(admin)
    bench.check()
    admin.topics, admin.wrong = ["shop-a", "shop-b"], {"shop-a"}
    bench.monitor.request_recheck("shop-a")
    bench.monitor.request_recheck("shop-b")

    assert bench.check() == RETRY_S
    assert admin.checked == ["shop-a", "shop-b"]
    assert bench.blocking_reason("shop-a") == "dead-letter topic shop-a.dlq is wrong"
    assert bench.blocking_reason("shop-b") is None
    assert bench.fatal == []

    admin.wrong.clear()

    assert bench.check() == REFRESH_S
    assert bench.blocking_reason("shop-a") is None


def test_a_wrong_dead_letter_topic_is_checked_less_and_less_often() -> None:
    """A request every two seconds for hours would help nobody. The longest pause is a minute."""
    admin = ScriptedAdmin()
    bench = Bench(admin)
    bench.check()
    admin.topics, admin.wrong = ["shop-a"], {"shop-a"}
    bench.monitor.request_recheck("shop-a")

    assert [bench.check() for _ in range(7)] == [2, 4, 8, 16, 32, 60, 60]


def test_a_wrong_dead_letter_topic_at_the_first_check_ends_the_start() -> None:
    """A configuration that can't work is an error when the bridge starts."""
    admin = ScriptedAdmin("shop-a")
    admin.wrong = {"shop-a"}
    bench = Bench(admin)

    bench.check()

    assert bench.fatal == ["dead-letter topic shop-a.dlq is wrong"]


def test_a_dead_letter_topic_is_checked_again_only_when_that_is_asked_for() -> None:
    """It costs requests, and nothing has changed, unless somebody has deleted the topic meanwhile."""
    admin = ScriptedAdmin("shop-a")
    bench = Bench(admin)
    bench.check()
    bench.monitor.request_checks(["shop-a"])
    bench.check()

    assert admin.checked == ["shop-a"]

    bench.monitor.request_recheck("shop-a")
    bench.check()

    assert admin.checked == ["shop-a", "shop-a"]


def test_what_is_due_stays_due_while_brokers_are_away() -> None:
    """A check without an answer is repeated soon, and then does everything that it had to do."""
    admin = ScriptedAdmin("shop-a")
    admin.is_unreachable = True
    bench = Bench(admin)

    assert bench.check() == RETRY_S

    admin.is_unreachable = False

    assert bench.check() == REFRESH_S
    assert admin.checked == ["shop-a"]


def test_partition_counts_are_reported_at_every_check() -> None:
    """The engine shares a rate by partitions, and topics grow."""
    admin = ScriptedAdmin("shop-a")
    bench = Bench(admin)
    bench.check()
    admin.topics.append("shop-b")
    bench.check()

    assert bench.counts == [{"shop-a": 1}, {"shop-a": 1, "shop-b": 1}]


def test_mapped_topics_that_do_not_exist_are_logged_once() -> None:
    """A misspelt topic would otherwise go unnoticed; one that is created later is read."""
    bench = Bench(ScriptedAdmin())
    with capture_logs() as logs:
        bench.check()
        bench.check()

    assert [(each["event"], each["topics"]) for each in logs] == [("topics.missing", ["^shop-.*"])]
