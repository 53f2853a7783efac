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
    from rich.table import Table

    from bridge.demo.demo import Demo
    from bridge.demo.report import Report

_ERROR_CHARACTERS = 90
_VALUE_CHARACTERS, _VALUE_START, _VALUE_END = 60, 28, 31
"""A longer value of a header is shown without its middle."""


def demo(
    events: Annotated[int, typer.Option(help="How many events to produce.", min=400, max=100_000)] = 3000,
    output: Output = Form.AUTO,
    logs: Annotated[bool, typer.Option("--logs", help="Show the bridge's log lines as well.")] = False,
) -> None:
    """Show what happens: an in-process Kafka, a local AEP, good events and bad ones, a 429 and an outage.

    Exits with 0 only if every event is accounted for: in AEP, or in a dead-letter topic with its error.

    Example: `aep-bridge demo --events 10000`
    """
    import os
    from pathlib import Path

    from rich.console import Console

    from bridge.demo.demo import Demo
    from bridge.ops.logs import configure

    # Nobody closes it: the bridge's threads may log until the process ends.
    stream = sys.stderr if logs else Path(os.devnull).open("w")  # noqa: SIM115
    configure("info" if logs else "critical", "auto", stream)
    show = Demo(events)
    if as_json(output) and (output is Form.JSON or not os.environ.get("FORCE_COLOR")):
        report = show.run()
        typer.echo(json.dumps(report.as_json(), indent=2))
    else:
        console = Console()
        report = _run_with_progress_bar(show, console)
        print_report(report, console)
    raise typer.Exit(1 if report.lost or report.wrongly_dead_lettered or report.duplicates else 0)


def _run_with_progress_bar(show: Demo, console: Console) -> Report:
    """Run the demo in a thread, so that this one can show how far it is."""
    import threading
    from concurrent.futures import Future

    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    result: Future[Report] = Future()

    def run() -> None:
        try:
            result.set_result(show.run())
        except BaseException as error:  # raised again by `result`
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    columns = (TextColumn("{task.description:<32}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("starting", total=show.events)
        while not result.done():
            progress.update(bar, completed=show.settled, description=show.phase)
            threading.Event().wait(0.05)
        settled = show.settled if result.exception() else show.events
        progress.update(bar, completed=settled, description="done")
    return result.result()


def print_report(report: Report, console: Console) -> None:
    """Print the numbers, the first dead letter of each kind with its headers, and the verdict."""
    from rich.markup import escape

    console.print(_numbers(report))
    console.print(
        "[bold]The first dead letter of each kind, and its headers[/bold] "
        "(the record's own come first; key and value are the record's too)\n"
    )
    for letter in report.first_of_each_kind():
        title = f"{escape(letter.topic)}, key [bold]{escape(letter.key)}[/bold]: {_shortened(letter.kind)}"
        console.print(title)
        for line in _lines(letter.headers, console.width - 5):
            headers = [f"[cyan]{escape(name)}[/cyan]={escape(value)}" for name, value in line]
            console.print("    " + "  ".join(headers), soft_wrap=True, highlight=False)
        console.print()
    verdict = "[green]Nothing was lost.[/green]"
    if report.lost:
        verdict = f"[red]LOST: {', '.join(report.lost[:5])}[/red]"
    console.print(f"{verdict} {report.seconds:.1f} s; requests by status: {dict(report.requests)}")


def _numbers(report: Report) -> Table:
    from collections import Counter

    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_row("produced", f"{report.produced:,}")
    table.add_row("accepted by AEP", f"{report.accepted:,}")
    table.add_row("dead-lettered", f"{len(report.dead_letters):,}")
    for kind, count in Counter(letter.kind for letter in report.dead_letters).most_common():
        table.add_row(f"  [dim]{_shortened(kind)}[/dim]", f"[dim]{count:,}[/dim]")
    table.add_row("retried (waits before another attempt)", f"{report.retries:,}")
    table.add_row("duplicates", f"{report.duplicates:,}")
    table.add_row("lost", f"[{'red' if report.lost else 'green'}]{len(report.lost):,}[/]")
    return table


def _lines(headers: Iterable[tuple[str, str]], width: int) -> list[list[tuple[str, str]]]:
    """Return as many headers a line as fit, none of them broken."""
    lines: list[list[tuple[str, str]]] = []
    left = 0
    for name, value in headers:
        shown = value
        if len(value) > _VALUE_CHARACTERS:
            shown = f"{value[:_VALUE_START]}…{value[-_VALUE_END:]}"
        needed = len(name) + len(shown) + 3
        if needed > left or not lines:
            lines.append([])
            left = width
        lines[-1].append((name, shown))
        left -= needed
    return lines


def _shortened(error: str) -> str:
    from rich.markup import escape

    return escape(error if len(error) < _ERROR_CHARACTERS else f"{error[: _ERROR_CHARACTERS - 3]}...")
