"""Topics and their dead-letter topics: that they exist, and that the principal may use
them; partitions and replicas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bridge.check.findings import TIMEOUT_S, Finding, Level
from bridge.codec.routes import is_regex, matches
from bridge.config.settings import Settings
from bridge.kafka.client_errors import Unreachable
from bridge.kafka.permissions import Permissions
from bridge.kafka.topics import TopicAdmin, TopicError

_GRANT_CREATE = (
    "grant the principal the ACL CREATE on it (DESCRIBE where it is there already), or create it and set "
    "dead_letter.create_topics: false"
)


def check(settings: Settings, counts: Mapping[str, int], replicas: int) -> Iterator[Finding]:
    """Check each topic and its dead-letter topic, then the partitions against the planned replicas (0:
    unknown).

    `counts` are the partitions of the topics that exist and are mapped.
    """
    yield from _missing(settings, counts)
    topics = TopicAdmin(settings.admin_properties(), TIMEOUT_S)
    permissions = Permissions(settings.admin_properties(), TIMEOUT_S)
    for name, count in counts.items():
        yield _permission(permissions, f"topic {name}", name, "READ", f"{count} partitions")
        entry = settings.entry_for(name)
        if entry is not None:
            dead_letter_topic = entry.dead_letter_topic_for(name)
            create = settings.dead_letter.create_topics
            yield from _dead_letter_topic(topics, permissions, name, dead_letter_topic, create=create)
    if counts:
        yield check_replicas(sum(counts.values()), replicas)


def mapped_partitions(settings: Settings) -> dict[str, int]:
    """Return the partition counts of the topics that exist and are mapped. Raises `Unreachable`."""
    topics = TopicAdmin(settings.admin_properties(), TIMEOUT_S)
    return topics.partition_counts([entry.topic for entry in settings.topics], settings.is_dead_letter_topic)


def missing_topics(settings: Settings, counts: Mapping[str, int]) -> list[str]:
    """Return the topics that the mapping names and that are not among those which exist."""
    names = [entry.topic for entry in settings.topics if not is_regex(entry.topic)]
    return [name for name in names if name not in counts]


def _missing(settings: Settings, counts: Mapping[str, int]) -> Iterator[Finding]:
    missing = missing_topics(settings, counts)
    for entry in settings.topics:
        name = entry.topic
        if name in missing:
            yield Finding(
                Level.FAIL,
                f"topic {name}",
                "does not exist, or may not be described",
                "create it, correct topics, or grant the ACL DESCRIBE",
            )
        elif is_regex(name) and not any(matches(name, topic) for topic in counts):
            next_step = "check the regex; the bridge finds topics that are created later"
            yield Finding(Level.WARN, f"topics {name}", "no topic matches", next_step)


def _permission(permissions: Permissions, subject: str, topic: str, operation: str, text: str) -> Finding:
    """Check whether the principal may do this to a topic; `text` is what is known of the topic already."""
    try:
        operations = permissions.operations(topic)
    except (TopicError, Unreachable) as problem:
        return Finding(Level.WARN, subject, f"{text}; its permissions can't be read: {problem}")
    if operations and operation not in operations:
        next_step = f"grant the principal the ACL {operation} on it"
        return Finding(Level.FAIL, subject, f"{text}; no permission to {operation}", next_step)
    return Finding(Level.OK, subject, f"{text}; may {operation.lower()}")


def _dead_letter_topic(
    topics: TopicAdmin, permissions: Permissions, source: str, name: str, *, create: bool
) -> Iterator[Finding]:
    """Check the dead-letter topic of a source; `create` is whether the bridge creates it
    at start if it is missing.
    """
    subject = f"dead-letter topic {name}"
    try:
        topic = topics.ensure_dead_letter_topic(source, name, create=False)
    except TopicError as problem:
        if create and "does not exist" in str(problem):
            yield _creation(permissions, name, subject)
        else:
            yield Finding(Level.FAIL, subject, str(problem))
        return
    except Unreachable as problem:
        yield Finding(Level.FAIL, subject, str(problem), unreachable=True)
        return
    for warning in topic.warnings:
        yield Finding(Level.WARN, subject, warning)
    size = f", messages up to {topic.max_message_bytes:,} bytes" if topic.max_message_bytes else ""
    yield _permission(permissions, subject, name, "WRITE", f"{topic.partitions} partitions{size}")


def _creation(permissions: Permissions, name: str, subject: str) -> Finding:
    """Check whether a missing topic could be created. The brokers are asked, and create nothing."""
    try:
        permissions.check_creation(name)
    except (TopicError, Unreachable) as problem:
        text = f"is not visible to the principal, and can't be created: {problem}"
        return Finding(Level.FAIL, subject, text, _GRANT_CREATE)
    return Finding(Level.OK, subject, "does not exist yet; the bridge may create it, and does so at start")


def check_replicas(total: int, planned: int) -> Finding:
    """Check how many replicas are planned (0: unknown) against how many partitions there are."""
    if planned > total:
        text = f"{total} in all, for {planned} replicas: {planned - total} of them would have nothing to do"
        next_step = f"plan at most {total} replicas, or add partitions to the topics"
        return Finding(Level.WARN, "partitions", text, next_step)
    if planned:
        most = -(-total // planned)
        return Finding(Level.OK, "partitions", f"{total} in all, for {planned} replicas: up to {most} each")
    return Finding(Level.OK, "partitions", f"{total} in all: at most {total} replicas have work")
