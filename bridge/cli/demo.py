"""`aep-bridge demo`: what the bridge does, without a Kafka, an account or a configuration."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.output import Form, Output, as_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from bridge.demo.demo import Demo, Report


def demo(
    events: Annotated[int, typer.Option(help="How many events to produce.", min=400, max=100_000)] = 3000,
    output: Output = Form.AUTO,
    logs: Annotated[bool, typer.Option("--logs", help="Show the bridge's log lines as well.")] = False,
) -> None:
    """Show what happens: an in-process Kafka, a local AEP, good events and bad ones, a 429 and an outage on
    the way.

    Ends with 0 only if every event is accounted for: in AEP, or in a dead-letter topic with its error.

    Example: `aep-bridge demo --events 10000`
    """
    import os
    from pathlib import Path

    from rich.console import Console

    from bridge.demo.demo import Demo
    from bridge.demo.demo import as_json as plain
    from bridge.ops.logs import configure

    configure("info" if logs else "critical", "auto", sys.stderr if logs else Path(os.devnull).open("w"))  # noqa: SIM115 - open as long as the process
    show = Demo(events)
    if as_json(output) and (output is Form.JSON or not os.environ.get("FORCE_COLOR")):
        report = show.run()
        typer.echo(json.dumps(plain(report), indent=2))
    else:
        console = Console()
        report = _watched(show, console)
        _print(report, console)
    raise typer.Exit(1 if report.lost or report.wrongly_dead or report.duplicates else 0)


def _watched(show: Demo, console: Console) -> Report:
    """Runs the demo under a progress bar."""
    import threading
    from concurrent.futures import Future

    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    done: Future[Report] = Future()

    def work() -> None:
        try:
            done.set_result(show.run())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    columns = (TextColumn("{task.description:<32}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("starting", total=show.events)
        while not done.done():
            _, settled, phase = show.progress()
            progress.update(bar, completed=settled, description=phase)
            threading.Event().wait(0.05)
        progress.update(
            bar, completed=show.progress()[1] if done.exception() else show.events, description="done"
        )
    return done.result()


def _print(report: Report, console: Console) -> None:
    from collections import Counter

    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_row("produced", f"{report.produced:,}")
    table.add_row("accepted by AEP", f"{report.accepted:,}")
    table.add_row("dead-lettered", f"{len(report.dead):,}")
    for kind, count in Counter(letter.kind for letter in report.dead).most_common():
        table.add_row(f"  [dim]{_short(kind)}[/dim]", f"[dim]{count:,}[/dim]")
    table.add_row("retried (waits before another attempt)", f"{report.retried:,}")
    table.add_row("duplicates", f"{report.duplicates:,}")
    table.add_row("lost", f"[{'red' if report.lost else 'green'}]{len(report.lost):,}[/]")
    console.print(table)
    console.print(
        "[bold]The first dead letter of each kind, and its headers[/bold] (the record's own come first; key and value are the record's too)\n"
    )
    for letter in report.first_of_each_kind():
        console.print(f"{escape(letter.topic)}, key [bold]{escape(letter.key)}[/bold]: {_short(letter.kind)}")
        for line in _lines(letter.headers, console.width - 5):
            console.print(
                "    " + "  ".join(f"[cyan]{escape(name)}[/cyan]={escape(value)}" for name, value in line),
                soft_wrap=True,
                highlight=False,
            )
        console.print()
    verdict = (
        "[green]Nothing was lost.[/green]"
        if not report.lost
        else f"[red]LOST: {', '.join(report.lost[:5])}[/red]"
    )
    console.print(f"{verdict} {report.seconds:.1f} s; requests by status: {dict(report.requests)}")


def _lines(headers: Iterable[tuple[str, str]], width: int) -> list[list[tuple[str, str]]]:
    """As many on a line as fit, none of them broken; long values without their middle."""
    lines: list[list[tuple[str, str]]] = []
    left = 0
    for name, value in headers:
        shown = value if len(value) <= 60 else f"{value[:28]}…{value[-31:]}"
        taken = len(name) + len(shown) + 3
        if taken > left or not lines:
            lines.append([])
            left = width
        lines[-1].append((name, shown))
        left -= taken
    return lines


def _short(error: str) -> str:
    from rich.markup import escape

    return escape(error if len(error) < 90 else error[:87] + "...")
