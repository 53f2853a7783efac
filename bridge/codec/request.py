"""Records to the bytes of a batch request. An event's own bytes are never parsed and printed again, only wrapped and spliced."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec

HEAD, TAIL = b'{"messages":[', b"]}"
FRAME = len(HEAD) + len(TAIL)
"""Bytes of a request body beside its messages and the commas between them."""
MAX_REQUEST = 1_000_000
"""Bytes of a whole request body; AEP refuses more than "1 MB" with 413."""


def body(pieces: Iterable[bytes], before: bytes = b"") -> bytes:
    """The body of a batch request, `before` in front of it, in one copy: the frame goes onto the first and the last piece."""
    parts = list(pieces)
    if not parts:
        return before + HEAD + TAIL
    parts[0] = before + HEAD + parts[0]
    parts[-1] += TAIL
    return b",".join(parts)


def body_size(pieces: Sequence[bytes]) -> int:
    """The bytes of `body(pieces)`, without making it."""
    return FRAME + sum(map(len, pieces)) + max(0, len(pieces) - 1)


def envelope(*, schema_id: str, schema_version: str, ims_org_id: str, dataset_id: str) -> tuple[bytes, bytes]:
    """What stands before and after a bare XDM entity to make a message of it."""
    ref = {"id": schema_id, "contentType": f"application/vnd.adobe.xed-full+json;version={schema_version}"}
    header = {"schemaRef": ref, "imsOrgId": ims_org_id, "datasetId": dataset_id}
    encode = msgspec.json.encode
    return b'{"header":%b,"body":{"xdmMeta":%b,"xdmEntity":' % (
        encode(header),
        encode({"schemaRef": ref}),
    ), b"}}"


_SPACE = re.compile(rb"[ \t\r\n]*")
_HEADER_FIRST = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"header"[ \t\r\n]*:[ \t\r\n]*\{[ \t\r\n]*')
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SCALAR = re.compile(rb"[^,\]}\s]+")
_MARKS = re.compile(rb'["{}\[\]]')


def insert_dataset(value: bytes, dataset_id: str, *, absent: bool, read: bytes | None = None) -> bytes | None:
    """The message with `"datasetId"` written into its header, every other byte as it was; None where it has no header object.

    `value` must be valid JSON. With `absent` the header has no such key, and ours goes in front; else it has one that holds null, and ours goes last, where
    a reader that keeps the last of two keys (Jackson, AEP's) finds it. `read` is a copy to look at in its place, with everything where it is in the value.
    """
    read = value if read is None else read
    member = _dataset_member(dataset_id)
    first = _HEADER_FIRST.match(read)
    # The only "header" there is, unless an escape spells a second one; what has no backslash at all is told fastest.
    if (
        absent
        and first is not None
        and read.rfind(b'"header"') < first.end()
        and (b"\\" not in read or b"\\u00" not in read)
    ):
        at = first.end()
        return b"".join((value[:at], member, b"" if value[at] == ord("}") else b",", value[at:]))
    span = _member(read, b'"header"')
    if span is None or value[span[0]] != ord("{"):
        return None
    start, end = span
    inner = value[start + 1 : end - 1]
    if not inner.strip():
        return b"%b%b%b" % (value[: start + 1], member, value[start + 1 :])
    if absent:
        return b"%b{%b,%b" % (value[:start], member, value[start + 1 :])
    return b"%b,%b%b" % (value[: end - 1], member, value[end - 1 :])


@lru_cache(maxsize=64)
def _dataset_member(dataset_id: str) -> bytes:
    return b'"datasetId":%b' % msgspec.json.encode(dataset_id)


def _member(value: bytes, key: bytes) -> tuple[int, int] | None:
    """Start and end of the value of the last member of a JSON object that is named `key` (with its quotes), whatever escapes spell the name."""
    wanted = msgspec.json.decode(key)
    at = _skip(value, _skip(value, 0) + 1)
    found = None
    while value[at : at + 1] == b'"':
        name = _STRING.match(value, at)
        if name is None:
            return None
        start = _skip(value, _skip(value, name.end()) + 1)
        end = _value_end(value, start)
        if name[0] == key or (b"\\" in name[0] and msgspec.json.decode(name[0]) == wanted):
            found = start, end
        at = _skip(value, end)
        if value[at : at + 1] != b",":
            break
        at = _skip(value, at + 1)
    return found


def _skip(value: bytes, at: int) -> int:
    match = _SPACE.match(value, at)
    return at if match is None else match.end()


def _value_end(value: bytes, at: int) -> int:
    """The offset behind the JSON value that starts at `at`."""
    opening = value[at : at + 1]
    if opening not in (b"{", b"["):
        match = (_STRING if opening == b'"' else _SCALAR).match(value, at)
        return len(value) if match is None else match.end()
    depth = 0
    while True:
        mark = _MARKS.search(value, at)
        if mark is None:
            return len(value)
        at = mark.end()
        if mark[0] == b'"':
            string = _STRING.match(value, mark.start())
            at = len(value) if string is None else string.end()
        elif mark[0] in b"{[":
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                return at
