"""What the commands print, and in which form: a table for people, JSON for scripts."""

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
    """Return a text for a terminal, with control characters, which others may have written, made visible.

    An escape sequence in a dead letter's error could otherwise change what the terminal shows.
    """
    return "".join(
        character
        if character.isprintable() or character in "\n\t"
        else character.encode("unicode_escape").decode()
        for character in text
    )


def as_json(form: Form) -> bool:
    """Return whether to print JSON."""
    return form is Form.JSON or (form is Form.AUTO and not sys.stdout.isatty())


def stop(text: str, code: int) -> typer.Exit:
    """Print why the command ends, and return the exception for the caller to raise."""
    typer.echo(printable(text), err=True)
    return typer.Exit(code)
