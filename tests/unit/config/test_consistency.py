"""Rules that hold between sections."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.model import Format
from tests.support.settings import INLET, problems, settings

ENTITY = {"topic": "a", "format": "entity", "dataset_id": "d", "schema_id": "s"}


@pytest.mark.parametrize(
    ("delivery", "expected"),
    [
        ({"request_timeout_s": 31}, "delivery.request_timeout_s: 31 s is more than drain_timeout_s"),
        (
            {"drain_timeout_s": 10},
            "delivery.request_timeout_s: 30 s is more than drain_timeout_s (10 s)",
        ),
        ({"window_bytes": 1_999_999}, "delivery.window_bytes: 1999999 does not hold two batches"),
        (
            {"revoke_timeout_s": 150},
            "delivery.revoke_timeout_s: 150 s is not less than half of max.poll.interval.ms",
        ),
    ],
)
def test_limits_must_fit_together(delivery: dict[str, Any], expected: str) -> None:
    """Each value is within its own bounds; together they would cost records their time, or the partitions."""
    lines = problems(delivery=delivery)

    assert len(lines) == 1, lines
    assert lines[0].startswith(expected), lines


def test_a_topic_is_mapped_once() -> None:
    """The second mapping would never be used."""
    assert problems(topics=["a", "b", "a"]) == [
        "topics.2.topic: a is mapped twice, first as topics[0]; leave one of them out"
    ]


@pytest.mark.parametrize(
    "topics",
    [
        ["a", "a.dlq"],
        ["a.dlq", "a"],
        [{"topic": "a", "dead_letter_topic": "b"}, "b"],
        [{"topic": "a", "dead_letter_topic": "a"}],
        ["^web-", "web-events.dlq"],
    ],
)
def test_a_dead_letter_topic_is_never_mapped_by_name(topics: list[Any]) -> None:
    """Its records would be sent, refused and written to it again."""
    assert "is a dead-letter topic of this bridge" in " ".join(problems(topics=topics))


def test_a_name_leaves_room_for_its_dead_letter_topic() -> None:
    """`<topic>.dlq` has to be a legal name too."""
    assert "longer than Kafka allows" in problems(topics=["a" * 246])[0]
    assert settings(topics=[{"topic": "a" * 246, "dead_letter_topic": "b"}])


@pytest.mark.parametrize("missing", ["dataset_id", "schema_id", "ims_org_id"])
def test_bare_entities_need_what_their_header_is_made_of(missing: str) -> None:
    """Without a dataset, a schema and an organisation AEP would refuse every record of the topic."""
    aep = {"inlet_url": INLET, "ims_org_id": "o@AdobeOrg"}
    topic = dict(ENTITY)
    assert settings(aep=aep, topics=[topic]).topics[0].format is Format.ENTITY

    del (aep if missing == "ims_org_id" else topic)[missing]
    lines = problems(aep=aep, topics=[topic])

    assert len(lines) == 1, lines
    assert missing in lines[0]


def test_an_organisation_of_the_topics_own_inlet_is_enough_for_entities() -> None:
    """The inlet that the topic really uses is what counts."""
    assert settings(topics=[{**ENTITY, "aep": {"ims_org_id": "o@AdobeOrg"}}])


def test_an_override_that_contradicts_the_default_is_refused() -> None:
    """The inlet that results is checked, and not only what the topic says."""
    auth = {"token_url": "https://ims.example/token", "client_id": "id", "client_secret": "hush-hush"}
    lines = problems(
        aep={"inlet_url": INLET, "auth": auth},
        topics=[{"topic": "a", "aep": {"headers": {"authorization": "x"}}}],
    )

    assert lines == ["topics.0.aep.headers.authorization: auth sets this header; leave one of them out"]


def test_what_is_seldom_intended_is_a_warning() -> None:
    """It is allowed, and may still be why records are missing.

    These are `latest`, a property that nobody knows, a key that the format does not use, and a name behind a
    regex that matches it first.
    """
    warnings = settings(
        kafka={
            "bootstrap_servers": "a:1",
            "properties": {"auto.offset.reset": "largest", "test.mock.num.brokers": 1},
        },
        topics=["^web", {"topic": "web-events", "schema_id": "s"}],
    ).warnings

    assert len(warnings) == 4
    assert "auto.offset.reset=largest" in warnings[0]
    assert "test.mock.num.brokers" in warnings[1]
    assert warnings[2].startswith("topics[1].schema_id: used with format entity only")
    assert warnings[3].startswith("topics[1].topic: web-events is matched by ^web before")
    assert settings().warnings == []
