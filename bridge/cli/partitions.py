"""`aep-bridge partitions`: how many partitions the mapped topics have, which is
how many replicas have work.
"""

from __future__ import annotations

import json

import typer

from bridge.cli.loading import ConfigOption, settings_of
from bridge.cli.output import Form, Output, as_json, stop


def partitions(
    config: ConfigOption,
    output: Output = Form.AUTO,
) -> None:
    """Print the partition count of every mapped topic, and their sum.

    That sum is the most replicas that have work, and KEDA's `maxReplicaCount`.

    Example: `aep-bridge partitions --config config/aep-bridge.yaml -o json`
    """
    settings = settings_of(config)
    from bridge.check.topics import mapped_partitions, missing_topics
    from bridge.kafka.client_errors import Unreachable

    try:
        counts = mapped_partitions(settings)
    except Unreachable as error:
        raise stop(f"{settings.kafka.bootstrap_servers}: {error}", 3) from None
    missing = missing_topics(settings, counts)
    total = sum(counts.values())
    if as_json(output):
        typer.echo(json.dumps({"topics": counts, "total": total, "missing": missing}))
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table("topic", "partitions")
        for name, count in sorted(counts.items()):
            table.add_row(name, str(count))
        for name in missing:
            table.add_row(name, "does not exist")
        table.add_row("total: the most replicas that have work", str(total))
        Console().print(table)
    raise typer.Exit(1 if missing else 0)
