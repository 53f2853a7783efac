"""`aep-bridge config`: what the configuration is, what it may be, and what a key means."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from bridge.cli.loading import ConfigOption, settings_of

config = typer.Typer(
    help=(
        "Show, describe and explain the configuration.\n\n"
        "Example: `aep-bridge config show --config bridge.yaml`"
    ),
    no_args_is_help=True,
)


class TextOrJson(StrEnum):
    """The values of `--output`."""

    TEXT = "text"
    JSON = "json"


Output = Annotated[TextOrJson, typer.Option("--output", "-o", help="text for people, or json for scripts.")]


@config.command()
def show(config: ConfigOption, output: Output = TextOrJson.TEXT) -> None:
    """Print the configuration as it is understood, defaults and environment included, secrets masked.

    Example: `aep-bridge config show --config config/aep-bridge.yaml`
    """
    values = settings_of(config).masked()
    if output is TextOrJson.JSON:
        typer.echo(json.dumps(values, indent=2))
        return
    import yaml

    typer.echo(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), nl=False)


@config.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors and for Helm.

    Example: `aep-bridge config schema > aep-bridge.schema.json`
    """
    from bridge.config import explanation

    typer.echo(json.dumps(explanation.schema(), indent=2))


@config.command()
def explain(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A dotted key, such as delivery.window_bytes.")],
    output: Output = TextOrJson.TEXT,
) -> None:
    """Say what a key means, its type, its default and its environment variable.

    Example: `aep-bridge config explain batch.linger_ms`
    """
    from dataclasses import asdict

    from bridge.config import explanation

    try:
        fields = asdict(explanation.explain(key))
    except LookupError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    if output is TextOrJson.JSON:
        typer.echo(json.dumps(fields))
        return
    for name, value in fields.items():
        typer.echo(f"{name}: {value}")
