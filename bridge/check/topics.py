"""Topics, dead-letter topics, permissions, partitions against replicas, and the group."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AclOperation, AdminClient  # type: ignore[attr-defined]  # missing in its stubs
from confluent_kafka.cimpl import NewTopic

from bridge.check.findings import TIMEOUT_S, Finding, Level
from bridge.codec.routes import is_regex, matches
from bridge.config.settings import Settings
from bridge.kafka.topics import TopicError, Topics, Unreachable


def findings(settings: Settings, admin: AdminClient, replicas: int) -> Iterator[Finding]:
    """Each topic and its dead-letter topic, the partitions against the planned replicas (0: unknown), the group."""
    topics = Topics(settings.admin_properties(), TIMEOUT_S)
    mapped = [topic.topic for topic in settings.topics]
    counts = topics.partitions(mapped, settings.is_dead_letter_topic)
    for name in mapped:
        if not is_regex(name) and name not in counts:
            yield Finding(
                Level.FAIL,
                f"topic {name}",
                "does not exist, or may not be described",
                "create it, correct topics, or grant the ACL DESCRIBE",
            )
        elif is_regex(name) and not any(matches(name, topic) for topic in counts):
            yield Finding(
                Level.WARN,
                f"topics {name}",
                "no topic matches",
                "check the regex; topics that come later are found",
            )
    for name, count in counts.items():
        yield _may(admin, name, AclOperation.READ, f"{count} partitions", "topic")
        entry = settings.entry_for(name)
        if entry is not None:
            yield from _letters(settings, topics, admin, name, entry.dead_letter_topic_for(name))
    if counts:
        yield _replicas(sum(counts.values()), replicas)
    yield from _group(settings, admin, counts)


def _may(admin: AdminClient, topic: str, operation: AclOperation, found: str, kind: str) -> Finding:
    """Whether the principal may do this to a topic, as the broker tells."""
    try:
        described = admin.describe_topics(
            TopicCollection([topic]), include_authorized_operations=True, request_timeout=TIMEOUT_S
        )[topic].result(TIMEOUT_S)
        allowed = described.authorized_operations or []
    except (KafkaException, TimeoutError) as problem:
        return Finding(
            Level.WARN, f"{kind} {topic}", f"{found}; its permissions can't be read: {problem}", ""
        )
    if allowed and operation not in allowed:
        return Finding(
            Level.FAIL,
            f"{kind} {topic}",
            f"{found}; no permission to {operation.name}",
            f"grant the principal the ACL {operation.name} on it",
        )
    return Finding(Level.OK, f"{kind} {topic}", f"{found}; may {operation.name.lower()}")


def _letters(
    settings: Settings, topics: Topics, admin: AdminClient, source: str, name: str
) -> Iterator[Finding]:
    what = f"dead-letter topic {name}"
    try:
        made = topics.ensure(source, name, create=False)
    except TopicError as problem:
        if "does not exist" in str(problem) and settings.dead_letter.create_topics:
            yield _creatable(admin, name, what)
        else:
            yield Finding(Level.FAIL, what, str(problem))
        return
    except Unreachable as problem:
        yield Finding(Level.FAIL, what, str(problem), unreachable=True)
        return
    for warning in made.warnings:
        yield Finding(Level.WARN, what, warning)
    size = f", messages up to {made.max_message_bytes:,} bytes" if made.max_message_bytes else ""
    yield _may(admin, name, AclOperation.WRITE, f"{made.partitions} partitions{size}", "dead-letter topic")


def _creatable(admin: AdminClient, name: str, what: str) -> Finding:
    """Whether a topic that is not there could be created; the broker is asked, and creates nothing."""
    try:
        admin.create_topics([NewTopic(name, 1, -1)], validate_only=True, request_timeout=TIMEOUT_S)[
            name
        ].result(TIMEOUT_S)
    except (KafkaException, TimeoutError) as problem:
        text = problem.args[0].str() if isinstance(problem, KafkaException) else "no answer"
        do = "grant the principal the ACL CREATE on it (DESCRIBE where it is there already), or create it and set dead_letter.create_topics: false"
        return Finding(Level.FAIL, what, f"is not to be seen, and can't be created: {text}", do)
    return Finding(Level.OK, what, "does not exist yet; may be created, and is at start")


def _replicas(total: int, planned: int) -> Finding:
    if planned > total:
        do = f"plan at most {total} replicas, or add partitions to the topics"
        return Finding(
            Level.WARN,
            "partitions",
            f"{total} in all, for {planned} replicas: {planned - total} of them would have nothing to do",
            do,
        )
    if planned:
        return Finding(
            Level.OK,
            "partitions",
            f"{total} in all, for {planned} replicas: up to {-(-total // planned)} each",
        )
    return Finding(Level.OK, "partitions", f"{total} in all: at most {total} replicas have work")


def _group(settings: Settings, admin: AdminClient, counts: dict[str, int]) -> Iterator[Finding]:
    group, what = settings.kafka.group_id, f"group {settings.kafka.group_id}"
    total = sum(counts.values())
    try:
        described = admin.describe_consumer_groups(
            [group], include_authorized_operations=True, request_timeout=TIMEOUT_S
        )[group].result(TIMEOUT_S)
    except (KafkaException, TimeoutError) as problem:
        if "GROUP_ID_NOT_FOUND" in str(problem):
            yield Finding(Level.OK, what, f"new; {total} partitions to read from the start")
        else:
            yield Finding(
                Level.WARN,
                what,
                f"can't be described: {problem}",
                "grant the principal the ACLs DESCRIBE and READ on the group",
            )
        return
    allowed = described.authorized_operations or []
    if allowed and AclOperation.READ not in allowed:
        yield Finding(
            Level.FAIL, what, "no permission to join", "grant the principal the ACL READ on the group"
        )
        return
    lag = _lag(settings, admin, counts)
    members = len(described.members)
    found = (
        f"{members} members, lag {lag:,} over {total} partitions"
        if lag is not None
        else f"{members} members, {total} partitions"
    )
    if members > total:
        yield Finding(
            Level.WARN, what, found, f"more members than partitions: at most {total} replicas have work"
        )
    else:
        yield Finding(Level.OK, what, found)


def _lag(settings: Settings, admin: AdminClient, counts: dict[str, int]) -> int | None:
    """End offsets less committed ones; what was never committed counts from the beginning."""
    places = [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]
    if not places:  # no mapped topic exists, which is told elsewhere
        return None
    group = settings.kafka.group_id
    consumer = Consumer({**settings.consumer_properties(), "enable.auto.commit": False})
    try:
        request = [ConsumerGroupTopicPartitions(group, places)]
        committed = (
            admin.list_consumer_group_offsets(request, request_timeout=TIMEOUT_S)[group]
            .result(TIMEOUT_S)
            .topic_partitions
        )
        lag = 0
        for place in committed:
            low, high = consumer.get_watermark_offsets(
                TopicPartition(place.topic, place.partition), timeout=TIMEOUT_S
            )
            lag += max(0, high - (place.offset if place.offset >= 0 else low))
    except (KafkaException, TimeoutError):
        return None
    else:
        return lag
    finally:
        consumer.close()
