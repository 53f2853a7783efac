"""Tables in Markdown, and figures in their cells. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.figures import Figure

KINDS = {"client": "Kafka's client", "main": "the loop", "others": "other threads"}
"""Of threads."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """The first `left` columns hold words."""
    marks = ["---" if n < left else "---:" for n in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, marks, *rows])


def said(found: Figure | None, digits: int = 2) -> str:
    """A dash where there is nothing."""
    return "–" if found is None else found.text(digits)
