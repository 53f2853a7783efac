"""`aep-bridge dlq`: look at what could not be delivered, and deliver it again."""

from __future__ import annotations

import typer

from bridge.cli.dlq.export import export
from bridge.cli.dlq.list import list_
from bridge.cli.dlq.replay import replay
from bridge.cli.dlq.show import show
from bridge.cli.dlq.stats import stats

app = typer.Typer(
    help="Look at dead letters, which could not be delivered, and deliver them again.\n\n"
    "Example: `aep-bridge dlq list --config bridge.yaml`",
    no_args_is_help=True,
)
app.command("list")(list_)
app.command()(show)
app.command()(export)
app.command()(stats)
app.command()(replay)
