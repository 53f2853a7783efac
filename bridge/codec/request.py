"""The body of a batch request: messages joined into `{"messages":[…]}`, never parsed or printed again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_START, _END = b'{"messages":[', b"]}"
FRAME_BYTES = len(_START) + len(_END)
"""Bytes of a request body without its messages and the commas between them."""
MAX_REQUEST_BYTES = 1_000_000
"""Bytes of the largest request body that is sent; AEP refuses more than "1 MB" with 413."""


def body(pieces: Iterable[bytes], before: bytes = b"") -> bytes:
    """Return the body of a batch request with `before`, the HTTP head, in front of it.

    Head and frame are joined to the first and the last message, so that the whole is copied only once.
    """
    parts = list(pieces)
    if not parts:
        return before + _START + _END
    parts[0] = before + _START + parts[0]
    parts[-1] += _END
    return b",".join(parts)


def body_size(pieces: Sequence[bytes]) -> int:
    """Return the length of `body(pieces)` without making it."""
    return FRAME_BYTES + sum(map(len, pieces)) + max(0, len(pieces) - 1)
