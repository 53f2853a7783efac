"""`aep-bridge dlq export`: dead letters as NDJSON or CSV."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.dlq.options import (
    Dataset,
    Reason,
    Since,
    SourceTopic,
    Topic,
    open_reader,
    selection_of,
)
from bridge.cli.loading import ConfigOption, settings_of
from bridge.cli.output import stop


def export(
    config: ConfigOption,
    to: Annotated[
        Path | None, typer.Option("--to", help="The file to write; default: standard output.")
    ] = None,
    format: Annotated[  # noqa: A002 - the option's name
        str, typer.Option("--format", help="ndjson or csv.")
    ] = "ndjson",
    topic: Topic = None,
    reason: Reason = "",
    since: Since = "",
    dataset: Dataset = "",
    source_topic: SourceTopic = "",
) -> None:
    """Write dead letters as NDJSON or CSV: error, source, key, payload (base64 if it is no text).

    Example: `aep-bridge dlq export --config bridge.yaml --format csv --reason 400 --to refused.csv`
    """
    from bridge.replay.export import write_csv, write_ndjson
    from bridge.replay.reading import read_selected

    if format not in {"ndjson", "csv"}:
        raise stop(f"--format {format}: give ndjson or csv", 2)
    write = write_ndjson if format == "ndjson" else write_csv
    selection = selection_of(reason, since, dataset, source_topic)
    settings = settings_of(config)
    try:
        stream = sys.stdout if to is None else to.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise stop(f"{to}: {error.strerror}", 2) from None
    try:
        with open_reader(settings) as reader:
            count = write(read_selected(settings, reader, topic or (), selection), stream)
    finally:
        if to is not None:
            stream.close()
    typer.echo(f"{count:,} dead letters", err=True)
