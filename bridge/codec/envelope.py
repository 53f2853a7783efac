"""Adobe's message envelope, changed without parsing it: wrap a bare entity, or put a dataset into a header.

Every byte of the event stays as the producer wrote it: numbers, escapes, white space and repeated keys.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

_WHITE_SPACE = re.compile(rb"[ \t\r\n]*")
_HEADER_FIRST = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"header"[ \t\r\n]*:[ \t\r\n]*\{[ \t\r\n]*')
"""A message whose first member is the header, up to the first member of the header."""
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NUMBER_OR_NAME = re.compile(rb"[^,\]}\s]+")
"""A number, `true`, `false` or `null`."""
_BRACKET_OR_QUOTE = re.compile(rb'["{}\[\]]')


def entity_wrapper(
    *, schema_id: str, schema_version: str, ims_org_id: str, dataset_id: str
) -> tuple[bytes, bytes]:
    """Return the bytes that make a message of a bare XDM entity: those before it, and those after it."""
    ref = {"id": schema_id, "contentType": f"application/vnd.adobe.xed-full+json;version={schema_version}"}
    header = msgspec.json.encode({"schemaRef": ref, "imsOrgId": ims_org_id, "datasetId": dataset_id})
    xdm_meta = msgspec.json.encode({"schemaRef": ref})
    return b'{"header":%b,"body":{"xdmMeta":%b,"xdmEntity":' % (header, xdm_meta), b"}}"


def insert_dataset_id(
    message: bytes, dataset_id: str, *, absent: bool, readable: bytes | None = None
) -> bytes | None:
    """Return the message with `"datasetId"` added to its header; None if it has no header object.

    The message must be valid JSON. With `absent`, the header has no such key, and ours becomes the first
    member. Without it, the key is there and holds null, and ours becomes the last member: of two equal keys,
    AEP's reader (Jackson) uses the last.
    `readable` is a copy to search in instead; every byte that the copy keeps stands at the same offset in it.
    """
    readable = message if readable is None else readable
    member = _dataset_member(dataset_id)
    header_first = _HEADER_FIRST.match(readable)
    # The fast way needs proof that this is the message's only "header": the name does not occur again, and no
    # escape (\u00..) spells it. Most messages have no backslash at all, which is the cheapest proof.
    if (
        absent
        and header_first is not None
        and readable.rfind(b'"header"') < header_first.end()
        and (b"\\" not in readable or b"\\u00" not in readable)
    ):
        at = header_first.end()
        return b"".join((message[:at], member, b"" if message[at] == ord("}") else b",", message[at:]))
    span = _last_member(readable, b'"header"')
    if span is None or message[span[0]] != ord("{"):
        return None
    start, end = span
    inside = message[start + 1 : end - 1]
    if not inside.strip():
        return b"%b%b%b" % (message[: start + 1], member, message[start + 1 :])
    if absent:
        return b"%b{%b,%b" % (message[:start], member, message[start + 1 :])
    return b"%b,%b%b" % (message[: end - 1], member, message[end - 1 :])


@lru_cache(maxsize=64)
def _dataset_member(dataset_id: str) -> bytes:
    return b'"datasetId":%b' % msgspec.json.encode(dataset_id)


def _last_member(text: bytes, quoted_name: bytes) -> tuple[int, int] | None:
    """Return start and end of the value of the last member that has this name, escapes in it included."""
    name = msgspec.json.decode(quoted_name)
    at = _skip_white_space(text, _skip_white_space(text, 0) + 1)
    span = None
    while text[at : at + 1] == b'"':
        key = _STRING.match(text, at)
        if key is None:
            return None
        start = _skip_white_space(text, _skip_white_space(text, key.end()) + 1)
        end = _value_end(text, start)
        if key[0] == quoted_name or (b"\\" in key[0] and msgspec.json.decode(key[0]) == name):
            span = start, end
        at = _skip_white_space(text, end)
        if text[at : at + 1] != b",":
            break
        at = _skip_white_space(text, at + 1)
    return span


def _skip_white_space(text: bytes, at: int) -> int:
    match = _WHITE_SPACE.match(text, at)
    return at if match is None else match.end()


def _value_end(text: bytes, start: int) -> int:
    """Return the offset behind the JSON value that starts here."""
    opening = text[start : start + 1]
    if opening not in (b"{", b"["):
        match = (_STRING if opening == b'"' else _NUMBER_OR_NAME).match(text, start)
        return len(text) if match is None else match.end()
    at, depth = start, 0
    while True:
        mark = _BRACKET_OR_QUOTE.search(text, at)
        if mark is None:
            return len(text)
        at = mark.end()
        if mark[0] == b'"':
            string = _STRING.match(text, mark.start())
            at = len(text) if string is None else string.end()
        elif mark[0] in b"{[":
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                return at
