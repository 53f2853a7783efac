"""Which topics hold dead letters."""

from __future__ import annotations

import pytest

from bridge.replay import reading
from tests.support.settings import settings


def test_topics_of_replays_are_never_read() -> None:
    """Parking topics and marks match a regex as well as any other name; the bridge must leave them alone."""
    configured = settings(
        kafka={"bootstrap_servers": "a:1", "group_id": "my group"},
        topics=[{"topic": "^.*"}, {"topic": "a", "dead_letter_topic": "dead"}],
    )

    assert configured.replayed_topic == "my_group.replayed"
    own = ("my_group.replayed", "a.dlq.parked", "dead.parked", "x.dlq")
    assert all(map(configured.is_dead_letter_topic, own))
    assert not any(map(configured.is_dead_letter_topic, ("a.parked", "other.replayed", "a")))


def test_parked_records_and_marks_are_no_dead_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is parked stays parked: only a topic that is named is read beside the configuration's own."""
    existing = {"t": 3, "t.dlq": 3, "t.dlq.parked": 1, "aep-bridge.replayed": 1, "other.dlq": 2}

    class TopicAdmin:
        def __init__(self, _: object) -> None: ...

        def partition_counts(self, _: object) -> dict[str, int]:
            return existing

    monkeypatch.setattr(reading, "TopicAdmin", TopicAdmin)
    configured = settings(topics=[{"topic": "t"}])

    assert reading.dead_letter_topics(configured) == {"t.dlq": 3}
    assert reading.dead_letter_topics(configured, ["other.dlq"]) == {"other.dlq": 2}
    with pytest.raises(LookupError, match=r"nowhere: no such topic; dead-letter topics here: t\.dlq"):
        reading.dead_letter_topics(configured, ["t.dlq", "nowhere"])
