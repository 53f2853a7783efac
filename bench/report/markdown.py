"""Tables in Markdown, and figures in their cells. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.report.figures import Figure

THREAD_KINDS = {"client": "Kafka's client", "main": "the loop", "others": "other threads"}
"""What the kinds of thread are called in the tables."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """Return a table. The first `left` columns hold words and are aligned to the left."""
    alignment = ["---" if n < left else "---:" for n in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, alignment, *rows])


def cell(value: Figure | None, digits: int = 2) -> str:
    """Return a figure's text, or a dash where there is none."""
    return "–" if value is None else value.text(digits)
