"""What becomes of the connector's settings that have no counterpart, and what changes
for a user of the connector.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_NO_JWT = "JWT credentials are past their end of life"

NOT_NEEDED: Final[Mapping[str, str]] = {
    "connector.class": "this is the connector that the bridge replaces",
    "tasks.max": "replicas share the partitions: start as many as you had tasks, or fewer",
    "key.converter": "keys are kept byte for byte",
    "key.converter.schemas.enable": "keys are kept byte for byte",
    "value.converter.schemas.enable": "the bridge sends the values' own bytes",
    "aep.batch.enabled": "the bridge always batches",
    "aep.batch.size": (
        "batches are filled up to 1,000,000 bytes or batch.max_messages; a small number, as the connector "
        "needed it, costs throughput"
    ),
    "aep.flush.bytes.kb": "batches are filled up to 1,000,000 bytes (batch.max_bytes)",
    "aep.connection.maxRetries": "the bridge retries until an outage is over, without a limit",
    "aep.connection.retryBackoff": "back-off grows up to delivery.backoff_max_s, and Retry-After is followed",
    "aep.connection.timeout": "one limit holds for the whole request: delivery.request_timeout_s",
    "aep.connection.auth.enabled": "the section aep.auth is there, or it is left out",
    "aep.connection.auth.token.type": "server-to-server OAuth is the only kind",
    "aep.connection.auth.client.code": "the token's exchange by code is past its end of life",
    "aep.connection.auth.accountKey": _NO_JWT,
    "aep.connection.auth.filePath": _NO_JWT,
    "aep.connection.auth.keyValue": _NO_JWT,
    "errors.tolerance": "a bad record never stops the others, and is never dropped",
    "errors.deadletterqueue.topic.replication.factor": "a dead-letter topic gets its source's",
    "errors.deadletterqueue.context.headers.enable": (
        "always: the same __connect.errors.* headers, and aep.* ones"
    ),
    "errors.log.enable": "dead letters are logged, each kind once in a while",
    "errors.log.include.messages": "payloads are never logged",
    "errors.retry.timeout": "the bridge retries until an outage is over, without a limit",
    "errors.retry.delay.max.ms": "see delivery.backoff_max_s",
}

CHANGES: Final = (
    (
        "during an outage (429, 503, time-outs) the bridge waits and retries; it no longer empties topics "
        "into the dead-letter topic, nor moves offsets on"
    ),
    "an offset is committed only when every record below it is accepted or dead-lettered",
    "a record that is not JSON is dead-lettered with the reason, not dropped",
    (
        "failures of single messages in a 207 are understood in all their forms; only those messages are "
        "dead-lettered"
    ),
    "dead letters carry the record's own bytes and headers, not a copy that was written anew",
)

CONSUMER_PROPERTIES: Final = frozenset(
    {"auto.offset.reset", "security.protocol", "fetch.min.bytes", "client.rack", "isolation.level"}
)
"""Properties that Java's client and librdkafka call the same and read the same."""


def unknown_key_advice(key: str) -> str:
    """Return what to do about a setting that is neither translated nor known to be unnecessary."""
    if key.startswith(("transforms", "predicates")):
        return "the bridge changes no event: let the producer write what AEP is to get"
    if key.startswith(("value.converter", "key.converter")):
        return "only JSON converters are known here; see what the values in the topic really are"
    return "unknown here: see whether you need it"
