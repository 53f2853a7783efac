r"""Lone surrogates: an escaped half of a surrogate pair, such as `"\ud83d"`, without its other half.

JSON's grammar allows them, JavaScript wrote them for years, and AEP's reader (Jackson) accepts them, but
msgspec does not. A value that has one is read in a copy without it, and sent as the producer wrote it.
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
"""A high surrogate with or without the low surrogate behind it, or a low surrogate."""
_ESCAPE_BYTES = len(rb"\ud83d")


def replace(text: bytes, by: bytes = b"\\u003f") -> bytes | None:
    """Return a copy in which `by` stands for each lone surrogate; None if the text has none.

    `by` is an escape of the same length, so that every other byte stays at its offset. The default is `?`.
    """
    copy = _SURROGATES.sub(partial(_replace_match, by), text)
    return None if copy == text else copy


def decode(decoder: msgspec.json.Decoder[T], text: bytes | msgspec.Raw) -> T:
    """Decode the text, or its copy without lone surrogates if that is all that the decoder objects to.

    The result is for looking at: bytes that come from the copy must not be passed on. Raises what the decoder
    raises.
    """
    try:
        return decoder.decode(text)
    except msgspec.DecodeError:
        copy = replace(bytes(text))
        if copy is None:
            raise
        return decoder.decode(copy)


def _replace_match(by: bytes, match: re.Match[bytes]) -> bytes:
    """Return what stands for one match: `by` for a lone surrogate, the match itself for a pair."""
    first_backslash = start = match.start()
    while first_backslash and match.string[first_backslash - 1] == ord("\\"):
        first_backslash -= 1
    low_surrogate_follows = match[1] is not None
    if (start - first_backslash) % 2:
        # The match's own backslash is escaped: what looks like a first half is plain text, and a second
        # half behind it is alone.
        return match[0][:_ESCAPE_BYTES] + by if low_surrogate_follows else match[0]
    return match[0] if low_surrogate_follows else by
