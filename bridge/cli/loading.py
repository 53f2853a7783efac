"""Loads the configuration for a command. If it is wrong, the command ends with a message that says where."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.output import stop

if TYPE_CHECKING:
    from bridge.config.settings import Settings

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config", "-c", help="The YAML configuration file.", envvar="AEP_BRIDGE_CONFIG", show_default=False
    ),
]


def settings_of(path: Path) -> Settings:
    """Return the settings of a file and the environment. Exits with 2 if they are wrong."""
    from bridge.config.loader import ConfigurationError, load

    try:
        return load(path, os.environ)
    except ConfigurationError as error:
        raise stop(str(error), 2) from None
