"""`aep-bridge dlq list`: dead letters in groups, by what is wrong."""

from __future__ import annotations

import json

import typer

from bridge.cli.dlq.options import (
    Dataset,
    Reason,
    Since,
    SourceTopic,
    Topic,
    open_reader,
    print_table,
    selection_of,
)
from bridge.cli.loading import ConfigOption, settings_of
from bridge.cli.output import Form, Output, as_json

_COLUMNS = ["count", "replayed", "reason", "error", "first seen", "last seen", "topics", "sample"]


def list_(
    config: ConfigOption,
    topic: Topic = None,
    reason: Reason = "",
    since: Since = "",
    dataset: Dataset = "",
    source_topic: SourceTopic = "",
    output: Output = Form.AUTO,
) -> None:
    """Group dead letters by what is wrong: count, first and last seen, topics, one sample.

    Example: `aep-bridge dlq list --config bridge.yaml --since 2h`
    """
    from bridge.replay.reading import read_selected
    from bridge.replay.summaries import group_by_error

    selection = selection_of(reason, since, dataset, source_topic)
    settings = settings_of(config)
    with open_reader(settings) as reader:
        groups = group_by_error(read_selected(settings, reader, topic or (), selection))
    rows = [group.as_json() for group in groups]
    if as_json(output):
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    if not rows:
        typer.echo("no dead letters")
        return
    cells = [
        [
            f"{row['count']:,}",
            f"{row['replayed']:,}",
            f"{row['reason']} {row['status'] or ''}",
            row["error"],
            row["first"],
            row["last"],
            ", ".join(row["topics"]),
            row["sample"],
        ]
        for row in rows
    ]
    print_table(_COLUMNS, cells)
    typer.echo(f"Look at one: aep-bridge dlq show {rows[0]['sample']} --config {config}")
