"""Dead letters in groups and in numbers."""

from __future__ import annotations

from bridge.replay.marks import Mark
from bridge.replay.summaries import Statistic, count, group_by_error
from tests.unit.replay.dead_letters import letter

MARK = Mark(0, "2026-11-24T12:00:00Z", "aep")
LETTERS = [
    (letter(1, 1, error="record 17 is wrong", failed=5000), None),
    (letter(2, 2, error="record 18 is wrong", failed=3000, topic="u"), MARK),
    (letter(3, 3, error="", reason="tombstone"), None),
]


def test_errors_of_one_kind_are_one_group() -> None:
    """An operator looks for kinds of faults: numbers and ids in an error's text do not make another one."""
    first, second = group_by_error(LETTERS)

    assert first.as_json() == {
        "reason": "refused",
        "status": None,
        "error": "record … is wrong",
        "count": 2,
        "first": "1970-01-01T00:00:03Z",
        "last": "1970-01-01T00:00:05Z",
        "topics": ["t", "u"],
        "sample": "t.dlq/0/1",
        "replayed": 1,
    }
    assert (second.error, second.count) == ("tombstone", 1)


def test_statistics_count_what_was_replayed_apart() -> None:
    """What is left to replay is what an operator wants to know."""
    assert count(LETTERS) == {
        Statistic("t.dlq", "t", "refused", 0, replayed=False): 1,
        Statistic("t.dlq", "u", "refused", 0, replayed=True): 1,
        Statistic("t.dlq", "t", "tombstone", 0, replayed=False): 1,
    }
