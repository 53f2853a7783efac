"""librdkafka's property names: which client takes them, which hold secrets, which the bridge keeps for itself, and what it sets by default.

The names and who takes them are those of librdkafka 2.16. A pure room: no client is imported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

CONSUMER_ONLY: Final = frozenset(
    """
    auto.commit.enable auto.commit.interval.ms auto.offset.reset check.crcs consume.callback.max.messages coordinator.query.interval.ms
    enable.auto.commit enable.auto.offset.store enable.partition.eof fetch.error.backoff.ms fetch.max.bytes fetch.message.max.bytes
    fetch.min.bytes fetch.queue.backoff.ms fetch.wait.max.ms group.id group.instance.id group.protocol group.protocol.type group.remote.assignor
    heartbeat.interval.ms isolation.level max.partition.fetch.bytes max.poll.interval.ms max.poll.records offset.store.method offset.store.path
    offset.store.sync.interval.ms partition.assignment.strategy queued.max.messages.kbytes queued.min.messages session.timeout.ms
    share.acknowledgement.mode
    """.split()  # noqa: SIM905 - a table to read
)
"""The producer would warn of these."""

PRODUCER_ONLY: Final = frozenset(
    """
    acks batch.num.messages batch.size compression.codec compression.level compression.type delivery.report.only.error delivery.timeout.ms
    enable.gapless.guarantee enable.idempotence linger.ms message.send.max.retries message.timeout.ms partitioner produce.offset.report
    queue.buffering.backpressure.threshold queue.buffering.max.kbytes queue.buffering.max.messages queue.buffering.max.ms queuing.strategy
    request.required.acks request.timeout.ms retries sticky.partitioning.linger.ms transaction.timeout.ms transactional.id
    """.split()  # noqa: SIM905 - a table to read
)
"""The consumer would warn of these."""

SHARED: Final = frozenset(
    """
    allow.auto.create.topics api.version.fallback.ms api.version.request api.version.request.timeout.ms bootstrap.servers broker.address.family
    broker.address.ttl broker.version.fallback client.dns.lookup client.id client.rack connections.max.idle.ms debug enable.metrics.push
    enable.random.seed enable.sasl.oauthbearer.unsecure.jwt enable.ssl.certificate.verification https.ca.location https.ca.pem
    internal.termination.signal log.connection.close log.queue log.thread.name log_level max.in.flight max.in.flight.requests.per.connection
    message.copy.max.bytes message.max.bytes metadata.broker.list metadata.max.age.ms metadata.recovery.rebootstrap.trigger.ms
    metadata.recovery.strategy plugin.library.paths receive.message.max.bytes reconnect.backoff.jitter.ms reconnect.backoff.max.ms
    reconnect.backoff.ms retry.backoff.max.ms retry.backoff.ms sasl.kerberos.keytab sasl.kerberos.kinit.cmd
    sasl.kerberos.min.time.before.relogin sasl.kerberos.principal sasl.kerberos.service.name sasl.mechanism sasl.mechanisms
    sasl.oauthbearer.assertion.algorithm sasl.oauthbearer.assertion.claim.aud sasl.oauthbearer.assertion.claim.exp.seconds
    sasl.oauthbearer.assertion.claim.iss sasl.oauthbearer.assertion.claim.jti.include sasl.oauthbearer.assertion.claim.nbf.seconds
    sasl.oauthbearer.assertion.claim.sub sasl.oauthbearer.assertion.file sasl.oauthbearer.assertion.jwt.template.file
    sasl.oauthbearer.assertion.private.key.file sasl.oauthbearer.assertion.private.key.passphrase sasl.oauthbearer.assertion.private.key.pem
    sasl.oauthbearer.client.credentials.client.id sasl.oauthbearer.client.credentials.client.secret sasl.oauthbearer.client.id
    sasl.oauthbearer.client.secret sasl.oauthbearer.config sasl.oauthbearer.extensions sasl.oauthbearer.grant.type
    sasl.oauthbearer.metadata.authentication.type sasl.oauthbearer.method sasl.oauthbearer.scope sasl.oauthbearer.sub.claim.name
    sasl.oauthbearer.token.endpoint.url sasl.password sasl.username security.protocol socket.blocking.max.ms socket.connection.setup.timeout.ms
    socket.keepalive.enable socket.max.fails socket.nagle.disable socket.receive.buffer.bytes socket.send.buffer.bytes socket.timeout.ms
    ssl.ca.certificate.stores ssl.ca.location ssl.ca.pem ssl.certificate.location ssl.certificate.pem ssl.cipher.suites ssl.crl.location
    ssl.curves.list ssl.endpoint.identification.algorithm ssl.engine.id ssl.engine.location ssl.key.location ssl.key.password ssl.key.pem
    ssl.keystore.location ssl.keystore.password ssl.providers ssl.sigalgs.list statistics.interval.ms topic.blacklist
    topic.metadata.propagation.max.ms topic.metadata.refresh.fast.cnt topic.metadata.refresh.fast.interval.ms topic.metadata.refresh.interval.ms
    topic.metadata.refresh.sparse
    """.split()  # noqa: SIM905 - a table to read
)
"""Both clients, and the admin client, take these."""

KNOWN: Final = CONSUMER_ONLY | PRODUCER_ONLY | SHARED

SECRET: Final = frozenset(
    """
    sasl.password sasl.oauthbearer.client.secret sasl.oauthbearer.client.credentials.client.secret sasl.oauthbearer.config
    sasl.oauthbearer.assertion.private.key.passphrase sasl.oauthbearer.assertion.private.key.pem ssl.key.password ssl.key.pem ssl.keystore.password
    """.split()  # noqa: SIM905 - a table to read
)
"""Masked wherever they could be shown."""

ALIASES: Final[Mapping[str, str]] = {
    "auto.commit.enable": "enable.auto.commit",
    "bootstrap.servers": "metadata.broker.list",
    "compression.type": "compression.codec",
    "delivery.timeout.ms": "message.timeout.ms",
    "linger.ms": "queue.buffering.max.ms",
    "max.in.flight": "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes": "fetch.message.max.bytes",
    "request.required.acks": "acks",
    "retries": "message.send.max.retries",
    "sasl.mechanism": "sasl.mechanisms",
    "sasl.oauthbearer.client.credentials.client.id": "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.credentials.client.secret": "sasl.oauthbearer.client.secret",
}
"""Other names for the same property."""

CLASSIC_ONLY: Final = ("partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms")
"""The client refuses these together with `group.protocol=consumer`."""

_COMMITS = "the bridge stores an offset once its records are settled, and the client commits what is stored; leave it out"
_ACKNOWLEDGED = "a dead letter counts only once every in-sync replica has it, in order and once; leave it out"
REFUSED: Final[Mapping[str, str]] = {
    "enable.auto.commit": _COMMITS,
    "auto.commit.enable": _COMMITS,
    "enable.auto.offset.store": _COMMITS,
    "offset.store.method": _COMMITS,
    "offset.store.path": _COMMITS,
    "acks": _ACKNOWLEDGED,
    "request.required.acks": _ACKNOWLEDGED,
    "enable.idempotence": _ACKNOWLEDGED,
    "delivery.report.only.error": "without reports of success no dead letter would ever count as delivered; leave it out",
    "transactional.id": "dead letters are not written in transactions; leave it out",
    "allow.auto.create.topics": "dead letters in a topic that a broker made by itself are deleted after a week; set dead_letter.create_topics",
    "enable.partition.eof": "the bridge needs the ends of partitions to step over control records; leave it out",
    "group.id": "it has a key of its own; set kafka.group_id",
    "bootstrap.servers": "it has a key of its own; set kafka.bootstrap_servers",
    "metadata.broker.list": "it has a key of its own; set kafka.bootstrap_servers",
}
"""What a user may not set, with the reason and the way out."""

CONSUMER_DEFAULTS: Final[Mapping[str, str | int | bool]] = {
    "auto.offset.reset": "earliest",  # the library's own default, latest, loses the records of new partitions
    "auto.commit.interval.ms": 500,
    "fetch.queue.backoff.ms": 10,
    "queued.max.messages.kbytes": 10_240,
    "partition.assignment.strategy": "cooperative-sticky",
    "heartbeat.interval.ms": 1000,  # members learn of a rebalance with a heartbeat; a cooperative one takes two rounds
    "log.connection.close": False,  # brokers close idle connections; what matters comes as an error
}
"""A user may override these."""

QUIET: Final[Mapping[str, str | int | bool]] = {"log_level": 2, "log.connection.close": False}
"""The library writes lines of its own to standard error. What matters in them comes as an error, and is logged as an event; `debug` brings them back."""

CONSUMER_FIXED: Final[Mapping[str, str | int | bool]] = {
    "enable.auto.commit": True,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "allow.auto.create.topics": False,
}

PRODUCER_DEFAULTS: Final[Mapping[str, str | int | bool]] = {
    "message.max.bytes": 16_777_216,  # records that are too large for AEP are dead-lettered by definition
    "message.timeout.ms": 60_000,  # then the letter counts as failed and is published again: visible, instead of five silent minutes
    "linger.ms": 5,
    "batch.size": 16_384,  # the topic's max.message.bytes limits a whole batch: small ones fit wherever a single letter does
    "compression.type": "none",  # the limits are then those of the bytes that are counted
    "partitioner": "murmur2_random",  # as the Java clients do: a key keeps its partition
    "queue.buffering.max.messages": 10_000,
    "queue.buffering.max.kbytes": 65_536,
    "log.connection.close": False,
}
"""A user may override these."""

PRODUCER_FIXED: Final[Mapping[str, str | int | bool]] = {
    "acks": "all",
    "enable.idempotence": True,
    "allow.auto.create.topics": False,  # the library's own default for producers, true, makes topics that delete letters after a week
}


def environment_name(name: str) -> str:
    """How a property is written as the last part of an environment variable: `SASL_PASSWORD` for `sasl.password`."""
    return name.upper().replace(".", "_")


def is_secret(name: str) -> bool:
    """Whether the property's value must never be shown."""
    return name in SECRET or (
        name not in KNOWN
        and re.search(r"passw|passphrase|secret|token|jaas|credential|key", name, re.IGNORECASE) is not None
    )


def same(name: str) -> str:
    """One name for a property and its aliases."""
    return ALIASES.get(name, name)
