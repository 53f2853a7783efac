"""The command line, one file for each command: it reads arguments, calls the rooms below, and prints.

What is heavy is imported only when a command runs, so that `--help` is instant.

Exit codes: 0 fine, 1 a problem was found, 2 usage or configuration, 3 an upstream can't be reached.
"""

from __future__ import annotations

import typer

from bridge import __version__
from bridge.cli import dlq
from bridge.cli.check import check
from bridge.cli.config import config
from bridge.cli.demo import demo
from bridge.cli.init import init
from bridge.cli.partitions import partitions
from bridge.cli.run import run
from bridge.cli.simulate import simulate
from bridge.cli.skip import skip
from bridge.cli.status import status

app = typer.Typer(
    name="aep-bridge",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aep-bridge {__version__}")
        raise typer.Exit


@app.callback()
def front(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Delivers events from Kafka to Adobe Experience Platform's streaming ingestion, and loses none.

    Start with `aep-bridge demo`, then `aep-bridge init`, `aep-bridge check` and `aep-bridge run`. Each
    command's `--help` ends with an example.

    Exit codes: 0 fine, 1 a problem was found, 2 usage or configuration, 3 an upstream can't be reached.

    Example: `aep-bridge dlq replay --help`
    """


app.command()(run)
app.command()(demo)
app.command()(simulate)
app.command()(skip)
app.command()(partitions)
app.command()(status)
app.command()(init)
app.add_typer(dlq.app, name="dlq")
app.command()(check)
app.add_typer(config, name="config")


def main() -> None:
    """The entry point of the `aep-bridge` script."""
    app(prog_name="aep-bridge")
