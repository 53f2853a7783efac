"""What the dead letters' commands share: filters, the way out, and letters with their marks."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.output import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.config.settings import Settings
    from bridge.replay.dead_letter import StoredDeadLetter
    from bridge.replay.marks import Mark
    from bridge.replay.reading import Reader
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
Dataset = Annotated[str, typer.Option("--dataset", help="Only letters for this dataset.")]
SourceTopic = Annotated[
    str, typer.Option("--source-topic", help="Only letters of records that were read from this topic.")
]


def stop(text: str, code: int) -> typer.Exit:
    """Says why, and is to be raised."""
    typer.echo(printable(text), err=True)
    return typer.Exit(code)


def selection(reason: str, since: str, dataset: str, source_topic: str) -> Selection:
    """The filters. Exits with 2 for a time that is none."""
    from bridge.replay.selection import Selection
    from bridge.replay.selection import since as moment

    try:
        return Selection(reason, moment(since), dataset, source_topic)
    except ValueError as error:
        raise stop(f"--since {error}", 2) from None


@contextmanager
def reading(settings: Settings) -> Iterator[Reader]:
    """A reader. Exits with 3 where brokers are away, 2 for a topic that is not there, 1 without room for coordinates."""
    import sqlite3

    from bridge.kafka.topics import Unreachable
    from bridge.replay.reading import Reader

    reader = Reader(settings)
    try:
        yield reader
    except sqlite3.OperationalError as error:
        room = "narrow the filters (--topic, --since), or set SQLITE_TMPDIR to a folder with more room"
        raise stop(
            f"the letters' coordinates don't fit into the temporary folder: {error}; {room}", 1
        ) from None
    except LookupError as error:
        raise stop(str(error), 2) from None
    except Unreachable as error:
        raise stop(
            f"{settings.kafka.bootstrap_servers}: {error}; is it up, and may this principal read? `aep-bridge check` looks further",
            3,
        ) from None
    finally:
        reader.close()


def letters(
    settings: Settings, topics: list[str] | None, wanted: Selection | None = None
) -> Iterator[tuple[StoredDeadLetter, Mark | None]]:
    """Every letter that is meant, with the mark of its replay."""
    from bridge.replay.marks import Replayed
    from bridge.replay.reading import topics_of

    with reading(settings) as reader:
        replayed = Replayed.read(settings, reader)
        for letter in reader.letters(reader.bounds(topics_of(settings, topics or ()))):
            if wanted is None or wanted.takes(letter):
                yield letter, replayed.of(letter)


def table(columns: list[str], rows: list[list[str]]) -> None:
    """Prints a table."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    made = Table(*columns)
    for row in rows:
        made.add_row(*(escape(printable(cell)) for cell in row))
    Console().print(made)
