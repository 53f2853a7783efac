"""`aep-bridge skip`: the sanctioned way out for a record that nothing gets past."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.output import stop


def skip(
    record: Annotated[
        str, typer.Argument(metavar="TOPIC/PARTITION/OFFSET", help="The record that nothing gets past.")
    ],
    why: Annotated[str, typer.Option(help="The reason; it goes into the dead letter's headers.")],
    token_file: Annotated[
        Path,
        typer.Option(
            help="The file with the admin token (admin.token_file of the bridge).",
            envvar="AEP_BRIDGE_ADMIN_TOKEN_FILE",
        ),
    ],
    admin: Annotated[
        str, typer.Option(help="The admin address of the replica that has the partition.")
    ] = "http://127.0.0.1:8080",
    who: Annotated[
        str,
        typer.Option(
            help="The person who orders it; the user's name by default. "
            "Needed where the user has none, as in a container."
        ),
    ] = "",
) -> None:
    """Move one record to its dead-letter topic, whatever AEP says of it, and let its partition go on.

    The dead letter's headers say who ordered it, and why. Nothing is lost, and no offset is reset.

    Example: `aep-bridge skip web-events/3/81723 --why "ticket 4711" --token-file token --admin
    http://10.0.0.7:8080`
    """
    topic, _, rest = record.rpartition("/")
    topic, _, partition = topic.rpartition("/")
    if not topic or not partition.isdecimal() or not rest.isdecimal():
        raise stop(f"{record}: write TOPIC/PARTITION/OFFSET, such as web-events/3/81723", 2)
    token = _token(token_file)
    from bridge.ops.admin_client import NoResponse, OrderRefused, SkipOrder, order_skip

    order = SkipOrder(topic, int(partition), int(rest), who or _user(), why)
    try:
        result = order_skip(admin, token, order)
    except OrderRefused as error:
        raise stop(str(error), 2) from None
    except NoResponse as error:
        raise stop(str(error), 3) from None
    if not result.moved:
        raise stop(result.text, 2 if result.wrong_order else 1)
    typer.echo(result.text)


def _token(path: Path) -> str:
    """Return the token that a file holds. Exits with 2 if it holds none; what it holds is never shown."""
    from bridge.config.secret_files import read_secret

    try:
        token = read_secret(path)
    except OSError as error:
        raise stop(f"{path}: {error.strerror}", 2) from None
    if not token.isascii() or not token.isprintable():
        raise stop(f"{path}: is no token: it has something other than printable ASCII in it", 2)
    return token


def _user() -> str:
    """Return the user's name, for the audit. Exits with 2 for a user without one, as in a container.

    Such a number is everybody's, so it does not say which person gave the order.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise stop(
            f"this user (uid {os.getuid()}) has no name here; say with --who who orders it: the dead "
            "letter's headers keep it",
            2,
        ) from None
