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

SAMPLE_S = 1.0
"""Between the two looks that a rate is worked out of."""


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
    from concurrent.futures import ThreadPoolExecutor

    addresses = [
        address if "://" in address else f"http://{address}" for address in admin or ["http://127.0.0.1:8080"]
    ]
    scripted = as_json(output)
    marks: dict[tuple[str, str, int], tuple[float, int]] = {}
    with ThreadPoolExecutor(len(addresses)) as pool:

        def look() -> list[dict[str, Any]]:
            seen = list(pool.map(_ask, addresses))
            for replica in seen:
                _rates(replica, marks)
            return seen

        seen = look()
        if watch:
            _watch(look, seen, scripted=scripted)
        if any("error" not in replica for replica in seen):
            time.sleep(SAMPLE_S)
            seen = look()
    if scripted:
        typer.echo(json.dumps(seen, indent=2))
    else:
        from rich.console import Console

        Console().print(_shown(seen))
    away = [replica for replica in seen if "error" in replica]
    for replica in away:
        typer.echo(
            f"{replica['admin']}: {replica['error']}; is this the admin address of a running bridge?",
            err=True,
        )
    held = any(replica["summary"]["level"] == "stopped" for replica in seen if "error" not in replica)
    raise typer.Exit(3 if away else 1 if held else 0)


def _watch(look: Any, seen: list[dict[str, Any]], *, scripted: bool) -> None:
    from rich.live import Live

    try:
        if scripted:
            while True:
                typer.echo(json.dumps(seen))
                time.sleep(SAMPLE_S)
                seen = look()
        with Live(_shown(seen), auto_refresh=False) as live:
            while True:
                time.sleep(SAMPLE_S)
                live.update(_shown(look()), refresh=True)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _ask(address: str) -> dict[str, Any]:
    import httpx

    try:
        answer = httpx.get(f"{address.rstrip('/')}/api/status", timeout=5)
        seen = answer.json() if answer.status_code == 200 else None
    except httpx.HTTPError as error:
        return {"admin": address, "error": str(error) or type(error).__name__}
    except ValueError:
        seen = None
    if not isinstance(seen, dict) or "partitions" not in seen or "summary" not in seen:
        return {"admin": address, "error": f"answered {answer.status_code}, but not as a bridge does"}
    return {"admin": address, **seen}


def _rates(replica: dict[str, Any], marks: dict[tuple[str, str, int], tuple[float, int]]) -> None:
    """Adds records a second to each partition, out of this look and the one before."""
    now = time.monotonic()
    for entry in replica.get("partitions", []):
        key, mark = (replica["admin"], entry["topic"], entry["partition"]), entry["watermark"]
        before = marks.get(key)
        entry["per_s"] = (
            None
            if mark is None or before is None or mark < before[1]
            else round((mark - before[1]) / max(0.001, now - before[0]), 1)
        )
        if mark is not None:
            marks[key] = now, mark


def _shown(seen: list[dict[str, Any]]) -> Group:
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    colours = {"ok": "green", "waiting": "yellow", "stopped": "bold red"}
    replicas = Table("replica", "how it stands", "up", "memory now, peak, ceiling")
    for replica in seen:
        if "error" in replica:
            replicas.add_row(
                escape(replica["admin"]), f"[bold red]does not answer: {escape(replica['error'])}[/]", "", ""
            )
            continue
        told = replica["summary"]
        text = "\n".join(map(_sentence, told["reasons"]))
        sizes = (replica["memory"].get(name) for name in ("now_bytes", "peak_bytes", "ceiling_bytes"))
        replicas.add_row(
            escape(replica["admin"]), f"[{colours[told['level']]}]{escape(text or told['title'])}[/]", f"{replica['uptime_s']:.0f} s",
            " / ".join("–" if size is None else f"{size / 1e6:.0f}" for size in sizes) + " MB",
        )  # fmt: skip
    return Group(replicas, _partitions([replica for replica in seen if "error" not in replica]))


def _partitions(seen: list[dict[str, Any]]) -> Table:
    """Every route with its partitions below it, those of all replicas together."""
    from rich.markup import escape
    from rich.table import Table

    from bridge.ops.status_page.summary import why

    table = Table("route and partition")
    for name in ("committed", "end", "lag", "rate/s", "in flight", "oldest"):
        table.add_column(name, justify="right")
    for name in ("replica", "waits"):
        table.add_column(name)
    for route in {each["route"]: each for replica in seen for each in replica["routes"]}.values():
        entries = [
            (each["topic"], each["partition"], replica["admin"], each)
            for replica in seen
            for each in replica["partitions"]
            if each["route"] == route["route"]
        ]
        lags = [each["lag"] for *_, each in entries]
        lag = "–" if None in lags else f"{sum(lags):,}"
        name = f"[bold]{escape(route['route'])}[/] → inlet {escape(route['inlet'])}"
        table.add_section()
        table.add_row(name, "", "", lag, "", "", "", "", "" if entries else "no partition on these replicas")
        for topic, partition, admin, entry in sorted(entries, key=lambda each: each[:3]):
            numbers = (entry["stored"], entry["end"], entry["lag"], entry["per_s"], entry["in_flight"])
            cells = [
                *("–" if number is None else f"{number:,.0f}" for number in numbers),
                f"{entry['oldest_unsettled_s']:.1f} s",
                admin,
                why(entry),
            ]
            table.add_row(f"  {escape(topic)}/{partition}", *map(escape, cells))
    return table


def _sentence(reason: dict[str, Any]) -> str:
    next_try = f", next try in {reason['next_try_s']:.0f} s" if reason["next_try_s"] else ""
    return f"{reason['text']}{next_try}" + (f": {reason['detail']}" if reason["detail"] else "")
