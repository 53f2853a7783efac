"""Half of a surrogate pair is found in a text, and nothing else is taken for one."""

from __future__ import annotations

import msgspec
import pytest

from bridge.codec import lone_surrogates


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rb'"\ud83d"', rb'"\u003f"'),
        (rb'"\uDE00"', rb'"\u003f"'),
        (rb'"\ud83d\ud83d"', rb'"\u003f\u003f"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\u003f\ud83d\ude00"'),
        (rb'"\ud83d\u0041"', rb'"\u003f\u0041"'),
        (rb'"\\\ud83d"', rb'"\\\u003f"'),
        (rb'"\\ud83d\ude00"', rb'"\\ud83d\u003f"'),
    ],
)
def test_each_lone_surrogate_is_replaced_by_an_escape_of_the_same_length(
    text: bytes, expected: bytes
) -> None:
    """Offsets found in the copy are used in the original, so every other byte has to stay in its place."""
    assert lone_surrogates.replace(text) == expected
    assert len(expected) == len(text)


@pytest.mark.parametrize(
    "text", [b"", b'"x"', rb'"\ud83d\ude00"', rb'"\\ud83d"', rb'"\u0041"', b'"\xc3\xa9"']
)
def test_a_text_without_one_has_no_copy(text: bytes) -> None:
    """A pair, an escaped backslash in front of `ud83d`, and other escapes are no lone surrogates."""
    assert lone_surrogates.replace(text) is None


def test_a_decoder_reads_the_copy_only_if_it_objects_to_a_lone_surrogate() -> None:
    """Other mistakes stay errors, with the decoder's own message."""
    decoder = msgspec.json.Decoder(str)

    assert lone_surrogates.decode(decoder, rb'"a\ud83d"') == "a?"
    assert lone_surrogates.decode(decoder, b'"a"') == "a"
    with pytest.raises(msgspec.DecodeError, match="truncated"):
        lone_surrogates.decode(decoder, rb'"a\ud83d')
    with pytest.raises(msgspec.DecodeError, match="truncated"):
        lone_surrogates.decode(decoder, b'"a')
