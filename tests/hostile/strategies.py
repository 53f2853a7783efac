"""Hypothesis strategies for what strangers write: JSON values of any kind, and texts that were damaged."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FUZZ = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
CANARY = "canary-7f3d91c5"
"""A secret that must appear nowhere."""

NAMES = st.sampled_from(["header", "datasetId", "body", "xdmEntity", "_id", "x"])
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
INSERTIONS = [
    b'"', b"\\", b"\\u0000", b"\\ud800", b"{", b"}", b"[", b",", b"\xff", b"NaN", b"1e999", b"\x00", b"null",
]  # fmt: skip


def encoded(value: object) -> bytes:
    """JSON as Python writes it, NaN included."""
    return json.dumps(value).encode()


@st.composite
def damaged(draw: st.DrawFn, text: bytes) -> bytes:
    """The text with up to four changes: a byte replaced, the end cut, a part doubled, something inserted."""
    data = bytearray(text)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(["replace", "cut", "double", "insert"])):
            case "replace":
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "cut":
                del data[at:]
            case "double":
                data[at:at] = data[at : at + draw(st.integers(1, 30))]
            case _:
                data[at:at] = draw(st.sampled_from(INSERTIONS))
    return bytes(data)
