r"""A topic regex means the same to Kafka's C client (POSIX extended) and to us (Python's `re`), or it is refused.

The client subscribes by its own reading, and we find the route by ours: where they differ, a topic is read that has no route, or is never read. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_PART = re.compile(r"(?P<escape>\\.)|(?P<bracket>\[\^?\]?[^\]]*\]?)|(?P<plain>[^\\[]+)", re.DOTALL)
_CLASS = re.compile(r"(?<=.)\[([:.=])([a-z]*)", re.DOTALL)
_CLASSES = {
    "alnum": "A-Za-z0-9", "alpha": "A-Za-z", "digit": "0-9", "lower": "a-z", "punct": "._-", "upper": "A-Z", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_NO_MEMBER = re.compile(r"\\[^.]|-\\")
_NO_ESCAPE = re.compile(r"\\(?![wWsSbB])[A-Za-z0-9<>`']")
_PERLS = re.compile(r"\(\?|[*+?}][?+]")
_NO_COUNT = re.compile(r"\{(?!(?:[0-9]{1,3}(?:,[0-9]{0,3})?|,[0-9]{1,3})\})")


def differs(regex: str) -> str | None:
    """What the client would read differently, and what to write instead; None where both read the same. Whether it is a regex at all is not asked here."""
    return next(_differences(regex), None)


def _differences(regex: str) -> Iterator[str]:
    for part in _PART.finditer(regex):
        escape, bracket, plain = part["escape"], part["bracket"], part["plain"]
        if escape in {r"\d", r"\D"} or (plain and _PERLS.search(plain)):
            yield r"Kafka's C client takes POSIX extended regexes; write [0-9] for \d, and no lazy quantifiers and no (?…) groups"
        elif escape and _NO_ESCAPE.match(escape):
            yield rf"{escape} is something else to Kafka's C client, whose regexes are POSIX extended; write the character itself"
        elif bracket and (named := _CLASS.search(bracket)):
            instead = _CLASSES.get(named[2])
            yield f"classes such as [{named[1]}{named[2]}{named[1]}] are not understood; write " + (
                f"{instead} for it" if instead else "the characters themselves"
            )
        elif bracket and _NO_MEMBER.search(bracket):
            yield r"inside [ ] a backslash is a character like any other to Kafka's C client; write [A-Za-z0-9_] for [\w], [0-9] for [\d], and - at the end"
        elif plain and _NO_COUNT.search(plain):
            yield "{ begins a count such as {2} or {1,255}; no topic's name has one in it"
