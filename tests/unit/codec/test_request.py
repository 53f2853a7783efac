"""The body of a batch request."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bridge.codec.request import FRAME_BYTES, body, body_size
from tests.support.jsontext import ANY, as_bytes


@given(st.lists(as_bytes(ANY), max_size=6))
def test_the_bytes_arrive_as_they_were_produced(pieces: list[bytes]) -> None:
    """AEP must get what the producer wrote: huge integers, escapes, repeated keys, white space, non-ASCII."""
    request = body(pieces)
    messages = msgspec.json.decode(request, type=dict[str, list[msgspec.Raw]])["messages"]

    assert len(request) == body_size(pieces)
    assert [bytes(message).strip(b" \t\r\n") for message in messages] == [
        piece.strip(b" \t\r\n") for piece in pieces
    ]
    assert request == b'{"messages":[' + b",".join(pieces) + b"]}"


def test_the_frame_is_what_a_body_has_beside_its_messages() -> None:
    """The batcher computes sizes before a body exists: 15 bytes, and a comma between two messages."""
    assert len(body([])) == FRAME_BYTES
    assert body_size([]) == FRAME_BYTES
    assert len(body([b"{}"])) == FRAME_BYTES + 2
    assert len(body([b"{}", b"{}"])) == FRAME_BYTES + 5


def test_the_http_head_stands_in_front_of_the_body() -> None:
    """Head and body go to the socket in one piece, which saves a copy of up to a megabyte."""
    assert body([b"1", b"2"], b"HEAD") == b"HEAD" + body([b"1", b"2"])
    assert body([b"1"], b"HEAD") == b"HEAD" + body([b"1"])
    assert body([], b"HEAD") == b"HEAD" + body([])
