"""How much memory the settings allow, and what it is made of."""

from __future__ import annotations

from bridge.config.kafka_clients import CONSUMER, PRODUCER, ClientProperties
from bridge.config.librdkafka import OWN_DEFAULTS
from bridge.config.settings import Settings
from bridge.config.settings_kafka import KafkaSettings

BASELINE = 90 << 20
"""Bytes of the process itself, idle: Python, the clients, their threads."""
RESPONSE = 4 << 20
"""Bytes of one response, after which the bridge stops reading it."""
COPIES = 2
"""How often a request's bytes exist while it is sent, beside its records: the body, and TLS's share."""


def ceiling(settings: Settings) -> tuple[int, str]:
    """Return the most bytes that the process should use, and what they are made of, in one line.

    One broker is counted for each name in `kafka.bootstrap_servers`. A larger cluster can have more fetch
    responses under way.
    """
    delivery, kafka = settings.delivery, settings.kafka
    inlets = len({settings.inlet_for(entry).identity for entry in settings.topics})
    brokers = kafka.bootstrap_servers.count(",") + 1
    prefetch = _bytes_of(kafka, "queued.max.messages.kbytes", CONSUMER)
    largest_message = kafka.number("message.max.bytes", OWN_DEFAULTS["message.max.bytes"])
    # librdkafka lowers its own default to the prefetch, and raises it to the largest message.
    fetch_default = max(min(OWN_DEFAULTS["fetch.max.bytes"], prefetch), largest_message)
    fetch = brokers * kafka.number("fetch.max.bytes", fetch_default)
    window = inlets * delivery.window_bytes
    requests = inlets * delivery.max_in_flight * (COPIES * settings.batch.max_bytes + RESPONSE)
    dead_letters = _bytes_of(kafka, "queue.buffering.max.kbytes", PRODUCER)
    total = BASELINE + prefetch + fetch + window + requests + dead_letters
    text = (
        f"{_mib(total)} = process {_mib(BASELINE)} + prefetch {_mib(prefetch)} "
        f"+ fetch responses {_mib(fetch)} ({brokers} × fetch.max.bytes) "
        f"+ window {_mib(window)} ({inlets} × delivery.window_bytes) "
        f"+ requests {_mib(requests)} ({inlets} × delivery.max_in_flight {delivery.max_in_flight}) "
        f"+ dead letters {_mib(dead_letters)}"
    )
    return total, text


def _bytes_of(kafka: KafkaSettings, name: str, client: ClientProperties) -> int:
    """Return the bytes of a property that counts kilobytes: the user's value, or the client's default."""
    return kafka.number(name, int(client.defaults[name])) << 10


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.0f} MiB"
