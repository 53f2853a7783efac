"""What the settings accept, what they refuse, and what they answer to the rooms that ask."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bridge.config.problems import InvalidSettings
from bridge.config.settings import Settings
from bridge.model import Format

INLET = "https://dcs.adobedc.net/collection/aaaa"


def settings(**sections: Any) -> Settings:
    """Minimal settings with some sections replaced; `topics` may be names."""
    topics = [
        {"topic": topic} if isinstance(topic, str) else topic
        for topic in sections.pop("topics", ["web-events"])
    ]
    return Settings.model_validate(
        {
            "kafka": {"bootstrap_servers": "kafka:9092"},
            "aep": {"inlet_url": INLET},
            "topics": topics,
            **sections,
        }
    )


def problems(**sections: Any) -> list[str]:
    """The places and texts of what is wrong."""
    with pytest.raises(ValidationError) as caught:
        settings(**sections)
    found = []
    for error in caught.value.errors(include_input=False):
        cause = error.get("ctx", {}).get("error")
        several = cause.problems if isinstance(cause, InvalidSettings) else [((), error["msg"])]
        found += [f"{'.'.join(str(part) for part in (*error['loc'], *loc))}: {text}" for loc, text in several]
    return found


def test_the_defaults_are_those_of_the_contract() -> None:
    """Every default that the documented configuration file shows."""
    found = settings().masked()

    assert {"bootstrap_servers": "kafka:9092", "group_id": "aep-bridge", "properties": {}} == found["kafka"]
    assert {"max_bytes": 1_000_000, "max_messages": 1000, "linger_ms": 1000} == found["batch"]
    assert {
        "max_in_flight": 8,
        "max_uncommitted_records": 100_000,
        "window_bytes": 33_554_432,
        "request_timeout_s": 30,
        "retry_after_max_s": 300,
        "ordering": "none",
        "drain_timeout_s": 30,
        "revoke_timeout_s": 10,
        "backoff_max_s": 60,
    } == found["delivery"]
    assert {"create_topics": True, "flood_guard": 1000, "tombstones": "skip"} == found["dead_letter"]
    assert {"host": "0.0.0.0", "port": 8080, "token_file": None} == found["admin"]
    assert {"level": "info", "format": "auto"} == found["logging"]
    assert ("envelope", "1", None) == (
        found["topics"][0]["format"],
        found["topics"][0]["schema_version"],
        found["topics"][0]["dead_letter_topic"],
    )


def test_settings_are_frozen() -> None:
    """Nobody changes them after they were checked."""
    with pytest.raises(ValidationError):
        settings().batch.max_bytes = 5  # type: ignore[misc]


def test_the_process_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only `configuration.load` looks at variables, those that it is given."""
    monkeypatch.setenv("AEP_BRIDGE_KAFKA__GROUP_ID", "from-the-environment")

    assert "aep-bridge" == settings().kafka.group_id


def test_a_section_without_content_means_the_defaults() -> None:
    """`batch:` with nothing below it is null in YAML."""
    assert settings() == settings(batch=None, delivery=None, admin=None)


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"batch": {"max_bytes": 1_000_001}}, "batch.max_bytes"),
        ({"batch": {"max_bytes": 9_999}}, "batch.max_bytes"),
        ({"batch": {"max_messages": 0}}, "batch.max_messages"),
        ({"batch": {"linger_ms": -1}}, "batch.linger_ms"),
        ({"batch": {"linger_ms": "1"}}, "batch.linger_ms"),
        ({"batch": {"linger_ms": True}}, "batch.linger_ms"),
        ({"delivery": {"max_in_flight": 0}}, "delivery.max_in_flight"),
        ({"delivery": {"backoff_max_s": float("nan")}}, "delivery.backoff_max_s"),
        ({"delivery": {"ordering": "key"}}, "delivery.ordering"),
        (
            {"delivery": {"request_timeout_s": 31}},
            "delivery.request_timeout_s: 31 s is more than drain_timeout_s",
        ),
        (
            {"delivery": {"drain_timeout_s": 10}},
            "delivery.request_timeout_s: 30 s is more than drain_timeout_s (10 s)",
        ),
        (
            {"delivery": {"window_bytes": 1_999_999}},
            "delivery.window_bytes: 1999999 does not hold two batches",
        ),
        (
            {"delivery": {"revoke_timeout_s": 150}},
            "delivery.revoke_timeout_s: 150 s is not less than half of max.poll.interval.ms",
        ),
        ({"dead_letter": {"flood_guard": -1}}, "dead_letter.flood_guard"),
        ({"admin": {"port": 65536}}, "admin.port"),
        ({"topics": []}, "topics"),
        ({"kafka": {"bootstrap_servers": "kafka:90 92"}}, "kafka.bootstrap_servers"),
        ({"kafka": {"bootstrap_servers": "a:1,,b:2"}}, "kafka.bootstrap_servers"),
        ({"kafka": {"bootstrap_servers": ""}}, "kafka.bootstrap_servers"),
        ({"kafka": {"bootstrap_servers": "a:1", "group_id": ""}}, "kafka.group_id"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_what_is_out_of_bounds_is_refused(sections: dict[str, Any], told: str) -> None:
    """Each bound, and each pair of settings that has to fit together, names its key."""
    found = problems(**sections)

    assert 1 == len(found), found
    assert found[0].startswith(told), found


def test_a_topic_mapped_twice_is_refused() -> None:
    """The second mapping would never be used."""
    assert ["topics.2.topic: a is mapped twice, first as topics[0]; leave one of them out"] == problems(
        topics=["a", "b", "a"]
    )


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
    """Its letters would be delivered, refused and written to it again."""
    assert "is a dead-letter topic of this bridge" in " ".join(problems(topics=topics))


def test_a_regex_may_match_dead_letter_topics() -> None:
    """They are left out while running, so that ^.* is a fine mapping."""
    found = settings(topics=["^.*"])

    assert found.is_dead_letter_topic("web-events.dlq")
    assert found.is_dead_letter_topic("web-events.dlq.dlq")
    assert not found.is_dead_letter_topic("web-events")


def test_dead_letter_topics_are_known_by_name_and_by_rule() -> None:
    """Explicit names, `<topic>.dlq` of names, and `X.dlq` where a regex matches X; the first entry that matches decides."""
    found = settings(
        topics=[
            "web",
            {"topic": "crm", "dead_letter_topic": "crm.refused"},
            {"topic": "^shop-", "dead_letter_topic": "shop.bad"},
            "^shops-",
            "^c",
        ],
    )

    assert ["web.dlq", "crm.refused", "shop.bad", "shops-1.dlq", "cdp.dlq"] == [
        name
        for name in (
            "web",
            "web.dlq",
            "crm.dlq",
            "crm.refused",
            "shop-1.dlq",
            "shop.bad",
            "shops-1.dlq",
            "cdp.dlq",
            "other.dlq",
            ".dlq",
        )
        if found.is_dead_letter_topic(name)
    ]
    assert "shop.bad" == found.topics[2].dead_letter_topic_for("shop-1")
    assert "shops-1.dlq" == found.topics[3].dead_letter_topic_for("shops-1")


@pytest.mark.parametrize("name", ["", "web events", "a/b", ".", "..", "é", "a" * 250])
def test_topic_names_are_those_that_kafka_allows(name: str) -> None:
    """Letters, digits, dot, underscore and hyphen, up to 249."""
    assert problems(topics=[name])[0].startswith("topics.0.topic")
    assert problems(topics=[{"topic": "a", "dead_letter_topic": name}])[0].startswith(
        "topics.0.dead_letter_topic"
    )


def test_a_name_that_leaves_no_room_for_its_dead_letter_topic_is_refused() -> None:
    """`<topic>.dlq` has to be a legal name too."""
    assert "longer than Kafka allows" in problems(topics=["a" * 246])[0]
    assert settings(topics=[{"topic": "a" * 246, "dead_letter_topic": "b"}])


@pytest.mark.parametrize("regex", [r"^a\d+$", "^(?!b)", "^(?:a)", "^a+?", "^(a", "^[a"])
def test_regexes_that_the_client_would_read_differently_are_refused(regex: str) -> None:
    r"""The C client's regexes are POSIX extended: there \d is the letter d, and nothing says so."""
    assert problems(topics=[regex])[0].startswith("topics.0.topic")


@pytest.mark.parametrize("missing", ["dataset_id", "schema_id", "ims_org_id"])
def test_bare_entities_need_what_their_header_is_made_of(missing: str) -> None:
    """A dataset, a schema and an organisation; nothing else is asked of the other formats."""
    topic = {"topic": "a", "format": "entity", "dataset_id": "d", "schema_id": "s"}
    aep = {"inlet_url": INLET, "ims_org_id": "o@AdobeOrg"}
    where = aep if missing == "ims_org_id" else topic
    assert settings(aep=aep, topics=[topic]).topics[0].format is Format.ENTITY
    del where[missing]

    assert [missing in problem for problem in problems(aep=aep, topics=[topic])] == [True]


def test_an_organisation_of_the_topics_own_inlet_is_enough_for_entities() -> None:
    """What counts is the inlet that the topic really uses."""
    assert settings(
        topics=[
            {
                "topic": "a",
                "format": "entity",
                "dataset_id": "d",
                "schema_id": "s",
                "aep": {"ims_org_id": "o@AdobeOrg"},
            }
        ]
    )


def test_warnings_tell_of_what_is_seldom_meant() -> None:
    """`latest`, keys that the format does not use, a name behind a regex that takes it, a property nobody knows."""
    found = settings(
        kafka={
            "bootstrap_servers": "a:1",
            "properties": {"auto.offset.reset": "largest", "test.mock.num.brokers": 1},
        },
        topics=["^web", {"topic": "web-events", "schema_id": "s"}],
    ).warnings

    assert 4 == len(found)
    assert "auto.offset.reset=largest" in found[0]
    assert "test.mock.num.brokers" in found[1]
    assert [] == settings().warnings
