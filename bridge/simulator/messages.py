"""What the collection service looks at in a message, and what it says when something is wrong. Pure."""

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
    def sound(self) -> bool:
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


class _Messages(msgspec.Struct):
    messages: list[msgspec.Raw]


class _RawBody(msgspec.Struct, rename="camel"):
    xdm_entity: msgspec.Raw = msgspec.Raw(b"{}")


class _RawEnvelope(msgspec.Struct):
    body: _RawBody


_batch = msgspec.json.Decoder(_Messages)
_envelope = msgspec.json.Decoder(_Envelope)
_entity = msgspec.json.Decoder(_Entity)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_envelope = msgspec.json.Decoder(_RawEnvelope)


@dataclass(frozen=True, slots=True)
class Judged:
    """One message: its event's id (empty where there is none), and what is wrong with it."""

    event_id: str
    status: int | None = None
    error: str = ""


def split(body: bytes) -> list[msgspec.Raw] | None:
    """The messages of a batch, each in its own bytes; none where the body is not UTF-8, not JSON, nested too deep, or has no list of messages.

    Half of a surrogate pair, escaped, is no mistake to Jackson, and so none here.
    """
    try:
        body.decode()
        messages = lone_surrogates.decode(_batch, body).messages
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return _originals(messages, body)


def entity_bytes(message: bytes) -> bytes:
    """The entity inside an enveloped message, byte for byte."""
    return bytes(_originals([lone_surrogates.decode(_raw_envelope, message).body.xdm_entity], message)[0])


def _originals(parts: list[msgspec.Raw], whole: bytes) -> list[msgspec.Raw]:
    """The parts in their own bytes, where they were read in a copy; they follow each other."""
    copy = lone_surrogates.replace(whole)
    if copy is None:
        return parts
    found, at = [], 0
    for part in map(bytes, parts):
        start = copy.index(part, at)
        at = start + len(part)
        found.append(msgspec.Raw(whole[start:at]))
    return found


def ordering_key(message: msgspec.Raw, field: str, *, enveloped: bool) -> str:
    """A top-level field of the entity: a text as it is, anything else as JSON; empty where it is missing."""
    entity = lone_surrogates.decode(_raw_envelope, message).body.xdm_entity if enveloped else message
    value = lone_surrogates.decode(_fields, entity).get(field)
    if value is None:
        return ""
    decoded = msgspec.json.decode(value)
    return decoded if isinstance(decoded, str) else bytes(value).decode()


def judge_raw(message: msgspec.Raw) -> Judged:
    """A bare object is accepted as it is."""
    try:
        return Judged(_text(lone_surrogates.decode(_entity, message).id))
    except (msgspec.DecodeError, RecursionError):
        return Judged("", 400, "Message is not a JSON object")


def judge(message: msgspec.Raw, inlet: str, config: Config) -> Judged:
    """An enveloped message, held against the inlet's organisation and datasets."""
    where = f"inletId: [{inlet}] imsOrgId: [{config.org}]"
    try:
        envelope = lone_surrogates.decode(_envelope, message)
    except (msgspec.DecodeError, RecursionError):
        return Judged("", 400, f"{where} Message has unknown xdm format")
    header, body = envelope.header, envelope.body
    event_id = _text(body.xdm_entity.id) if body is not None and body.xdm_entity is not None else ""
    if header is None:
        return Judged(event_id, 400, HEADER_MISSING)
    if header.ims_org_id != config.org and not (header.ims_org_id is None and config.missing_org == "accept"):
        return Judged(event_id, 400, f"{where} Message has an absent or wrong ims org in the header")
    if not _well_formed(header, body):
        return Judged(event_id, 400, f"{where} Message has unknown xdm format")
    if config.datasets:
        schema = None if header.dataset_id is None else config.datasets.get(header.dataset_id)
        if header.schema_ref is None or schema != header.schema_ref.id:
            return Judged(
                event_id,
                400,
                f"{where} datasetId: [{header.dataset_id}] The dataset is unknown, or its schema is not the message's",
            )
    return Judged(event_id)


def _well_formed(header: _Header, body: _Body | None) -> bool:
    """Both schema references are there, sound and the same, and there is an entity."""
    reference = header.schema_ref
    if (
        reference is None
        or not reference.sound
        or body is None
        or body.xdm_entity is None
        or body.xdm_meta is None
    ):
        return False
    return body.xdm_meta.schema_ref == reference


def _text(event_id: Any) -> str:
    return event_id if isinstance(event_id, str) else "" if event_id is None else str(event_id)
