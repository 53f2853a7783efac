"""`aep-bridge dlq stats`: how many dead letters there are, of which kind, and how many were replayed."""

from __future__ import annotations

import json

import typer

from bridge.cli.dlq.options import Topic, open_reader, print_table
from bridge.cli.loading import ConfigOption, settings_of
from bridge.cli.output import Form, Output, as_json

_COLUMNS = ["dead-letter topic", "from", "reason", "failures before", "replayed since", "count"]


def stats(config: ConfigOption, topic: Topic = None, output: Output = Form.AUTO) -> None:
    """Count dead letters by topic, reason, number of failures before, and whether they were replayed since.

    Example: `aep-bridge dlq stats --config bridge.yaml -o json`
    """
    from bridge.replay.reading import read_selected
    from bridge.replay.selection import Selection
    from bridge.replay.summaries import count

    settings = settings_of(config)
    with open_reader(settings) as reader:
        counts = count(read_selected(settings, reader, topic or (), Selection()))
    if as_json(output):
        groups = [{**kind._asdict(), "count": number} for kind, number in sorted(counts.items())]
        typer.echo(json.dumps({"total": counts.total(), "groups": groups}))
        return
    rows = [
        [*map(str, kind[:4]), "yes" if kind.replayed else "no", f"{number:,}"]
        for kind, number in sorted(counts.items())
    ]
    print_table(_COLUMNS, rows)
    typer.echo(f"{counts.total():,} dead letters")
