"""The form of what a command prints: a table for people, JSON for scripts."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer


class Form(StrEnum):
    """What `-o` takes."""

    AUTO = "auto"
    TABLE = "table"
    JSON = "json"


Output = Annotated[
    Form, typer.Option("--output", "-o", help="table, json, or auto: a table on a terminal, JSON elsewhere.")
]


def printable(text: str) -> str:
    """What a terminal may be given: others' control characters, escape sequences among them, as text."""
    return "".join(
        each if each.isprintable() or each in "\n\t" else each.encode("unicode_escape").decode()
        for each in text
    )


def as_json(form: Form) -> bool:
    """Whether to write JSON."""
    return form is Form.JSON or (form is Form.AUTO and not sys.stdout.isatty())
