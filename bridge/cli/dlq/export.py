"""`aep-bridge dlq export`: dead letters as NDJSON or CSV."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli.dlq.options import Dataset, Reason, Since, SourceTopic, Topic, letters, selection, stop
from bridge.cli.loading import ConfigOption, settings_of


def export(
    config: ConfigOption,
    to: Annotated[
        Path | None, typer.Option("--to", help="The file to write; default: standard output.")
    ] = None,
    format: Annotated[str, typer.Option("--format", help="ndjson or csv.")] = "ndjson",  # noqa: A002 - the option's name
    topic: Topic = None,
    reason: Reason = "",
    since: Since = "",
    dataset: Dataset = "",
    source_topic: SourceTopic = "",
) -> None:
    """Write dead letters as NDJSON or CSV: error, provenance, key, payload (base64 where it is no text).

    Example: `aep-bridge dlq export --config bridge.yaml --format csv --reason 400 --to refused.csv`
    """
    import csv

    if format not in {"ndjson", "csv"}:
        raise stop(f"--format {format}: give ndjson or csv", 2)
    wanted = selection(reason, since, dataset, source_topic)
    settings = settings_of(config)
    count = 0
    try:
        stream = sys.stdout if to is None else to.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise stop(f"{to}: {error.strerror}", 2) from None
    writer: Any = None
    try:
        for letter, mark in letters(settings, topic, wanted):
            row = {
                **letter.as_json(),
                "replayed_at": mark and mark.at,
                **_text_of(letter.record.key(), "key"),
                **_text_of(letter.record.value(), "payload"),
            }
            count += 1
            if format == "ndjson":
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
                continue
            if writer is None:
                writer = csv.writer(stream)
                writer.writerow(row)
            writer.writerow(["" if value is None else value for value in row.values()])
    finally:
        if to is not None:
            stream.close()
    typer.echo(f"{count:,} dead letters", err=True)


def _text_of(value: bytes | None, name: str) -> dict[str, str | None]:
    import base64

    try:
        return {name: None if value is None else value.decode(), f"{name}_base64": None}
    except UnicodeDecodeError:
        return {name: None, f"{name}_base64": base64.b64encode(value or b"").decode()}
