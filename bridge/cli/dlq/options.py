"""What the commands about dead letters share: filters, the reader, and how they end with a message."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.output import printable, stop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.config.settings import Settings
    from bridge.replay.reading import DeadLetterReader
    from bridge.replay.selection import Selection

Topic = Annotated[
    list[str] | None,
    typer.Option(
        "--topic", help="Only this dead-letter topic (repeatable). Default: all of the configuration's."
    ),
]
Reason = Annotated[
    str, typer.Option("--reason", help="A part of the reason, the status or the error text, in any case.")
]
Since = Annotated[
    str,
    typer.Option("--since", help="Failed since: an age (90s, 15m, 2h, 7d) or a time (2026-11-24T12:00:00Z)."),
]
Dataset = Annotated[str, typer.Option("--dataset", help="Only dead letters for this dataset.")]
SourceTopic = Annotated[
    str,
    typer.Option("--source-topic", help="Only dead letters of records that were read from this topic."),
]


def selection_of(reason: str, since: str, dataset: str, source_topic: str) -> Selection:
    """Return the filters. Exits with 2 for a time that can't be parsed."""
    from bridge.replay.selection import Selection, parse_since

    try:
        return Selection(reason, parse_since(since), dataset, source_topic)
    except ValueError as error:
        raise stop(f"--since {error}", 2) from None


@contextmanager
def open_reader(settings: Settings) -> Iterator[DeadLetterReader]:
    """Open a reader of dead letters, and turn its errors into exit codes.

    Exits with 1 if the coordinates do not fit into the temporary folder, 2 for a topic that does not exist
    or a property that the client refuses, 3 if the brokers can't be reached.
    """
    import sqlite3

    from bridge.kafka.client_errors import PropertiesRefused, Unreachable
    from bridge.replay import reading

    try:
        reader = reading.DeadLetterReader(settings)
    except PropertiesRefused as error:
        raise stop(f"kafka.properties: {error}", 2) from None
    try:
        yield reader
    except sqlite3.OperationalError as error:
        raise stop(
            f"the coordinates of the dead letters don't fit into the temporary folder: {error}; narrow the "
            "filters (--topic, --since), or set SQLITE_TMPDIR to a folder with more room",
            1,
        ) from None
    except LookupError as error:
        raise stop(str(error), 2) from None
    except Unreachable as error:
        raise stop(
            f"{settings.kafka.bootstrap_servers}: {error}; is it up, and may this principal read? "
            "`aep-bridge check` looks further",
            3,
        ) from None
    finally:
        reader.close()


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """Print a table."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*(escape(printable(cell)) for cell in row))
    Console().print(table)
