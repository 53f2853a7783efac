"""Hypothesis strategies for JSON as producers really write it: huge numbers, escapes, repeated keys, white
space.

They make texts and not values, so that a test can see whether the bytes stayed as they were.
"""

from __future__ import annotations

import json

from hypothesis import strategies as st

SPACE = st.text(" \t\r\n", max_size=3)
PLAIN = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
TRICKY = [
    "\\n", "\\/", '\\"', "\\\\", "\\u0041", "\\u00e9", "\\ud83d\\ude00", "\\u0000", "{", "}", "[", ",", ":",
    "\\b", "é", "😀",
]  # fmt: skip
ESCAPES = st.lists(st.sampled_from(TRICKY), max_size=5)
STRING = st.one_of(
    PLAIN.map(json.dumps),
    PLAIN.map(lambda text: json.dumps(text, ensure_ascii=False)),
    ESCAPES.map(lambda parts: f'"{"".join(parts)}"'),
)
NUMBER = st.one_of(
    st.integers(-(10**40), 10**40).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(json.dumps),
    st.sampled_from(["-0", "0.0", "1E5", "1e-7", "9400100000000000000000", "1.50", "1e999", "0.1e+10"]),
)
SCALAR = st.one_of(STRING, NUMBER, st.sampled_from(["true", "false", "null"]))


def spaced(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """The text with white space around it."""
    return st.tuples(SPACE, inner, SPACE).map("".join)


def array(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """An array of such values, or an empty one."""
    items = st.lists(spaced(inner), min_size=1, max_size=4)
    return st.one_of(SPACE.map("[{}]".format), items.map(",".join).map("[{}]".format))


def members(pairs: st.SearchStrategy[tuple[str, str]], max_size: int = 4) -> st.SearchStrategy[str]:
    """An object with such members (name and value), or an empty one."""

    def member(parts: tuple[str, tuple[str, str], str, str, str]) -> str:
        before, (name, value), behind_name, before_value, behind = parts
        return f"{before}{name}{behind_name}:{before_value}{value}{behind}"

    one = st.tuples(SPACE, pairs, SPACE, SPACE, SPACE).map(member)
    some = st.lists(one, min_size=1, max_size=max_size)
    return st.one_of(SPACE.map("{{{}}}".format), some.map(",".join).map("{{{}}}".format))


ANY = st.recursive(
    SCALAR, lambda inner: st.one_of(array(inner), members(st.tuples(STRING, inner))), max_leaves=8
)
OBJECT = members(st.tuples(STRING, ANY))
HEADER_NAMES = st.sampled_from(['"header"', '"he\\u0061der"', '"\\u0068eader"'])
DATASET_NAMES = st.sampled_from(['"datasetId"', '"dataset\\u0049d"'])
DATASET_VALUES = st.sampled_from(["null", '"own"', '"öwn"', '""', "7", "1e999"])
HEADER = members(st.one_of(st.tuples(STRING, ANY), st.tuples(DATASET_NAMES, DATASET_VALUES)))
ENVELOPE = members(
    st.one_of(
        st.tuples(HEADER_NAMES, HEADER),
        st.tuples(HEADER_NAMES, HEADER),
        st.tuples(st.just('"body"'), ANY),
        st.tuples(STRING, ANY),
        st.tuples(HEADER_NAMES, SCALAR),
    )
)
"""Messages with none, one or several headers, which may hold a dataset of any kind."""


def as_bytes(text: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    """The text in UTF-8, with white space around it."""
    return spaced(text).map(str.encode)
