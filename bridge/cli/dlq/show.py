"""`aep-bridge dlq show`: one dead letter in full."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.dlq.options import open_reader
from bridge.cli.loading import ConfigOption, settings_of
from bridge.cli.output import Form, Output, as_json, printable, stop

if TYPE_CHECKING:
    from rich.console import Console

    from bridge.replay.dead_letter import StoredDeadLetter
    from bridge.replay.marks import Mark

_KEY_CHARACTERS, _PAYLOAD_CHARACTERS = 2000, 20_000
"""Shown on a terminal; `--raw` and `-o json` show all."""


def show(
    record: Annotated[
        str,
        typer.Argument(
            metavar="TOPIC/PARTITION/OFFSET",
            help="The dead letter's coordinates, or its source record's.",
        ),
    ],
    config: ConfigOption,
    raw: Annotated[bool, typer.Option("--raw", help="Only the payload, byte for byte.")] = False,
    output: Output = Form.AUTO,
) -> None:
    """Show one dead letter: the error, where it came from, and the payload.

    Example: `aep-bridge dlq show web-events.dlq/0/17 --config bridge.yaml`
    """
    from bridge.kafka.coordinates import parse_coordinates
    from bridge.replay import details
    from bridge.replay.reading import find

    parts = record.encode(errors="replace").rsplit(b"/", 2)
    coordinates = parse_coordinates(*parts) if len(parts) == 3 else None
    if coordinates is None:
        raise stop(f"{record}: write TOPIC/PARTITION/OFFSET, such as web-events.dlq/0/17", 2)
    settings = settings_of(config)
    with open_reader(settings) as reader:
        result = find(settings, reader, coordinates)
    if result is None:
        raise stop(
            f"{record}: no dead letter is there, and none came from there; "
            "`aep-bridge dlq list` shows samples",
            1,
        )
    letter, mark = result
    if raw:
        sys.stdout.buffer.write(details.payload_of(letter))
    elif as_json(output):
        text = json.dumps(details.as_json(letter, mark), indent=2, ensure_ascii=False)
        # JSON can spell half a surrogate pair, which is no text in UTF-8.
        typer.echo(text.encode(errors="backslashreplace").decode())
    else:
        _print(letter, mark)


def _print(letter: StoredDeadLetter, mark: Mark | None) -> None:
    from rich.console import Console
    from rich.markup import escape

    from bridge.replay import details

    console = Console(highlight=False)  # the patterns of its highlighter take for ever on some long texts
    console.print(f"[bold red]{escape(printable(letter.error))}[/]")
    facts = letter.as_json()
    del facts["error"]
    if mark is not None:
        facts["replayed"] = f"{mark.replayed_at}, to {mark.destination}"
    facts["key"] = details.key_of(letter)[:_KEY_CHARACTERS]
    for name, value in facts.items():
        if value is not None:
            console.print(f"  [dim]{name.replace('_', ' '):<14}[/] {escape(printable(str(value)))}")
    _print_payload(letter, console)


def _print_payload(letter: StoredDeadLetter, console: Console) -> None:
    """Print the payload, with the lines marked that hold a field which the error mentions."""
    from rich.markup import escape
    from rich.syntax import Syntax

    from bridge.replay import details

    value = details.payload_of(letter)
    payload = details.parse_payload(value)
    fields = details.fields_in_error(letter.error)
    title = f"[bold]payload[/], {len(value):,} bytes"
    if fields:
        title += f"; AEP complained about: [red]{escape(', '.join(fields))}[/]"
    console.print(title)
    if payload is None:
        text = value.decode("utf-8", "backslashreplace")
    else:
        text = json.dumps(payload, indent=2, ensure_ascii=False)
    marked = {
        number
        for number, line in enumerate(text.splitlines(), 1)
        if any(f'"{field}"' in line for field in fields)
    }
    console.print(
        Syntax(
            printable(text[:_PAYLOAD_CHARACTERS]),
            "text" if payload is None else "json",
            line_numbers=True,
            highlight_lines=marked,
            background_color="default",
        )
    )
