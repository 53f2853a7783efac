r"""Half of a surrogate pair, escaped and alone: `"\ud83d"`.

JSON's grammar allows it, JavaScript wrote it for years, and AEP's reader (Jackson) takes it; msgspec does not. What has one is read in a copy without it,
and sent as it is. Pure.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TypeVar

import msgspec

T = TypeVar("T")

_SURROGATES = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(\\u[dD][c-fC-F][0-9a-fA-F]{2})?|[c-fC-F][0-9a-fA-F]{2})"
)
"""A first half with or without its second, or a second half."""
_LENGTH = 6


def replaced(value: bytes, by: bytes = b"\\u003f") -> bytes | None:
    """A copy in which each is another escape of the same length, so that every other byte is where it was; None where there is none."""
    copy = _SURROGATES.sub(partial(_one, by), value)
    return None if copy == value else copy


def decoded(decoder: msgspec.json.Decoder[T], text: bytes | msgspec.Raw) -> T:
    """What the text says, read in such a copy if need be: not for what is passed on. Raises as the decoder does."""
    try:
        return decoder.decode(text)
    except msgspec.DecodeError:
        copy = replaced(bytes(text))
        if copy is None:
            raise
        return decoder.decode(copy)


def _one(by: bytes, found: re.Match[bytes]) -> bytes:
    at = start = found.start()
    while at and found.string[at - 1] == ord("\\"):
        at -= 1
    if (start - at) % 2:  # its backslash is escaped: plain text, which makes no pair with what follows
        return found[0][:_LENGTH] + by if found[1] else found[0]
    return found[0] if found[1] else by
