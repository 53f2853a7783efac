"""The whole configuration: its defaults, what it answers to other rooms, and what it shows."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.settings import problems, settings


def test_the_defaults_are_those_of_the_documentation() -> None:
    """A user who leaves a key out relies on what the reference page says."""
    shown = settings().masked()
    topic = shown["topics"][0]

    assert shown["kafka"] == {"bootstrap_servers": "kafka:9092", "group_id": "aep-bridge", "properties": {}}
    assert shown["batch"] == {"max_bytes": 1_000_000, "max_messages": 1000, "linger_ms": 1000}
    assert shown["delivery"] == {
        "max_in_flight": 8,
        "max_uncommitted_records": 100_000,
        "window_bytes": 33_554_432,
        "request_timeout_s": 30,
        "retry_after_max_s": 300,
        "ordering": "none",
        "drain_timeout_s": 30,
        "revoke_timeout_s": 10,
        "backoff_max_s": 60,
    }
    assert shown["dead_letter"] == {"create_topics": True, "flood_guard": 1000, "tombstones": "skip"}
    assert shown["admin"] == {"host": "0.0.0.0", "port": 8080, "token_file": None}
    assert shown["logging"] == {"level": "info", "format": "auto"}
    assert (topic["format"], topic["schema_version"], topic["dead_letter_topic"]) == ("envelope", "1", None)


def test_settings_are_frozen() -> None:
    """What was checked at start stays as it was checked."""
    with pytest.raises(ValidationError):
        settings().batch.max_bytes = 5  # type: ignore[misc]


def test_the_process_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the loader reads variables, and only those that it is given."""
    monkeypatch.setenv("AEP_BRIDGE_KAFKA__GROUP_ID", "from-the-environment")

    assert settings().kafka.group_id == "aep-bridge"


def test_a_section_without_content_has_the_defaults() -> None:
    """`batch:` with nothing below it is null in YAML."""
    assert settings(batch=None, delivery=None, admin=None) == settings()


@pytest.mark.parametrize(
    ("sections", "key"),
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
def test_a_value_out_of_bounds_is_refused(sections: dict[str, Any], key: str) -> None:
    """A wrong configuration must fail at start, under the key that is wrong."""
    lines = problems(**sections)

    assert len(lines) == 1, lines
    assert lines[0].startswith(f"{key}: "), lines


def test_a_regex_may_match_dead_letter_topics() -> None:
    """`^.*` is a fine mapping, because dead-letter topics are left out while the bridge reads."""
    everything = settings(topics=["^.*"])

    assert everything.is_dead_letter_topic("web-events.dlq")
    assert everything.is_dead_letter_topic("web-events.dlq.dlq")
    assert not everything.is_dead_letter_topic("web-events")


def test_dead_letter_topics_are_known_by_name_and_by_rule() -> None:
    """Reading one of them would send a refused record again and again.

    They are explicit names, `<topic>.dlq` of mapped names, and `X.dlq` where a regex matches X. The first
    entry that matches decides.
    """
    configured = settings(
        topics=[
            "web",
            {"topic": "crm", "dead_letter_topic": "crm.refused"},
            {"topic": "^shop-", "dead_letter_topic": "shop.bad"},
            "^shops-",
            "^c",
        ],
    )
    dead_letter_topics = ["web.dlq", "crm.refused", "shop.bad", "shops-1.dlq", "cdp.dlq"]
    others = ["web", "crm.dlq", "shop-1.dlq", "other.dlq", ".dlq"]

    assert all(configured.is_dead_letter_topic(name) for name in dead_letter_topics)
    assert not any(configured.is_dead_letter_topic(name) for name in others)
    assert configured.topics[2].dead_letter_topic_for("shop-1") == "shop.bad"
    assert configured.topics[3].dead_letter_topic_for("shops-1") == "shops-1.dlq"
