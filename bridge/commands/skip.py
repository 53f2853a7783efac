"""`aep-bridge skip`: the sanctioned way out of a poison record."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer


def skip(
    record: Annotated[str, typer.Argument(metavar="TOPIC/PARTITION/OFFSET", help="The record that nothing gets past.")],
    why: Annotated[str, typer.Option(help="The reason; it goes into the dead letter's headers.")],
    token_file: Annotated[Path, typer.Option(help="The file with the admin token (admin.token_file of the bridge).", envvar="AEP_BRIDGE_ADMIN_TOKEN_FILE")],
    admin: Annotated[str, typer.Option(help="The admin address of the replica that has the partition.")] = "http://127.0.0.1:8080",
    who: Annotated[str, typer.Option(help="Who orders it; the user's name by default.")] = "",
) -> None:
    """Move one record to its dead-letter topic, whatever AEP says of it, and let its partition go on.

    The dead letter's headers say who ordered it, and why. Nothing is lost, and no offset is reset.

    Example: `aep-bridge skip web-events/3/81723 --why "ticket 4711" --token-file token --admin http://10.0.0.7:8080`
    """
    topic, _, rest = record.rpartition("/")
    topic, _, partition = topic.rpartition("/")
    if not topic or not partition.isdigit() or not rest.isdigit():
        typer.echo(f"{record}: write TOPIC/PARTITION/OFFSET, such as web-events/3/81723", err=True)
        raise typer.Exit(2)
    import httpx

    try:
        token = token_file.read_text().strip()
    except OSError as error:
        typer.echo(f"{token_file}: {error.strerror}", err=True)
        raise typer.Exit(2) from None
    order = {"topic": topic, "partition": int(partition), "offset": int(rest), "who": who or getpass.getuser(), "why": why}
    try:
        answer = httpx.post(f"{admin.rstrip('/')}/api/skip", json=order, headers={"authorization": f"Bearer {token}"}, timeout=60)
    except httpx.HTTPError as error:
        typer.echo(f"{admin}: {error or type(error).__name__}; is this the admin port of a running bridge?", err=True)
        raise typer.Exit(3) from None
    if answer.status_code == 404:
        typer.echo(f"{admin}: this bridge takes no orders; set admin.token_file in its configuration", err=True)
        raise typer.Exit(2)
    try:
        said = answer.json()
    except ValueError:
        typer.echo(f"{admin}: answered {answer.status_code}, but not as a bridge does", err=True)
        raise typer.Exit(3) from None
    typer.echo(said.get("result") or said.get("error") or f"status {answer.status_code}", err=not said.get("moved"))
    raise typer.Exit(0 if said.get("moved") else 2 if answer.status_code in (400, 401) else 1)
