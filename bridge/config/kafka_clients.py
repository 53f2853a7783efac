"""What Kafka clients are created with: defaults, enforced properties, and refused ones.

The contract stands on these properties, so this is the only place that states them. The settings, the
clients in kafka/ and the memory ceiling all read them here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from bridge.config.librdkafka import CLASSIC_ONLY, CONSUMER_ONLY, PRODUCER_ONLY, canonical

Value: TypeAlias = str | int | float | bool


@dataclass(frozen=True, slots=True)
class ClientProperties:
    """What one kind of client is created with."""

    defaults: Mapping[str, Value]
    """A user may override these, under any of their names."""
    enforced: Mapping[str, Value]
    """Nobody overrides these."""
    unsupported: frozenset[str]
    """Properties of the other kinds of client; librdkafka would log a warning about each."""

    def complete(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Return the given properties with the defaults below them and the enforced ones above them.

        Completing twice changes nothing, so each client in kafka/ completes what it is given, and can rely on
        the enforced properties no matter who creates it.
        """
        own = {name: value for name, value in properties.items() if name not in self.unsupported}
        overridden = {canonical(name) for name in own}
        if str(own.get("group.protocol", "classic")).lower() == "consumer":
            overridden |= set(CLASSIC_ONLY)
        defaults = {name: value for name, value in self.defaults.items() if canonical(name) not in overridden}
        reserved = {canonical(name) for name in self.enforced}
        chosen = {name: value for name, value in own.items() if canonical(name) not in reserved}
        return {**defaults, **chosen, **self.enforced}


_EVERY_CLIENT: Final[Mapping[str, Value]] = {
    "client.id": "aep-bridge",
    # The library writes lines of its own to standard error. What matters in them also arrives as an error and
    # is logged as an event, so only critical lines are left. A user's `debug` brings the others back.
    "log_level": 2,
    # Brokers close idle connections all the time.
    "log.connection.close": False,
}

CONSUMER: Final = ClientProperties(
    defaults={
        **_EVERY_CLIENT,
        # The library's own default, `latest`, loses the first records of a new partition.
        "auto.offset.reset": "earliest",
        "auto.commit.interval.ms": 500,
        "fetch.queue.backoff.ms": 10,
        # See docs/adr/0005-a-prefetch-of-ten-megabytes.md.
        "queued.max.messages.kbytes": 10_240,
        "partition.assignment.strategy": "cooperative-sticky",
        # A member learns of a rebalance when its heartbeat is answered; a cooperative one takes two rounds.
        "heartbeat.interval.ms": 1000,
    },
    enforced={
        # The library commits the offsets that were stored, and never those of a partition that was lost.
        "enable.auto.commit": True,
        # Only the bridge stores an offset, once every record below it is settled.
        "enable.auto.offset.store": False,
        # The end of a partition lies behind control records, which are never delivered.
        "enable.partition.eof": True,
        "allow.auto.create.topics": False,
    },
    unsupported=PRODUCER_ONLY,
)

PRODUCER: Final = ClientProperties(
    defaults={
        **_EVERY_CLIENT,
        # A record that is too large for AEP is dead-lettered, so the producer takes more than AEP does.
        "message.max.bytes": 16_777_216,
        # After this the dead letter counts as failed and is published again, which an operator sees. The
        # library's own default is five minutes without a sign.
        "message.timeout.ms": 60_000,
        "linger.ms": 5,
        # A topic's max.message.bytes limits a whole batch: a small batch fits wherever one dead letter does.
        "batch.size": 16_384,
        # Without compression the limits count the same bytes as the bridge does.
        "compression.type": "none",
        # The same partitioner as the Java clients: a key stays in its partition.
        "partitioner": "murmur2_random",
        "queue.buffering.max.messages": 10_000,
        "queue.buffering.max.kbytes": 65_536,
    },
    enforced={
        # A dead letter counts once every in-sync replica has it, in order and once.
        "acks": "all",
        "enable.idempotence": True,
        # The library's own default for producers is true. A topic that a broker creates by itself deletes
        # dead letters after a week.
        "allow.auto.create.topics": False,
    },
    unsupported=CONSUMER_ONLY,
)

ADMIN: Final = ClientProperties(
    defaults=_EVERY_CLIENT, enforced={}, unsupported=CONSUMER_ONLY | PRODUCER_ONLY
)

_COMMITS = (
    "the bridge stores an offset once its records are settled, and the client commits what is stored; "
    "leave it out"
)
_ACKNOWLEDGED = "a dead letter counts only once every in-sync replica has it, in order and once; leave it out"
_OWN_KEY = "it has a key of its own; set kafka."
REFUSED: Final[Mapping[str, str]] = {
    "enable.auto.commit": _COMMITS,
    "auto.commit.enable": _COMMITS,
    "enable.auto.offset.store": _COMMITS,
    "offset.store.method": _COMMITS,
    "offset.store.path": _COMMITS,
    "acks": _ACKNOWLEDGED,
    "request.required.acks": _ACKNOWLEDGED,
    "enable.idempotence": _ACKNOWLEDGED,
    "delivery.report.only.error": (
        "without a report of success no dead letter would ever count as delivered; leave it out"
    ),
    "transactional.id": "dead letters are not written in transactions; leave it out",
    "allow.auto.create.topics": (
        "a topic that a broker creates by itself deletes dead letters after a week; "
        "set dead_letter.create_topics"
    ),
    "enable.partition.eof": (
        "the bridge needs the ends of partitions to step over control records; leave it out"
    ),
    "group.id": f"{_OWN_KEY}group_id",
    "bootstrap.servers": f"{_OWN_KEY}bootstrap_servers",
    "metadata.broker.list": f"{_OWN_KEY}bootstrap_servers",
}
"""Properties that a user must not set, each with the reason and what to do instead."""
