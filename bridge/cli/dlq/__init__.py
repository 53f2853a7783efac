"""`aep-bridge dlq`: what could not be delivered, why, and once more."""

from __future__ import annotations

import typer

from bridge.cli.dlq.export import export
from bridge.cli.dlq.looking import list_, show, stats
from bridge.cli.dlq.replay import replay

app = typer.Typer(
    help="Dead letters: what could not be delivered, why, and once more.\n\nExample: `aep-bridge dlq list --config bridge.yaml`",
    no_args_is_help=True,
)
app.command("list")(list_)
app.command()(show)
app.command()(export)
app.command()(stats)
app.command()(replay)
