"""Topics with inlets of their own and no default one; and properties that real clients have to take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

from bridge.config.loader import ConfigurationError, load
from bridge.config.memory_ceiling import ceiling
from bridge.config.settings import Settings
from bridge.config.settings_topics import TopicSettings

KAFKA = {"bootstrap_servers": "127.0.0.1:1"}


def inlet(name: str) -> dict[str, str]:
    """A topic's own inlet."""
    return {"inlet_url": f"https://dcs.adobedc.net/collection/{name}"}


def test_topics_with_their_own_inlets_need_no_default_one() -> None:
    """Each is complete, equal ones are one inlet, and a default that is missing is shown as that."""
    found = Settings.model_validate(
        {
            "kafka": KAFKA,
            "topics": [
                {"topic": name, "aep": inlet(which)} for name, which in (("a", "x"), ("b", "y"), ("c", "x"))
            ],
        }
    )
    first, second, third = (found.inlet_for(topic) for topic in found.topics)

    assert ["x", "y", "x"] == [first.inlet_id, second.inlet_id, third.inlet_id]
    assert first.identity == third.identity != second.identity
    assert (None, {}, None) == (first.auth, first.header_values(), first.proxy())
    assert found.masked()["aep"] is None
    assert ceiling(found)[0] > 0


def test_a_topic_without_an_inlet_asks_for_the_default_one(tmp_path: Path) -> None:
    """Also one whose own section says everything but where."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "kafka: {bootstrap_servers: k:1}\ntopics:\n- {topic: a, aep: {inlet_url: https://d/collection/x}}\n- {topic: b, aep: {ims_org_id: o}}\n"
    )
    with pytest.raises(
        ConfigurationError, match=r"aep: is required, since topics\[1\] has no inlet_url of its own; add aep"
    ):
        load(path, {})


def test_an_own_inlet_is_checked_like_the_default_one(tmp_path: Path) -> None:
    """A key without a certificate, and an entity without an organisation, under the topic's own keys."""
    path = tmp_path / "config.yaml"
    own = "{inlet_url: https://d/collection/x, client_key_file: k}"
    path.write_text(
        f"kafka: {{bootstrap_servers: k:1}}\ntopics:\n- {{topic: a, format: entity, dataset_id: d, schema_id: s, aep: {own}}}\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        load(path, {})

    assert f"{path}:3:" in str(caught.value)
    assert "topics[0].aep.client_key_file: is the key of no certificate" in str(caught.value)
    assert "topics[0].aep.ims_org_id: is required" in str(caught.value)


def test_a_key_written_twice_is_told_with_everything_else(tmp_path: Path) -> None:
    """One look at the message is enough to mend the file."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "kafka: {bootstrap_servers: k:1}\naep: {inlet_url: nowhere}\ntopics: [{topic: a}]\nbatch: {linger_ms: -1, linger_ms: 2}\nbatch: {}\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        load(path, {})

    assert 3 == str(caught.value).count("\n") + 1
    assert "batch: is written twice" in str(caught.value)
    assert "batch.linger_ms: is written twice" in str(caught.value)
    assert f"{path}:2:7: aep.inlet_url: must be" in str(caught.value)


def test_a_regex_matches_where_kafkas_client_finds_it() -> None:
    """`^a|b` is anchored in its first half only: the client searches."""
    topic = TopicSettings(topic="^a|b$")

    assert [True, True, False] == [topic.matches(name) for name in ("apple", "web", "nope")]


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"message.max.bytes": 20_000_000},
        {"queued.max.messages.kbytes": 1024},
        {"group.protocol": "consumer"},
        {"fetch.max.bytes": 2_000_000},
    ],
)
def test_real_clients_take_what_a_user_adds(properties: dict[str, Any]) -> None:
    """No default of ours contradicts a property of theirs: fetch.max.bytes must not be below message.max.bytes."""
    found = Settings.model_validate(
        {"kafka": {**KAFKA, "properties": properties}, "aep": inlet("x"), "topics": [{"topic": "a"}]}
    )
    Consumer({**found.consumer_properties(), "log_level": 0}).close()

    assert Producer({**found.producer_properties(), "log_level": 0}) is not None
