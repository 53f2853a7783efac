"""Loads the configuration for a command, or ends it with the exit code and the message that
a person needs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bridge.config.settings import Settings

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config", "-c", help="The YAML configuration file.", envvar="AEP_BRIDGE_CONFIG", show_default=False
    ),
]


def settings_of(path: Path) -> Settings:
    """The settings of a file and the environment. Exits with 2 where they are wrong."""
    from bridge.config.loader import ConfigurationError, load

    try:
        return load(path, os.environ)
    except ConfigurationError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
