"""`aep-bridge skip`: the sanctioned way out of a poison record."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import Annotated

import typer


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
            help="Who orders it; the user's name by default. Needed where the user has none, as in a container."
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
        typer.echo(f"{record}: write TOPIC/PARTITION/OFFSET, such as web-events/3/81723", err=True)
        raise typer.Exit(2)
    token = _token(token_file)
    order = {
        "topic": topic,
        "partition": int(partition),
        "offset": int(rest),
        "who": who or _user(),
        "why": why,
    }
    import httpx

    try:
        answer = httpx.post(
            f"{admin.rstrip('/')}/api/skip",
            json=order,
            headers={"authorization": f"Bearer {token}"},
            timeout=60,
        )
    except UnicodeEncodeError:
        typer.echo("--why and --who must be text in UTF-8", err=True)
        raise typer.Exit(2) from None
    except httpx.InvalidURL as error:
        typer.echo(f"{admin}: {error}; write it like http://10.0.0.7:8080", err=True)
        raise typer.Exit(2) from None
    except httpx.HTTPError as error:
        typer.echo(
            f"{admin}: {error or type(error).__name__}; is this the admin port of a running bridge?", err=True
        )
        raise typer.Exit(3) from None
    if answer.status_code == 404:
        typer.echo(
            f"{admin}: this bridge takes no orders; set admin.token_file in its configuration", err=True
        )
        raise typer.Exit(2)
    try:
        said = dict(answer.json())
    except (ValueError, TypeError):
        typer.echo(f"{admin}: answered {answer.status_code}, but not as a bridge does", err=True)
        raise typer.Exit(3) from None
    typer.echo(
        said.get("result") or said.get("error") or f"status {answer.status_code}", err=not said.get("moved")
    )
    raise typer.Exit(0 if said.get("moved") else 2 if answer.status_code in (400, 401) else 1)


def _token(path: Path) -> str:
    """What the file holds. Exits with 2 where that is no token; what it holds is never shown."""
    from bridge.config.secret_files import read_secret

    try:
        token = read_secret(path)
    except OSError as error:
        typer.echo(f"{path}: {error.strerror}", err=True)
        raise typer.Exit(2) from None
    if not token.isascii() or not token.isprintable():
        typer.echo(f"{path}: is no token: it has something other than printable ASCII in it", err=True)
        raise typer.Exit(2)
    return token


def _user() -> str:
    """The user's name, for the audit.

    A number that has none, such as a container's, says nothing of who it was: exits with 2.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        typer.echo(
            f"this user (uid {os.getuid()}) has no name here; say with --who who orders it: the dead letter's headers keep it",
            err=True,
        )
        raise typer.Exit(2) from None
