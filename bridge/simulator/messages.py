"""What the collection service looks at in a message, and what it says when something is wrong. Pure.

Nothing here asks the bridge's own validation: the simulator judges independently what the bridge sends.
Only the reading of lone surrogates is shared, because Jackson, which the real service reads with, accepts
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from bridge.codec import lone_surrogates
from bridge.simulator.config import Config

HEADER_MISSING = "The 'header' field is mandatory. Provide a valid 'header' value and try again."


class _SchemaRef(msgspec.Struct, rename="camel"):
    id: str = ""
    content_type: str = ""

    @property
    def is_valid(self) -> bool:
        return bool(self.id) and self.content_type.startswith("application/vnd.adobe.xed")


class _Header(msgspec.Struct, rename="camel"):
    schema_ref: _SchemaRef | None = None
    ims_org_id: str | None = None
    dataset_id: str | None = None


class _Meta(msgspec.Struct, rename="camel"):
    schema_ref: _SchemaRef | None = None


class _Entity(msgspec.Struct):
    id: Any = msgspec.field(default=None, name="_id")


class _Body(msgspec.Struct, rename="camel"):
    xdm_meta: _Meta | None = None
    xdm_entity: _Entity | None = None


class _Envelope(msgspec.Struct, rename="camel"):
    header: _Header | None = None
    body: _Body | None = None


class _Batch(msgspec.Struct):
    messages: list[msgspec.Raw]


class _RawBody(msgspec.Struct, rename="camel"):
    xdm_entity: msgspec.Raw = msgspec.Raw(b"{}")


class _RawEnvelope(msgspec.Struct):
    body: _RawBody


_batch = msgspec.json.Decoder(_Batch)
_envelope = msgspec.json.Decoder(_Envelope)
_entity = msgspec.json.Decoder(_Entity)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_envelope = msgspec.json.Decoder(_RawEnvelope)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of one message: accepted, or refused with a status."""

    event_id: str
    """Empty if the entity has no `_id`."""
    status: int | None = None
    """None if the message is accepted."""
    error: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the message is accepted."""
        return self.status is None


def split_batch(body: bytes) -> list[msgspec.Raw] | None:
    """Return a batch's messages, each in its own bytes; None if the body holds no list of messages.

    That is a body that is not UTF-8, not JSON, or nested too deeply. A lone surrogate is no mistake.
    """
    try:
        body.decode()
        messages = lone_surrogates.decode(_batch, body).messages
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return _original_bytes(messages, body)


def entity_bytes(message: bytes) -> bytes:
    """Return the entity inside an enveloped message, byte for byte."""
    entity = lone_surrogates.decode(_raw_envelope, message).body.xdm_entity
    return bytes(_original_bytes([entity], message)[0])


def _original_bytes(parts: list[msgspec.Raw], whole: bytes) -> list[msgspec.Raw]:
    """Return parts of `whole`, which follow each other, in their own bytes if they were read in a copy."""
    copy = lone_surrogates.replace(whole)
    if copy is None:
        return parts
    originals, end = [], 0
    for part in map(bytes, parts):
        start = copy.index(part, end)
        end = start + len(part)
        originals.append(msgspec.Raw(whole[start:end]))
    return originals


def ordering_key(message: msgspec.Raw, field: str, *, enveloped: bool) -> str:
    """Return a top-level field of the entity: a text as it is, anything else as JSON; "" if it is missing."""
    entity = lone_surrogates.decode(_raw_envelope, message).body.xdm_entity if enveloped else message
    value = lone_surrogates.decode(_fields, entity).get(field)
    if value is None:
        return ""
    decoded = msgspec.json.decode(value)
    return decoded if isinstance(decoded, str) else bytes(value).decode()


def judge_raw(message: msgspec.Raw) -> Judgement:
    """Judge a message of a raw inlet: any object is accepted."""
    try:
        return Judgement(_id_text(lone_surrogates.decode(_entity, message).id))
    except (msgspec.DecodeError, RecursionError):
        return Judgement("", 400, "Message is not a JSON object")


def judge(message: msgspec.Raw, inlet: str, config: Config) -> Judgement:
    """Judge an enveloped message by the organisation and the datasets of the inlet."""
    where = f"inletId: [{inlet}] imsOrgId: [{config.org}]"
    try:
        envelope = lone_surrogates.decode(_envelope, message)
    except (msgspec.DecodeError, RecursionError):
        return Judgement("", 400, f"{where} Message has unknown xdm format")
    header, body = envelope.header, envelope.body
    event_id = _id_text(body.xdm_entity.id) if body is not None and body.xdm_entity is not None else ""
    if header is None:
        return Judgement(event_id, 400, HEADER_MISSING)
    org_may_be_absent = config.missing_org == "accept"
    if header.ims_org_id != config.org and not (header.ims_org_id is None and org_may_be_absent):
        return Judgement(event_id, 400, f"{where} Message has an absent or wrong ims org in the header")
    if not _is_well_formed(header, body):
        return Judgement(event_id, 400, f"{where} Message has unknown xdm format")
    if config.datasets:
        schema = None if header.dataset_id is None else config.datasets.get(header.dataset_id)
        if header.schema_ref is None or schema != header.schema_ref.id:
            error = "The dataset is unknown, or its schema is not the message's"
            return Judgement(event_id, 400, f"{where} datasetId: [{header.dataset_id}] {error}")
    return Judgement(event_id)


def _is_well_formed(header: _Header, body: _Body | None) -> bool:
    """Return whether there is an entity, and both schema references are valid and the same."""
    reference = header.schema_ref
    if reference is None or not reference.is_valid:
        return False
    if body is None or body.xdm_entity is None or body.xdm_meta is None:
        return False
    return body.xdm_meta.schema_ref == reference


def _id_text(event_id: Any) -> str:
    if event_id is None:
        return ""
    return event_id if isinstance(event_id, str) else str(event_id)
