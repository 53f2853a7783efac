r"""Refuses a topic regex that Kafka's C client (POSIX extended) and Python's `re` would read differently.

The client subscribes by its own reading, and the bridge finds the route with `re`. Where the two differ, a
topic is read that has no route, or is never read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_PART = re.compile(r"(?P<escape>\\.)|(?P<bracket>\[\^?\]?[^\]]*\]?)|(?P<plain>[^\\[]+)", re.DOTALL)
_CLASS = re.compile(r"(?<=.)\[([:.=])([a-z]*)", re.DOTALL)
_CLASSES = {
    "alnum": "A-Za-z0-9",
    "alpha": "A-Za-z",
    "digit": "0-9",
    "lower": "a-z",
    "punct": "._-",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
"""What a POSIX class means among the characters of a topic's name."""
_ESCAPE_IN_BRACKET = re.compile(r"\\[^.]|-\\")
_OTHER_ESCAPE = re.compile(r"\\(?![wWsSbB])[A-Za-z0-9<>`']")
"""An escape that means nothing, or something else, to one of the two."""
_PERL_SYNTAX = re.compile(r"\(\?|[*+?}][?+]")
_NOT_A_COUNT = re.compile(r"\{(?!(?:[0-9]{1,3}(?:,[0-9]{0,3})?|,[0-9]{1,3})\})")


def difference(regex: str) -> str | None:
    """Return what the client would read differently, and what to write instead; None if both read the same.

    Whether it is a regex at all is checked elsewhere.
    """
    return next(_differences(regex), None)


def _differences(regex: str) -> Iterator[str]:
    for part in _PART.finditer(regex):
        escape, bracket, plain = part["escape"], part["bracket"], part["plain"]
        if escape in {r"\d", r"\D"} or (plain and _PERL_SYNTAX.search(plain)):
            yield (
                r"Kafka's C client takes POSIX extended regexes; "
                r"write [0-9] for \d, and no lazy quantifiers and no (?…) groups"
            )
        elif escape and _OTHER_ESCAPE.match(escape):
            yield (
                rf"{escape} is something else to Kafka's C client, whose regexes are POSIX extended; "
                "write the character itself"
            )
        elif bracket and (named := _CLASS.search(bracket)):
            instead = _CLASSES.get(named[2])
            remedy = f"{instead} for it" if instead else "the characters themselves"
            yield f"classes such as [{named[1]}{named[2]}{named[1]}] are not understood; write {remedy}"
        elif bracket and _ESCAPE_IN_BRACKET.search(bracket):
            yield (
                r"inside [ ] a backslash is a character like any other to Kafka's C client; "
                r"write [A-Za-z0-9_] for [\w], [0-9] for [\d], and - at the end"
            )
        elif plain and _NOT_A_COUNT.search(plain):
            yield "{ begins a count such as {2} or {1,255}; no topic's name has one in it"
