"""What a dead-letter topic must be like to keep every dead letter that it is given. Pure.

"The topic" is the one whose records are dead-lettered. Configurations are Kafka's, as texts; one is empty
where the principal may not read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HEADROOM_BYTES = 64 * 1024
"""How much larger a dead letter is than its record, at most: the error's text and the headers."""

_DEFAULT_MAX_MESSAGE_BYTES = 1_048_588
"""Kafka's own default of `max.message.bytes`."""


@dataclass(frozen=True, slots=True)
class DeadLetterTopic:
    """A dead-letter topic that exists and will do."""

    name: str
    partitions: int
    max_message_bytes: int | None
    """None where the principal may not read the topic's configuration."""
    created: bool = False
    """Whether it was created just now."""
    warnings: tuple[str, ...] = ()
    """What is not quite right, and what to do about it."""


def max_message_bytes(config: Mapping[str, str]) -> int | None:
    """Return a topic's limit for a batch of records; None where it is not known."""
    value = config.get("max.message.bytes")
    return int(value) if value else None


def wanted_config(topic_config: Mapping[str, str]) -> dict[str, str]:
    """Return the configuration of a new dead-letter topic, which deletes nothing and in which all fits."""
    limit = (max_message_bytes(topic_config) or _DEFAULT_MAX_MESSAGE_BYTES) + HEADROOM_BYTES
    return {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "max.message.bytes": str(limit),
    }


def error_in(config: Mapping[str, str], topic_config: Mapping[str, str]) -> str | None:
    """Return why a dead-letter topic would lose dead letters, and what to do about it.

    Returns None for a topic that will do.
    """
    policy = config.get("cleanup.policy", "")
    if "compact" in policy:
        return (
            f"cleanup.policy={policy} deletes dead letters of the same key and refuses those without one; "
            "set cleanup.policy=delete"
        )
    limit, topic_limit = max_message_bytes(config), max_message_bytes(topic_config)
    if limit is not None and topic_limit is not None and limit < topic_limit:
        return (
            f"max.message.bytes={limit} is smaller than the {topic_limit} of its topic, "
            "so that a large record could not be dead-lettered; "
            f"set max.message.bytes={topic_limit + HEADROOM_BYTES}"
        )
    return None


def warnings_about(
    name: str, config: Mapping[str, str], topic: str, topic_config: Mapping[str, str]
) -> tuple[str, ...]:
    """Return what may go wrong with an existing dead-letter topic in which there is no error."""
    warnings = []
    limit, topic_limit = max_message_bytes(config), max_message_bytes(topic_config)
    if limit is None or topic_limit is None:
        warnings.append(
            f"max.message.bytes of {topic} and {name} could not be compared: "
            "the principal lacks the ACL DESCRIBE_CONFIGS"
        )
    elif limit < topic_limit + HEADROOM_BYTES:
        warnings.append(
            f"max.message.bytes={limit} of {name} leaves less than {HEADROOM_BYTES} bytes "
            f"for the added headers of {topic}'s largest records; set {topic_limit + HEADROOM_BYTES}"
        )
    retention_ms = config.get("retention.ms", "-1")
    if retention_ms != "-1":
        warnings.append(f"{name} deletes dead letters after retention.ms={retention_ms}; set -1 to keep them")
    return tuple(warnings)
