"""JSON as producers really write it: huge numbers, escapes, keys twice, odd white space. As bytes, so that a test can tell whether they stayed as they were."""

from __future__ import annotations

import json

from hypothesis import strategies as st

SPACE = st.text(" \t\r\n", max_size=3)
PLAIN = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
TRICKY = [
    "\\n",
    "\\/",
    '\\"',
    "\\\\",
    "\\u0041",
    "\\u00e9",
    "\\ud83d\\ude00",
    "\\u0000",
    "{",
    "}",
    "[",
    ",",
    ":",
    "\\b",
    "é",
    "😀",
]
ESCAPES = st.lists(st.sampled_from(TRICKY), max_size=5)
STRING = st.one_of(
    PLAIN.map(json.dumps),
    PLAIN.map(lambda text: json.dumps(text, ensure_ascii=False)),
    ESCAPES.map(lambda parts: f'"{"".join(parts)}"'),
)
NUMBER = st.one_of(
    st.integers(-(10**40), 10**40).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda number: json.dumps(number)),
    st.sampled_from(["-0", "0.0", "1E5", "1e-7", "9400100000000000000000", "1.50", "1e999", "0.1e+10"]),
)
SCALAR = st.one_of(STRING, NUMBER, st.sampled_from(["true", "false", "null"]))


def spaced(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(SPACE, inner, SPACE).map("".join)


def array(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        SPACE.map(lambda space: f"[{space}]"),
        st.lists(spaced(inner), min_size=1, max_size=4).map(lambda items: f"[{','.join(items)}]"),
    )


def members(pairs: st.SearchStrategy[tuple[str, str]], max_size: int = 4) -> st.SearchStrategy[str]:
    """An object of these members."""
    one = st.tuples(SPACE, pairs, SPACE, SPACE, SPACE).map(
        lambda m: f"{m[0]}{m[1][0]}{m[2]}:{m[3]}{m[1][1]}{m[4]}"
    )
    return st.one_of(
        SPACE.map(lambda space: f"{{{space}}}"),
        st.lists(one, min_size=1, max_size=max_size).map(lambda items: f"{{{','.join(items)}}}"),
    )


ANY = st.recursive(
    SCALAR, lambda inner: st.one_of(array(inner), members(st.tuples(STRING, inner))), max_leaves=8
)
OBJECT = members(st.tuples(STRING, ANY))
HEADER_NAMES = st.sampled_from(['"header"', '"he\\u0061der"', '"\\u0068eader"'])
DATASET_NAMES = st.sampled_from(['"datasetId"', '"dataset\\u0049d"'])
HEADER = members(
    st.one_of(
        st.tuples(STRING, ANY),
        st.tuples(DATASET_NAMES, st.sampled_from(["null", '"own"', '"öwn"', '""', "7", "1e999"])),
    )
)
ENVELOPE = members(
    st.one_of(
        st.tuples(HEADER_NAMES, HEADER),
        st.tuples(HEADER_NAMES, HEADER),
        st.tuples(st.just('"body"'), ANY),
        st.tuples(STRING, ANY),
        st.tuples(HEADER_NAMES, SCALAR),
    )
)
"""Messages with all sorts of headers, some twice, some none."""


def as_bytes(text: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    return spaced(text).map(str.encode)
