"""What `aep-bridge check` looks at before a deploy: one finding for each thing, with what to do where it is wrong. Changes nothing, delivers nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum

import httpx
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AclOperation, AdminClient  # type: ignore[attr-defined]  # missing in its stubs

from bridge.auth import TokenError, TokenSource
from bridge.memory import ceiling, container_limit
from bridge.settings import AepSettings, Settings
from bridge.topics import TopicError, Topics, Unreachable
from bridge.transport import LeanTransport, Tls

TIMEOUT_S = 10.0
SKEW_S = 60.0


class Level(StrEnum):
    """How a finding ended."""

    OK = "ok"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the check."""

    level: Level
    what: str
    found: str
    do: str = ""
    unreachable: bool = False
    """The upstream could not be reached at all: exit code 3 instead of 1."""


def offline(settings: Settings) -> Iterator[Finding]:
    """What needs no connection."""
    inlets = {settings.inlet_for(topic).identity for topic in settings.topics}
    yield Finding(Level.OK, "configuration", f"{len(settings.topics)} topics or regexes, {len(inlets)} inlets")
    for warning in settings.warnings:
        yield Finding(Level.WARN, "configuration", warning)
    size, text = ceiling(settings)
    limit = container_limit()
    yield Finding(Level.OK, "memory", f"at most {size / 1048576:.0f} MiB ({text})" + (f"; the container has {limit / 1048576:.0f} MiB" if limit else ""))


def online(settings: Settings) -> Iterator[Finding]:
    """Brokers, topics, group, tokens, inlets."""
    try:
        admin = AdminClient(settings.admin_properties())
        cluster = admin.list_topics(timeout=TIMEOUT_S)
    except (KafkaException, OSError) as problem:
        text = problem.args[0].str() if isinstance(problem, KafkaException) else str(problem)
        do = "check kafka.bootstrap_servers, and security.protocol, sasl.* and ssl.* in kafka.properties, against the broker's listener"
        yield Finding(Level.FAIL, "brokers", f"{settings.kafka.bootstrap_servers}: {text}", do, unreachable=True)
    else:
        protocol = settings.kafka.text_of("security.protocol", "plaintext")
        yield Finding(Level.OK, "brokers", f"{len(cluster.brokers)} of them answer over {protocol}")
        yield from _topics(settings, admin)
    seen = set()
    for topic in settings.topics:
        aep = settings.inlet_for(topic)
        if aep.identity not in seen:
            seen.add(aep.identity)
            yield from _inlet(aep)


def _topics(settings: Settings, admin: AdminClient) -> Iterator[Finding]:
    topics = Topics(settings.admin_properties(), TIMEOUT_S)
    mapped = [topic.topic for topic in settings.topics]
    counts = topics.partitions(mapped, settings.is_dead_letter_topic)
    for name in mapped:
        if not name.startswith("^") and name not in counts:
            yield Finding(Level.FAIL, f"topic {name}", "does not exist, or may not be described", "create it, correct topics, or grant the ACL DESCRIBE")
        elif name.startswith("^") and not any(entry.matches(found) for found in counts for entry in settings.topics if entry.topic == name):
            yield Finding(Level.WARN, f"topics {name}", "no topic matches", "check the regex; topics that come later are found")
    for name, count in counts.items():
        yield _may(admin, name, AclOperation.READ, f"{count} partitions", "topic")
        entry = settings.entry_for(name)
        if entry is not None:
            yield from _letters(settings, topics, admin, name, entry.dead_letter_topic_for(name))
    yield from _group(settings, admin, counts)


def _may(admin: AdminClient, topic: str, operation: AclOperation, found: str, kind: str) -> Finding:
    """Whether the principal may do this to a topic, as the broker tells."""
    try:
        described = admin.describe_topics(TopicCollection([topic]), include_authorized_operations=True, request_timeout=TIMEOUT_S)[topic].result(TIMEOUT_S)
        allowed = described.authorized_operations or []
    except (KafkaException, TimeoutError) as problem:
        return Finding(Level.WARN, f"{kind} {topic}", f"{found}; its permissions can't be read: {problem}", "")
    if allowed and operation not in allowed:
        return Finding(Level.FAIL, f"{kind} {topic}", f"{found}; no permission to {operation.name}", f"grant the principal the ACL {operation.name} on it")
    return Finding(Level.OK, f"{kind} {topic}", f"{found}; may {operation.name.lower()}")


def _letters(settings: Settings, topics: Topics, admin: AdminClient, source: str, name: str) -> Iterator[Finding]:
    what = f"dead-letter topic {name}"
    try:
        made = topics.ensure(source, name, create=False)
    except TopicError as problem:
        if "does not exist" in str(problem) and settings.dead_letter.create_topics:
            yield Finding(Level.OK, what, "does not exist yet; created at start", "")
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


def _group(settings: Settings, admin: AdminClient, counts: dict[str, int]) -> Iterator[Finding]:
    group, what = settings.kafka.group_id, f"group {settings.kafka.group_id}"
    total = sum(counts.values())
    try:
        described = admin.describe_consumer_groups([group], include_authorized_operations=True, request_timeout=TIMEOUT_S)[group].result(TIMEOUT_S)
    except (KafkaException, TimeoutError) as problem:
        if "GROUP_ID_NOT_FOUND" in str(problem):
            yield Finding(Level.OK, what, f"new; {total} partitions to read from the start")
        else:
            yield Finding(Level.WARN, what, f"can't be described: {problem}", "grant the principal the ACLs DESCRIBE and READ on the group")
        return
    allowed = described.authorized_operations or []
    if allowed and AclOperation.READ not in allowed:
        yield Finding(Level.FAIL, what, "no permission to join", "grant the principal the ACL READ on the group")
        return
    lag = _lag(settings, admin, counts)
    members = len(described.members)
    found = f"{members} members, lag {lag:,} over {total} partitions" if lag is not None else f"{members} members, {total} partitions"
    if members > total:
        yield Finding(Level.WARN, what, found, f"more members than partitions: at most {total} replicas have work")
    else:
        yield Finding(Level.OK, what, found)


def _lag(settings: Settings, admin: AdminClient, counts: dict[str, int]) -> int | None:
    """End offsets less committed ones; what was never committed counts from the beginning."""
    places = [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]
    group = settings.kafka.group_id
    consumer = Consumer({**settings.consumer_properties(), "enable.auto.commit": False})
    try:
        request = [ConsumerGroupTopicPartitions(group, places)]
        committed = admin.list_consumer_group_offsets(request, request_timeout=TIMEOUT_S)[group].result(TIMEOUT_S).topic_partitions
        lag = 0
        for place in committed:
            low, high = consumer.get_watermark_offsets(TopicPartition(place.topic, place.partition), timeout=TIMEOUT_S)
            lag += max(0, high - (place.offset if place.offset >= 0 else low))
    except (KafkaException, TimeoutError):
        return None
    else:
        return lag
    finally:
        consumer.close()


def _inlet(aep: AepSettings) -> Iterator[Finding]:
    what = f"inlet {aep.inlet_id[:12]}"
    try:
        tls = Tls(*(None if path is None else str(path) for path in (aep.ca_file, aep.client_cert_file, aep.client_key_file)))
        transport = LeanTransport(tls=tls, proxy=aep.proxy())
    except (OSError, ValueError) as problem:
        yield Finding(Level.FAIL, what, str(problem), "check ca_file, client_cert_file, client_key_file and proxy_url")
        return
    headers = dict(aep.header_values())
    with httpx.Client(transport=transport, trust_env=False) as client:
        if aep.auth is not None:
            auth = aep.auth
            source = TokenSource(url=auth.token_url, client_id=auth.client_id, secret=auth.secret, scope=auth.scope, client=client)
            try:
                headers["authorization"] = f"Bearer {source.bearer(time.monotonic() + TIMEOUT_S)}"
            except TokenError as problem:
                do = "check aep.auth: token_url, client_id, the secret and the scope"
                yield Finding(Level.FAIL, f"token for {what}", str(problem), do)
                return
            left = source.expires_in_s or 0.0
            yield Finding(Level.OK, f"token for {what}", f"got one; it expires in {left / 3600:.1f} h")
        yield from _asked(client, aep, headers, what)


def _asked(client: httpx.Client, aep: AepSettings, headers: dict[str, str], what: str) -> Iterator[Finding]:
    """Sends a batch without messages, which no AEP takes for data."""
    host = httpx.URL(aep.batch_url).host
    try:
        limits = {"deadline": time.monotonic() + TIMEOUT_S, "max_answer_bytes": 1_000_000}
        answer = client.post(aep.batch_url, headers=headers | {"content-type": "application/json"}, content=b'{"messages":[]}', extensions=limits)
    except httpx.HTTPError as problem:
        yield Finding(Level.FAIL, what, f"{host}: {problem}", "check aep.inlet_url, DNS, egress rules, ca_file and the proxy", unreachable=True)
        return
    date = answer.headers.get("date")
    if date:
        skew = time.time() - parsedate_to_datetime(date).timestamp()
        if abs(skew) > SKEW_S:
            yield Finding(Level.WARN, "clock", f"{skew:+.0f} s against {host}", "synchronise this machine's clock: tokens and Retry-After dates depend on it")
    status = answer.status_code
    if status in (401, 403):
        do = "check aep.auth, the inlet's authentication setting, and IP allow-lists"
        yield Finding(Level.FAIL, what, f"{host} answers {status}", do)
    elif status == 404 or 300 <= status < 400 or status == 407:
        yield Finding(Level.FAIL, what, f"{host} answers {status}", "check aep.inlet_url and the proxy: that is not an inlet's answer")
    elif status >= 500 or status == 429:
        yield Finding(Level.WARN, what, f"{host} answers {status}", "reachable, but busy or down at the moment: the bridge waits for it")
    else:
        how = "authenticated" if "authorization" in headers else "without authentication"
        yield Finding(Level.OK, what, f"{host} answers, {how}")


def send_test(settings: Settings, topic: str) -> Iterator[Finding]:
    """One record of the topic to the single endpoint with syncValidation: AEP's verdict. The record is delivered if AEP accepts it; no offset moves."""
    from bridge.payload import envelope, problem
    from bridge.routing import Route, sort

    entry = settings.entry_for(topic)
    if entry is None:
        yield Finding(Level.FAIL, f"test from {topic}", "no entry of the mapping matches this topic", "name a mapped topic")
        return
    aep = settings.inlet_for(entry)
    value = _sample(settings, topic)
    if value is None:
        yield Finding(Level.FAIL, f"test from {topic}", "the topic has no record to send", "produce one first")
        return
    wrapper = (b"", b"")
    if entry.format == "entity":
        ids = {"schema_id": entry.schema_id or "", "schema_version": entry.schema_version, "dataset_id": entry.dataset_id or ""}
        wrapper = envelope(ims_org_id=aep.ims_org_id or "", **ids)
    run = sort(Route(topic, entry.format, "check", entry.dataset_id, wrapper), [value])[0]
    if run.refusal is not None:
        yield Finding(Level.FAIL, f"test from {topic}", run.refusal.error, "this record would be dead-lettered before it is sent")
        return
    tls = Tls(*(None if path is None else str(path) for path in (aep.ca_file, aep.client_cert_file, aep.client_key_file)))
    with httpx.Client(transport=LeanTransport(tls=tls, proxy=aep.proxy()), trust_env=False) as client:
        headers = dict(aep.header_values()) | {"content-type": "application/json"}
        try:
            if aep.auth is not None:
                auth = aep.auth
                source = TokenSource(url=auth.token_url, client_id=auth.client_id, secret=auth.secret, scope=auth.scope, client=client)
                headers["authorization"] = f"Bearer {source.bearer(time.monotonic() + TIMEOUT_S)}"
            limits = {"deadline": time.monotonic() + 30, "max_answer_bytes": 1_000_000}
            answer = client.post(f"{aep.single_url}?syncValidation=true", headers=headers, content=run.pieces[0], extensions=limits)
        except (httpx.HTTPError, TokenError) as trouble:
            yield Finding(Level.FAIL, f"test from {topic}", str(trouble), unreachable=True)
            return
    if answer.status_code == 200:
        yield Finding(Level.OK, f"test from {topic}", "AEP validated and accepted one record of it")
    else:
        text = problem(answer.content)
        yield Finding(
            Level.FAIL, f"test from {topic}", f"AEP answers {answer.status_code}: {text}", "compare the record with the schema, dataset and organisation"
        )


def _sample(settings: Settings, topic: str) -> bytes | None:
    """The value of the newest record that can be had, without joining the group."""
    properties = {**settings.consumer_properties(), "enable.auto.commit": False, "enable.partition.eof": True}
    consumer = Consumer(properties)
    try:
        count = Topics(settings.admin_properties(), TIMEOUT_S).partitions([topic]).get(topic, 0)
        for number in range(count):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=TIMEOUT_S)
            if high > low:
                consumer.assign([TopicPartition(topic, number, high - 1)])
                message = consumer.poll(TIMEOUT_S)
                if message is not None and message.error() is None and message.value():
                    return message.value()
    finally:
        consumer.close()
    return None
