"""One entry of the topic mapping."""

from __future__ import annotations

import pytest

from bridge.config.settings_topics import TopicSettings
from tests.support.settings import problems


@pytest.mark.parametrize("name", ["", "web events", "a/b", ".", "..", "é", "a" * 250])
def test_topic_names_are_those_that_kafka_allows(name: str) -> None:
    """Letters, digits, dot, underscore and hyphen, up to 249: no broker has a topic of another name."""
    topic = problems(topics=[name])
    dead_letter_topic = problems(topics=[{"topic": "a", "dead_letter_topic": name}])

    assert topic[0].startswith("topics.0.topic")
    assert dead_letter_topic[0].startswith("topics.0.dead_letter_topic")


@pytest.mark.parametrize("regex", [r"^a\d+$", "^(?!b)", "^(?:a)", "^a+?", "^(a", "^[a"])
def test_regexes_that_the_client_would_read_differently_are_refused(regex: str) -> None:
    r"""The C client's regexes are POSIX extended: there \d is the letter d, and nothing says so."""
    assert problems(topics=[regex])[0].startswith("topics.0.topic")


def test_a_regex_matches_where_kafkas_client_finds_it() -> None:
    """`^a|b` is anchored in its first half only, because the client searches."""
    entry = TopicSettings(topic="^a|b$")

    assert [entry.matches(name) for name in ("apple", "web", "nope")] == [True, True, False]
