"""An accepted topic regex means the same to the bridge and to Kafka's client, which asks the C library."""

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
    """Yield what `regcomp` makes of a regex, called as librdkafka calls it; None if it refuses."""
    buffer = ctypes.create_string_buffer(512)
    if _libc.regcomp(buffer, regex.encode(), EXTENDED):
        yield None
        return
    try:
        yield buffer
    finally:
        _libc.regfree(buffer)


PARTS = [
    *("a", "web", "-", "1", ".", r"\.", r"\-", "(", ")", "(a|b)", "|", "*", "+", "?", "$", "^", ":", "\\"),
    *(
        "[0-9]",
        "[a-c]",
        "[^a]",
        "[]a]",
        "[ab-]",
        "[a.]",
        r"[\.]",
        r"[\d]",
        r"[\w]",
        r"[a\-c]",
        r"[^\]]",
        "[",
        "]",
    ),
    *("[[:digit:]]", "[[:alpha:]-]", "[^[:upper:]]", "[[.a.]]", "[[=a=]]"),
    *(r"\w", r"\W", r"\b", r"\B", r"\s", r"\S", r"\d", r"\D", r"\A", r"\Z", r"\x2d", r"\n", r"\_", r"\1"),
    *(r"\<", r"\>", r"\`", r"\'"),
    *("{2}", "{1,3}", "{,2}", "{", "}", "(?:a)", ".*?"),
]
NAMES = [
    *("a", "d", "n", "w", "A", "Z", "1", "aa", "ab", "a.b", "a-b", "a-c", "b-1", "x2d", "zeta"),
    *("web", "web-1", "web-12", "web_1", "webweb"),
]


# Python warns of what a set in brackets may mean in some later version.
@pytest.mark.filterwarnings("ignore:Possible:FutureWarning")
@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=6).map(lambda parts: "^" + "".join(parts)))
def test_an_accepted_regex_matches_the_same_names_on_both_sides(regex: str) -> None:
    """A topic that only one side matches is read without a route, or never read."""
    if difference(regex):
        return
    try:
        ours = re.compile(regex)
    except re.error:
        return
    with compiled(regex) as theirs:
        assert theirs is not None, "the client would refuse it at start"
        for name in NAMES:
            theirs_matches = _libc.regexec(theirs, name.encode(), 0, None, 0) == 0
            assert theirs_matches == bool(ours.search(name)), name


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
def test_a_refused_regex_comes_with_another_way_to_write_it(regex: str, instead: str) -> None:
    """Some of them are right in POSIX and some in Python, so the user has no reason to expect the error."""
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
def test_usual_regexes_are_accepted(regex: str) -> None:
    """Python compiles them without a warning of what they may mean in some later version."""
    assert difference(regex) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        re.compile(regex)
