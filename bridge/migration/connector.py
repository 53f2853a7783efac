"""From Adobe's sink connector to us: each of its settings mapped, or named as not needed, and the offsets of its group."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from bridge.codec.routes import is_regex
from bridge.config.settings import Settings
from bridge.config.settings_aep import DEFAULT_SCOPE
from bridge.kafka.topics import TopicAdmin, Unreachable

TOKEN_PATH = "/ims/token/v3"  # noqa: S105 - a path

_NOT_NEEDED = {
    "connector.class": "this is the connector that the bridge stands in for",
    "tasks.max": "replicas share the partitions: start as many as you had tasks, or fewer",
    "key.converter": "keys are kept byte for byte",
    "key.converter.schemas.enable": "keys are kept byte for byte",
    "value.converter.schemas.enable": "the bridge sends the values' own bytes",
    "aep.batch.enabled": "the bridge always batches",
    "aep.batch.size": "batches are filled up to 1,000,000 bytes or batch.max_messages; a small number of old costs throughput",
    "aep.flush.bytes.kb": "batches are filled up to 1,000,000 bytes (batch.max_bytes)",
    "aep.connection.maxRetries": "an outage is waited for, without a limit",
    "aep.connection.retryBackoff": "back-off grows up to delivery.backoff_max_s, and Retry-After is followed",
    "aep.connection.timeout": "one limit holds for the whole request: delivery.request_timeout_s",
    "aep.connection.auth.enabled": "auth is there, or left out",
    "aep.connection.auth.token.type": "server-to-server OAuth is the only kind",
    "aep.connection.auth.client.code": "the token's exchange by code is past its end of life",
    "aep.connection.auth.accountKey": "JWT credentials are past their end of life",
    "aep.connection.auth.filePath": "JWT credentials are past their end of life",
    "aep.connection.auth.keyValue": "JWT credentials are past their end of life",
    "errors.tolerance": "a bad record never stops the others, and is never dropped",
    "errors.deadletterqueue.topic.replication.factor": "dead-letter topics get their source's",
    "errors.deadletterqueue.context.headers.enable": "always: the same __connect.errors.* headers, and aep.* ones",
    "errors.log.enable": "dead letters are logged, each kind once in a while",
    "errors.log.include.messages": "payloads are never logged",
    "errors.retry.timeout": "an outage is waited for, without a limit",
    "errors.retry.delay.max.ms": "see delivery.backoff_max_s",
}

_CHANGES = (
    "an outage (429, 503, time-outs) waits and is retried; it no longer empties topics into the dead-letter topic, nor moves offsets on",
    "an offset is committed only when every record below it is accepted or dead-lettered",
    "a record that is not JSON is dead-lettered with the reason, not dropped",
    "failures of single messages in a 207 are understood in all their forms; only those messages are dead-lettered",
    "dead letters carry the record's own bytes and headers, not a copy that was written anew",
)


class NotAConnector(ValueError):
    """The file is not what was meant, and why."""


@dataclass(slots=True)
class Moved:
    """A configuration of ours, with what there is to say of it."""

    config: dict[str, Any]
    group: str
    """The connector's consumer group, whose offsets can be taken over."""
    secret: str = field(default="", repr=False)
    """The client secret, to be written to a file of its own."""
    proxy: str = field(default="", repr=False)
    """The proxy's URL where it holds a password."""
    mapped: list[tuple[str, str]] = field(default_factory=list)
    not_needed: list[tuple[str, str]] = field(default_factory=list)
    by_hand: list[tuple[str, str]] = field(default_factory=list)
    changes: tuple[str, ...] = _CHANGES


def moved(text: str, bootstrap_servers: str, secret_file: str) -> Moved:
    """A connector's JSON, with or without `name` and `config` around it, as ours. Raises `NotAConnector`."""
    try:
        given = json.loads(text)
    except ValueError as error:
        raise NotAConnector(f"is not JSON: {error}") from None
    inner = given.get("config", given) if isinstance(given, dict) else None
    if not isinstance(inner, dict) or "aep.endpoint" not in inner:
        raise NotAConnector(
            "has no aep.endpoint: give the JSON of Adobe's sink connector, as it is posted to /connectors"
        )
    left = {
        str(name): str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in inner.items()
    }
    name = str(given.get("name") or left.get("name") or "aep-sink")
    left.pop("name", None)
    made = Moved(
        {
            "kafka": {"bootstrap_servers": bootstrap_servers, "group_id": "aep-bridge"},
            "aep": {},
            "topics": [],
        },
        group=f"connect-{name}",
    )
    _kafka(made, left)
    _aep(made, left, secret_file)
    _topics(made, left)
    for key in sorted(left):
        if key in _NOT_NEEDED:
            made.not_needed.append((key, _NOT_NEEDED[key]))
        elif key.startswith(("transforms", "predicates")):
            made.by_hand.append(
                (key, "the bridge changes no event: let the producer write what AEP is to get")
            )
        elif key.startswith(("value.converter", "key.converter")):
            made.by_hand.append(
                (key, "only JSON converters are known here; see what the values in the topic really are")
            )
        else:
            made.by_hand.append((key, "unknown here: see whether you need it"))
    return made


def _kafka(made: Moved, left: dict[str, str]) -> None:
    properties = {}
    for key in [key for key in left if key.startswith("consumer.override.")]:
        name, value = key.removeprefix("consumer.override."), left.pop(key)
        if name == "group.id":
            made.group = value
            made.mapped.append(
                (key, "the group whose offsets --take-offsets reads; the bridge's own is kafka.group_id")
            )
        elif name in {
            "auto.offset.reset",
            "security.protocol",
            "fetch.min.bytes",
            "client.rack",
            "isolation.level",
        }:
            properties[name] = value
            made.mapped.append((key, f"kafka.properties.{name}"))
        else:
            made.by_hand.append(
                (
                    key,
                    "a Java client's property: see librdkafka's name for it, and put it into kafka.properties",
                )
            )
    if properties:
        made.config["kafka"]["properties"] = properties


def _aep(made: Moved, left: dict[str, str], secret_file: str) -> None:
    aep = made.config["aep"]
    aep["inlet_url"] = left.pop("aep.endpoint")
    made.mapped.append(("aep.endpoint", "aep.inlet_url"))
    if "aep.connection.auth.imsOrg" in left:
        aep["ims_org_id"] = left.pop("aep.connection.auth.imsOrg")
        made.mapped.append(("aep.connection.auth.imsOrg", "aep.ims_org_id"))
    if "aep.connection.endpoint.headers" in left:
        try:
            aep["headers"] = {
                str(name): str(value)
                for name, value in json.loads(left["aep.connection.endpoint.headers"]).items()
            }
            made.mapped.append(("aep.connection.endpoint.headers", "aep.headers"))
        except (ValueError, AttributeError):
            made.by_hand.append(
                ("aep.connection.endpoint.headers", "is no JSON object: write its headers into aep.headers")
            )
        left.pop("aep.connection.endpoint.headers")
    if "aep.connection.auth.endpoint" in left:
        made.mapped.append(("aep.connection.auth.endpoint", "aep.auth.token_url"))
    endpoint = left.pop("aep.connection.auth.endpoint", "https://ims-na1.adobelogin.com")
    client, secret = (
        left.pop("aep.connection.auth.client.id", ""),
        left.pop("aep.connection.auth.client.secret", ""),
    )
    if left.get("aep.connection.auth.enabled") == "true":
        parts = urlsplit(endpoint)
        token_url = endpoint if parts.path.strip("/") else f"{endpoint.rstrip('/')}{TOKEN_PATH}"
        aep["auth"] = {
            "token_url": token_url,
            "client_id": client,
            "client_secret_file": secret_file,
            "scope": DEFAULT_SCOPE,
        }
        made.mapped += [
            ("aep.connection.auth.client.id", "aep.auth.client_id"),
            ("aep.connection.auth.client.secret", f"aep.auth.client_secret_file: {secret_file}"),
        ]
        if re.match(r"\$\{.*\}$", secret) or not secret:
            made.by_hand.append(
                (
                    "aep.connection.auth.client.secret",
                    f"the file does not hold it: put the client secret into {secret_file}",
                )
            )
        else:
            made.secret = secret
        if left.get("aep.connection.auth.token.type") == "jwt_token":
            made.by_hand.append(
                (
                    "aep.connection.auth.token.type",
                    "JWT credentials are past their end of life: make an OAuth server-to-server credential",
                )
            )
            left.pop("aep.connection.auth.token.type")
    host, port = left.pop("aep.connection.proxy.host", ""), left.pop("aep.connection.proxy.port", "443")
    user, password = left.pop("aep.connection.proxy.user", ""), left.pop("aep.connection.proxy.password", "")
    if host:
        who = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
        if who:
            made.proxy = f"http://{who}{host}:{port}"
        else:
            aep["proxy_url"] = f"http://{host}:{port}"
        made.mapped.append(("aep.connection.proxy.*", "aep.proxy_url_file" if who else "aep.proxy_url"))
    if "aep.connection.readTimeout" in left:
        seconds = (
            int(left["aep.connection.readTimeout"]) / 1000
            if left["aep.connection.readTimeout"].isdecimal()
            else 30
        )
        left.pop("aep.connection.readTimeout")
        seconds = min(300, max(1, seconds))
        made.config["delivery"] = {"request_timeout_s": seconds, "drain_timeout_s": max(30, seconds)}
        made.mapped.append(
            ("aep.connection.readTimeout", "delivery.request_timeout_s (and a drain that is no shorter)")
        )
    if "aep.flush.interval.seconds" in left:
        interval = left.pop("aep.flush.interval.seconds")
        if interval.isdecimal():
            made.config["batch"] = {"linger_ms": int(interval) * 1000}
            made.mapped.append(("aep.flush.interval.seconds", "batch.linger_ms"))


def _topics(made: Moved, left: dict[str, str]) -> None:
    names = [name.strip() for name in left.pop("topics", "").split(",") if name.strip()]
    if regex := left.pop("topics.regex", ""):
        names.append(regex if is_regex(regex) else f"^{regex}$")
        made.mapped.append(("topics.regex", f"topics: {names[-1]}; a POSIX regex, write [0-9] for \\d"))
    elif names:
        made.mapped.append(("topics", f"topics: {len(names)}, format envelope"))
    if not names:
        raise NotAConnector("names no topics: neither topics nor topics.regex")
    dead = left.pop("errors.deadletterqueue.topic.name", "")
    made.config["topics"] = [
        {"topic": name, "format": "envelope", **({"dead_letter_topic": dead} if dead else {})}
        for name in names
    ]
    if dead:
        made.mapped.append(("errors.deadletterqueue.topic.name", "dead_letter_topic of each topic"))


# -- the offsets of its group ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Takeover:
    """One partition: where the connector's group stands, where ours does, and where the partition begins and ends."""

    topic: str
    partition: int
    theirs: int | None
    ours: int | None
    low: int
    end: int

    @property
    def taken(self) -> int | None:
        """What ours becomes; None where the connector never committed. Never behind what the broker still has."""
        return None if self.theirs is None else max(self.low, min(self.theirs, self.end))


class CannotTake(Exception):
    """The offsets can't be taken over now, and what to do."""


def takeover(settings: Settings, group: str) -> list[Takeover]:
    """What taking a group's offsets over would do. Raises `Unreachable`."""
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    counts = TopicAdmin(settings.admin_properties()).partition_counts(
        [entry.topic for entry in settings.topics], settings.is_dead_letter_topic
    )
    places = [(name, number) for name, count in sorted(counts.items()) for number in range(count)]
    found: dict[str, Mapping[tuple[str, int], int]] = {}
    try:
        for which in (group, settings.kafka.group_id):
            consumer = Consumer(
                {**settings.consumer_properties(), "group.id": which, "enable.auto.commit": False}
            )
            try:
                committed = (
                    consumer.committed([TopicPartition(*place) for place in places], 10) if places else []
                )
                found[which] = {
                    (each.topic, each.partition): each.offset for each in committed if each.offset >= 0
                }
                ends = {
                    place: consumer.get_watermark_offsets(TopicPartition(*place), timeout=10)
                    for place in places
                }
            finally:
                consumer.close()
    except KafkaException as problem:
        raise Unreachable(problem.args[0].str()) from None
    return [
        Takeover(*place, found[group].get(place), found[settings.kafka.group_id].get(place), *ends[place])
        for place in places
    ]


def take(settings: Settings, group: str, plan: list[Takeover]) -> int:
    """Sets our group to these offsets; returns how many partitions. Raises `CannotTake` where either group still has members."""
    from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
    from confluent_kafka.admin import AdminClient

    admin = AdminClient(settings.admin_properties())
    for which, who in (
        (group, "stop the connector first"),
        (settings.kafka.group_id, "stop the bridge first"),
    ):
        try:
            members = len(admin.describe_consumer_groups([which])[which].result(15).members)
        except KafkaException as problem:
            if problem.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                raise CannotTake(f"group {which}: {problem.args[0].str()}") from None
            members = 0
        if members:
            raise CannotTake(
                f"group {which} has {members} members: {who}, or records would be sent twice or passed over"
            )
    wanted = [
        TopicPartition(each.topic, each.partition, each.taken) for each in plan if each.taken is not None
    ]
    ours = settings.kafka.group_id
    if any(each.ours is not None and each.taken is not None and each.ours > each.taken for each in plan):
        raise CannotTake(
            f"group {ours} is further already than {group} somewhere: taking over would send records again; use another kafka.group_id"
        )
    try:
        admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(ours, wanted)])[ours].result(15)
    except KafkaException as problem:
        raise CannotTake(f"group {ours}: {problem.args[0].str()}") from None
    return len(wanted)
