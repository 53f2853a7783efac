"""`aep-bridge status`: the status page in a terminal, of one replica or all of them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.output import Form, Output, as_json

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from bridge.ops.replicas import Replicas

SAMPLE_S = 1.0
"""Between two looks, from which the rates are computed."""

_COLOURS = {"ok": "green", "waiting": "yellow", "stopped": "bold red"}


def status(
    admin: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ADMIN]…", help="Admin addresses, one for each replica: http://10.0.0.7:8080 …"
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Stay, and show it anew each second. Ctrl-C ends.")
    ] = False,
    output: Output = Form.AUTO,
) -> None:
    """Show how running bridges stand: committed, end, lag, rate, in flight, and why a partition waits.

    Exit codes: 0 fine or waiting, 1 something is held or refused, 3 a replica does not answer.

    Example: `aep-bridge status http://10.0.0.7:8080 http://10.0.0.8:8080 --watch`
    """
    from bridge.ops.replicas import Replicas

    scripted = as_json(output)
    with Replicas(admin or ["http://127.0.0.1:8080"]) as replicas:
        statuses = replicas.fetch()
        if watch:
            _watch(replicas, statuses, scripted=scripted)
        if any("error" not in replica for replica in statuses):
            time.sleep(SAMPLE_S)
            statuses = replicas.fetch()
    if scripted:
        typer.echo(json.dumps(statuses, indent=2))
    else:
        from rich.console import Console

        Console().print(_tables(statuses))
    silent = [replica for replica in statuses if "error" in replica]
    for replica in silent:
        typer.echo(
            f"{replica['admin']}: {replica['error']}; is this the admin address of a running bridge?",
            err=True,
        )
    stopped = any(replica["summary"]["level"] == "stopped" for replica in statuses if "error" not in replica)
    raise typer.Exit(3 if silent else 1 if stopped else 0)


def _watch(replicas: Replicas, statuses: list[dict[str, Any]], *, scripted: bool) -> None:
    """Show the status every second until Ctrl-C, which exits with 0."""
    from rich.live import Live

    try:
        if scripted:
            while True:
                typer.echo(json.dumps(statuses))
                time.sleep(SAMPLE_S)
                statuses = replicas.fetch()
        with Live(_tables(statuses), auto_refresh=False) as live:
            while True:
                time.sleep(SAMPLE_S)
                live.update(_tables(replicas.fetch()), refresh=True)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _tables(statuses: list[dict[str, Any]]) -> Group:
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    table = Table("replica", "how it stands", "up", "memory now, peak, ceiling")
    for replica in statuses:
        address = escape(replica["admin"])
        if "error" in replica:
            table.add_row(address, f"[bold red]does not answer: {escape(replica['error'])}[/]", "", "")
            continue
        summary = replica["summary"]
        text = "\n".join(map(_sentence, summary["reasons"])) or summary["title"]
        colour = _COLOURS[summary["level"]]
        table.add_row(
            address, f"[{colour}]{escape(text)}[/]", f"{replica['uptime_s']:.0f} s", _memory(replica)
        )
    answering = [replica for replica in statuses if "error" not in replica]
    return Group(table, _partitions(answering))


def _sentence(reason: dict[str, Any]) -> str:
    next_try = f", next try in {reason['next_try_s']:.0f} s" if reason["next_try_s"] else ""
    detail = f": {reason['detail']}" if reason["detail"] else ""
    return f"{reason['text']}{next_try}{detail}"


def _memory(replica: dict[str, Any]) -> str:
    sizes = [replica["memory"].get(name) for name in ("now_bytes", "peak_bytes", "ceiling_bytes")]
    return " / ".join("–" if size is None else f"{size / 1e6:.0f}" for size in sizes) + " MB"


def _partitions(statuses: list[dict[str, Any]]) -> Table:
    """Return a table of every route, with its partitions on all replicas below it."""
    from rich.table import Table

    table = Table("route and partition")
    for name in ("committed", "end", "lag", "rate/s", "in flight", "oldest"):
        table.add_column(name, justify="right")
    for name in ("replica", "waits"):
        table.add_column(name)
    routes = {route["route"]: route for replica in statuses for route in replica["routes"]}
    for name, route in routes.items():
        partitions = [
            (partition["topic"], partition["partition"], replica["admin"], partition)
            for replica in statuses
            for partition in replica["partitions"]
            if partition["route"] == name
        ]
        partitions.sort(key=lambda each: each[:3])
        _add_route(table, route, partitions)
    return table


def _add_route(
    table: Table, route: dict[str, Any], partitions: list[tuple[str, int, str, dict[str, Any]]]
) -> None:
    from rich.markup import escape

    from bridge.ops.status_page.summary import reason_for_waiting

    title = f"[bold]{escape(route['route'])}[/] → inlet {escape(route['inlet'])}"
    lags = [partition["lag"] for *_, partition in partitions]
    lag = "–" if None in lags else f"{sum(lags):,}"
    note = "" if partitions else "no partition on these replicas"
    table.add_section()
    table.add_row(title, "", "", lag, "", "", "", "", note)
    for topic, number, address, partition in partitions:
        numbers = [partition[name] for name in ("stored", "end", "lag", "per_s", "in_flight")]
        cells = [
            *("–" if value is None else f"{value:,.0f}" for value in numbers),
            f"{partition['oldest_unsettled_s']:.1f} s",
            address,
            reason_for_waiting(partition),
        ]
        table.add_row(f"  {escape(topic)}/{number}", *map(escape, cells))
