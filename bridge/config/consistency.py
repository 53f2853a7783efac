"""Rules that hold between sections: what must fit together, and what is allowed but seldom intended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from bridge.config.problems import Problem
from bridge.config.settings_aep import AepSettings, inlet_of
from bridge.config.settings_delivery import BatchSettings, DeliverySettings
from bridge.config.settings_kafka import KafkaSettings
from bridge.config.settings_topics import TopicSettings
from bridge.model import Format

_LONGEST_TOPIC = 249


def limit_problems(
    batch: BatchSettings, delivery: DeliverySettings, kafka: KafkaSettings
) -> Iterator[Problem]:
    """Yield the limits of time and size that contradict each other."""
    if delivery.request_timeout_s > delivery.drain_timeout_s:
        yield Problem(
            ("delivery", "request_timeout_s"),
            f"{delivery.request_timeout_s:g} s is more than drain_timeout_s "
            f"({delivery.drain_timeout_s:g} s), so that a drain could not wait for a request; "
            "lower it, or raise drain_timeout_s",
        )
    smallest_window = 2 * batch.max_bytes
    if delivery.window_bytes < smallest_window:
        yield Problem(
            ("delivery", "window_bytes"),
            f"{delivery.window_bytes} does not hold two batches of batch.max_bytes ({batch.max_bytes}); "
            f"give at least {smallest_window}",
        )
    if delivery.revoke_timeout_s * 2 >= kafka.max_poll_interval_s:
        yield Problem(
            ("delivery", "revoke_timeout_s"),
            f"{delivery.revoke_timeout_s:g} s is not less than half of max.poll.interval.ms "
            f"({kafka.max_poll_interval_s:g} s), after which the group takes the partitions away; lower it",
        )


def topic_problems(
    topics: Sequence[TopicSettings], is_dead_letter_topic: Callable[[str], bool]
) -> Iterator[Problem]:
    """Yield the entries of the mapping that contradict another one, or read what the bridge writes."""
    first_index: dict[str, int] = {}
    for index, entry in enumerate(topics):
        key_path = ("topics", index, "topic")
        first = first_index.setdefault(entry.topic, index)
        if first != index:
            text = f"{entry.topic} is mapped twice, first as topics[{first}]; leave one of them out"
            yield Problem(key_path, text)
        if entry.is_regex:
            continue
        if is_dead_letter_topic(entry.topic):
            yield Problem(
                key_path,
                f"{entry.topic} is a dead-letter topic of this bridge, which never reads those; "
                "leave it out, or rename the dead-letter topic",
            )
        if len(entry.dead_letter_topic_for(entry.topic)) > _LONGEST_TOPIC:
            text = "with .dlq behind it the name is longer than Kafka allows; set dead_letter_topic"
            yield Problem(key_path, text)


def inlet_problems(topics: Sequence[TopicSettings], aep: AepSettings | None) -> Iterator[Problem]:
    """Yield what is missing or contradictory in the inlet of a topic."""
    for index, entry in enumerate(topics):
        if aep is None and (entry.aep is None or entry.aep.inlet_url is None):
            yield Problem(
                ("aep",), f"is required, since topics[{index}] has no inlet_url of its own; add aep"
            )
            continue
        inlet = inlet_of(aep, entry.aep)
        if entry.aep is not None:
            for key_path, text in inlet.problems():
                yield Problem(("topics", index, "aep", *key_path), text)
        if entry.format is not Format.ENTITY:
            continue
        for name in ("dataset_id", "schema_id"):
            if getattr(entry, name) is None:
                yield Problem(
                    ("topics", index, name),
                    f"is required with format entity, where the bridge writes the header; add {name}",
                )
        if inlet.ims_org_id is None:
            section = ("aep",) if aep is not None else ("topics", index, "aep")
            text = f"is required for topics[{index}], which has format entity; add ims_org_id"
            yield Problem((*section, "ims_org_id"), text)


def topic_warnings(topics: Sequence[TopicSettings]) -> Iterator[str]:
    """Yield the entries of the mapping, or keys in them, that have no effect."""
    for index, entry in enumerate(topics):
        for_entities = [name for name in ("schema_id", "schema_version") if name in entry.model_fields_set]
        if for_entities and entry.format is not Format.ENTITY:
            yield (
                f"topics[{index}].{for_entities[0]}: used with format entity only; "
                f"this topic has format {entry.format}"
            )
        if entry.is_regex:
            continue
        earlier = [other for other in topics[:index] if other.is_regex and other.matches(entry.topic)]
        if earlier:
            yield (
                f"topics[{index}].topic: {entry.topic} is matched by {earlier[0].topic} before, "
                "and the first match wins; move the name above the regex"
            )
