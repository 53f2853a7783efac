"""One record of a topic to AEP's single endpoint, with its own validation: the verdict before the first deploy."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
from confluent_kafka import Consumer, TopicPartition

from bridge.check.findings import TIMEOUT_S, Finding, Level
from bridge.config.settings import Settings
from bridge.http.connection import HttpConnection, Tls
from bridge.http.oauth import TokenError, TokenSource
from bridge.kafka.topics import Topics


def send_test(settings: Settings, topic: str) -> Iterator[Finding]:
    """One record of the topic to the single endpoint with syncValidation: AEP's verdict. The record is delivered if AEP accepts it; no offset moves."""
    from bridge.codec.envelope import entity_wrapper
    from bridge.codec.multi_status import error_text
    from bridge.codec.routes import Route
    from bridge.codec.validation import group_records

    entry = settings.entry_for(topic)
    if entry is None:
        yield Finding(
            Level.FAIL,
            f"test from {topic}",
            "no entry of the mapping matches this topic",
            "name a mapped topic",
        )
        return
    aep = settings.inlet_for(entry)
    value = _sample(settings, topic)
    if value is None:
        yield Finding(
            Level.FAIL, f"test from {topic}", "the topic has no record to send", "produce one first"
        )
        return
    wrapper = (b"", b"")
    if entry.format == "entity":
        ids = {
            "schema_id": entry.schema_id or "",
            "schema_version": entry.schema_version,
            "dataset_id": entry.dataset_id or "",
        }
        wrapper = entity_wrapper(ims_org_id=aep.ims_org_id or "", **ids)
    run = group_records(Route(topic, entry.format, "check", entry.dataset_id, wrapper), [value])[0]
    if run.refusal is not None:
        yield Finding(
            Level.FAIL,
            f"test from {topic}",
            run.refusal.error,
            "this record would be dead-lettered before it is sent",
        )
        return
    tls = Tls(
        *(
            None if path is None else str(path)
            for path in (aep.ca_file, aep.client_cert_file, aep.client_key_file)
        )
    )
    with httpx.Client(transport=HttpConnection(tls=tls, proxy=aep.proxy()), trust_env=False) as client:
        headers = dict(aep.header_values()) | {"content-type": "application/json"}
        try:
            if aep.auth is not None:
                auth = aep.auth
                source = TokenSource(
                    url=auth.token_url,
                    client_id=auth.client_id,
                    secret=auth.secret,
                    scope=auth.scope,
                    client=client,
                )
                headers["authorization"] = f"Bearer {source.bearer(time.monotonic() + TIMEOUT_S)}"
            limits = {"deadline": time.monotonic() + 30, "max_response_bytes": 1_000_000}
            answer = client.post(
                f"{aep.single_url}?syncValidation=true",
                headers=headers,
                content=run.pieces[0],
                extensions=limits,
            )
        except (httpx.HTTPError, TokenError) as trouble:
            yield Finding(Level.FAIL, f"test from {topic}", str(trouble), unreachable=True)
            return
    if answer.status_code == 200:
        yield Finding(Level.OK, f"test from {topic}", "AEP validated and accepted one record of it")
    else:
        text = error_text(answer.content)
        yield Finding(
            Level.FAIL,
            f"test from {topic}",
            f"AEP answers {answer.status_code}: {text}",
            "compare the record with the schema, dataset and organisation",
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
