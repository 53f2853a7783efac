"""Which route a topic takes."""

from __future__ import annotations

import pytest

from bridge.codec.routes import Route, matches, routes_by_topic
from bridge.model import Format


def test_the_first_matching_route_wins() -> None:
    """A topic that several entries match must always take the same route, and the user orders the entries."""
    routes = [Route(name, Format.RAW, "i", None) for name in ("web", "^web-.*", "^we", "web.x")]
    find = routes_by_topic(routes)
    topics = ("web", "web-1", "webby", "a-web-1", "x")

    assert [route and route.name for route in map(find, topics)] == ["web", "^web-.*", "^we", None, None]


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("web.x", "web.x", True),
        ("web.x", "web-x", False),
        ("web", "web-1", False),
        ("^web", "web-1", True),
        ("^web$", "web-1", False),
        ("^apple|b$", "apples", True),
        ("^apple|b$", "web", True),
        ("^apple|b$", "nope", False),
    ],
)
def test_a_name_is_compared_and_a_regex_is_searched_for(pattern: str, topic: str, expected: bool) -> None:
    """Kafka's client searches when it subscribes; a route that did not would miss topics that are read."""
    assert matches(pattern, topic) is expected
