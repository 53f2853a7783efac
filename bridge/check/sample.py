"""One record of a topic, sent to AEP's single endpoint with AEP's own validation: the
verdict before the first deploy.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from bridge.check.aep_client import authorization, open_client, post_json, token_source
from bridge.check.findings import TIMEOUT_S, Finding, Level
from bridge.codec.envelope import entity_wrapper
from bridge.codec.error_text import error_text
from bridge.codec.routes import Route
from bridge.codec.validation import group_records
from bridge.config.settings import Settings
from bridge.config.settings_aep import AepSettings
from bridge.config.settings_topics import TopicSettings
from bridge.http.oauth import TokenError
from bridge.kafka.client_errors import Unreachable
from bridge.kafka.reader import Bounds, TopicReader
from bridge.kafka.topics import TopicAdmin
from bridge.model import Format, TopicPartition

_RESPONSE_S = 30.0
"""AEP's validation takes longer than its acceptance."""


def send_test(settings: Settings, topic: str) -> Iterator[Finding]:
    """Send one record of a topic. AEP delivers it if it is valid; no offset moves."""
    subject = f"test from {topic}"
    entry = settings.entry_for(topic)
    if entry is None:
        text = "no entry of the mapping matches this topic"
        yield Finding(Level.FAIL, subject, text, "name a mapped topic")
        return
    try:
        value = _newest_value(settings, topic)
    except Unreachable as problem:
        yield Finding(Level.FAIL, subject, str(problem), unreachable=True)
        return
    if value is None:
        yield Finding(Level.FAIL, subject, "the topic has no record to send", "produce one first")
        return
    aep = settings.inlet_for(entry)
    group = group_records(_route(topic, entry, aep), [value])[0]
    if group.refusal is not None:
        next_step = "the bridge would dead-letter this record without sending it; correct what produces it"
        yield Finding(Level.FAIL, subject, group.refusal.error, next_step)
        return
    try:
        status, body = _send(aep, group.pieces[0])
    except (httpx.HTTPError, TokenError) as problem:
        yield Finding(Level.FAIL, subject, str(problem), unreachable=True)
        return
    if status == 200:
        yield Finding(Level.OK, subject, "AEP validated and accepted one record of it")
    else:
        text = f"AEP answers {status}: {error_text(body)}"
        next_step = "compare the record with the schema, dataset and organisation"
        yield Finding(Level.FAIL, subject, text, next_step)


def _route(topic: str, entry: TopicSettings, aep: AepSettings) -> Route:
    wrapper = (b"", b"")
    if entry.format == Format.ENTITY:
        wrapper = entity_wrapper(
            schema_id=entry.schema_id or "",
            schema_version=entry.schema_version,
            ims_org_id=aep.ims_org_id or "",
            dataset_id=entry.dataset_id or "",
        )
    return Route(topic, entry.format, "check", entry.dataset_id, wrapper)


def _send(aep: AepSettings, message: bytes) -> tuple[int, bytes]:
    """Send a message for validation; return the response's status and body."""
    with open_client(aep) as client:
        headers = dict(aep.header_values())
        tokens = token_source(aep, client)
        if tokens is not None:
            headers |= authorization(tokens, TIMEOUT_S)
        url = f"{aep.single_url}?syncValidation=true"
        response = post_json(client, url, headers, message, _RESPONSE_S)
        return response.status_code, response.content


def _newest_value(settings: Settings, topic: str) -> bytes | None:
    """Return the value of a partition's last record that has one; None if there is none.

    Raises `Unreachable`.
    """
    count = TopicAdmin(settings.admin_properties(), TIMEOUT_S).partition_counts([topic]).get(topic, 0)
    reader = TopicReader(settings.consumer_properties(), TIMEOUT_S)
    try:
        for number in range(count):
            partition = TopicPartition(topic, number)
            low, end = reader.offsets(partition)
            if end > low:  # the last one may be a control record, of which the reader yields nothing
                for record in reader.records(Bounds({partition: end - 1}, {partition: end})):
                    if record.value():
                        return record.value()
    finally:
        reader.close()
    return None
