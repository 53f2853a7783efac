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


class Form(StrEnum):
    """What `-o` takes."""

    TEXT = "text"
    JSON = "json"


Output = Annotated[Form, typer.Option("--output", "-o", help="text for people, or json for scripts.")]


@config.command()
def show(config: ConfigOption, output: Output = Form.TEXT) -> None:
    """Print the configuration as it is understood, defaults and environment included, secrets masked.

    Example: `aep-bridge config show --config config/aep-bridge.yaml`
    """
    settings = settings_of(config)
    if output is Form.JSON:
        typer.echo(json.dumps(settings.masked(), default=str, indent=2))
        return
    import yaml

    typer.echo(
        yaml.safe_dump(
            json.loads(json.dumps(settings.masked(), default=str)), sort_keys=False, allow_unicode=True
        ),
        nl=False,
    )


@config.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors and for Helm.

    Example: `aep-bridge config schema > aep-bridge.schema.json`
    """
    from bridge.config.explanation import schema as made

    typer.echo(json.dumps(made(), indent=2))


@config.command()
def explain(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A dotted key, such as delivery.window_bytes.")],
    output: Output = Form.TEXT,
) -> None:
    """Say what a key means, its type, its default and its environment variable.

    Example: `aep-bridge config explain batch.linger_ms`
    """
    from bridge.config.explanation import explain as explanation

    try:
        found = explanation(key)
    except LookupError as error:
        typer.echo(str(error.args[0] if error.args else error), err=True)
        raise typer.Exit(2) from None
    from dataclasses import asdict, is_dataclass

    fields = asdict(found) if is_dataclass(found) else found._asdict()
    if output is Form.JSON:
        typer.echo(json.dumps(fields))
        return
    for name, value in fields.items():
        typer.echo(f"{name}: {value}")
