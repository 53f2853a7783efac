"""A topic regex that is taken means to us what it means to Kafka's client, which asks the C library."""

from __future__ import annotations

import ctypes
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.config.topic_regex import difference

EXTENDED = 1
_libc = ctypes.CDLL(None)


@contextmanager
def compiled(regex: str) -> Iterator[ctypes.Array[ctypes.c_char] | None]:
    """What `regcomp` makes of it, as librdkafka asks it; None where it refuses."""
    made = ctypes.create_string_buffer(512)
    if _libc.regcomp(made, regex.encode(), EXTENDED):
        yield None
        return
    try:
        yield made
    finally:
        _libc.regfree(made)


PARTS = [
    "a", "web", "-", "1", ".", r"\.", r"\-", "[0-9]", "[a-c]", "[^a]", "[]a]", "[ab-]", "[a.]", r"[\.]", r"\w", r"\W", r"\b", r"\S", r"\s", r"\B", "(a|b)",
    "(", ")", "|", "*", "+", "?", "{2}", "{1,3}", "{,2}", "{", "}", "$", "^",
    r"\d", r"\D", r"[\d]", r"[\w]", r"[a\-c]", r"[^\]]", "[[:digit:]]", "[[:alpha:]-]", "[^[:upper:]]", "[[.a.]]", "[[=a=]]", r"\A", r"\Z", r"\x2d", r"\n",
    r"\<", r"\>", r"\`", r"\'", r"\_", r"\1", "(?:a)", ".*?", "[", "]", ":", "\\",
]  # fmt: skip
NAMES = [
    "a",
    "web",
    "web-1",
    "web-12",
    "web_1",
    "a.b",
    "a-b",
    "ab",
    "A",
    "Z",
    "d",
    "n",
    "x2d",
    "w",
    "aa",
    "a-c",
    "b-1",
    "1",
    "webweb",
    "zeta",
]


@pytest.mark.filterwarnings("ignore:Possible:FutureWarning")  # of Python, for what a set may mean one day
@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=6).map(lambda parts: "^" + "".join(parts)))
def test_what_is_taken_matches_the_same_names_on_both_sides(regex: str) -> None:
    """Whatever parts a regex is made of; what either side calls no regex is refused elsewhere."""
    if difference(regex):
        return
    try:
        ours = re.compile(regex)
    except re.error:
        return
    with compiled(regex) as theirs:
        assert theirs is not None, "the client would refuse it at start"
        assert [bool(ours.search(name)) for name in NAMES] == [
            _libc.regexec(theirs, name.encode(), 0, None, 0) == 0 for name in NAMES
        ]


@pytest.mark.parametrize(
    ("regex", "instead"),
    [
        ("^web-[[:digit:]]+$", "[:digit:] are not understood; write 0-9 for it"),
        ("^web-[^[:alpha:]_]$", "write A-Za-z for it"),
        ("^web-[[:space:]]$", "write the characters themselves"),
        ("^web-[[=a=]]$", "write the characters themselves"),
        (r"^web-[\d]+$", r"[0-9] for [\d]"),
        (r"^[\w.]+$", r"[A-Za-z0-9_] for [\w]"),
        (r"^web[a\-z]", "- at the end"),
        (r"^web\d", r"[0-9] for \d"),
        (r"^web\Z", r"\Z is something else"),
        (r"^(a)\1$", r"\1 is something else"),
        ("^web.*?", "no lazy quantifiers"),
        ("^web{", "no topic's name has one"),
    ],
)
def test_what_is_refused_is_told_how_to_be_written(regex: str, instead: str) -> None:
    """The classes are POSIX's own, but not Python's: the client would subscribe to topics for which we find no route."""
    assert instead in str(difference(regex))


@pytest.mark.parametrize(
    "regex",
    [
        r"^web-[a-z0-9._-]+$",
        r"^shop\.[A-Z]{2}\.(orders|carts)$",
        r"^\w+-events$",
        r"^[a-z\.]+$",
        "^[]x]",
        r"^a\(b\)?",
        "^.*",
    ],
)
def test_what_people_write_is_taken(regex: str) -> None:
    """And is a regex to Python, without a warning of what it might mean one day."""
    assert difference(regex) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        re.compile(regex)
