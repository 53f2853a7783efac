"""What `aep-bridge dlq replay` says before and after: for people, and for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from bridge.cli.dlq.options import print_table
from bridge.cli.output import printable

if TYPE_CHECKING:
    from bridge.config.settings import Settings
    from bridge.model import TopicPartition
    from bridge.replay.plan import Plan
    from bridge.replay.progress import ReplayProgress


def plan_as_json(plan: Plan, settings: Settings, to: str, *, executed: bool) -> dict[str, Any]:
    """Return what a replay would do, under the names that scripts read."""
    from bridge.replay.lock import replay_group

    return {
        "group": replay_group(settings),
        "to": to,
        **plan.counts_as_json(),
        "executed": executed,
        "where_to": plan.destinations_as_json(),
    }


def result_as_json(
    progress: ReplayProgress, total: int, position: dict[TopicPartition, int]
) -> dict[str, Any]:
    """Return what a replay has done, under the names that scripts read."""
    return {
        "accepted": progress.accepted,
        "dead_lettered_again": progress.dead_lettered_again,
        "parked": progress.parked,
        "left": max(0, total - progress.settled),
        "finished": progress.finished,
        "position": {str(partition): offset for partition, offset in sorted(position.items())},
    }


def print_plan(plan: Plan, to: str) -> None:
    """Print what a replay would do."""
    from bridge.replay.plan import Action

    names = {Action.SEND: "AEP" if to == "aep" else "their topic", Action.PARK: "parking topic"}
    rows = [
        [source_topic, names[action], f"{count:,}"]
        for (source_topic, action), count in plan.destinations.items()
    ]
    print_table(["records of", "to", "dead letters"], rows)
    typer.echo(
        f"{plan.total:,} dead letters: {plan.to_send:,} to replay, {plan.to_park:,} to park, "
        f"{plan.count(Action.DONE):,} replayed already, {plan.repeats:,} repeats of the same record, "
        f"{plan.count(Action.NOT_SELECTED):,} not selected, "
        f"{plan.count(Action.UNPATCHABLE):,} that the patch does not fit"
    )
    for error, count in plan.frequent_errors:
        typer.echo(f"  {count:,} × {printable(error)}")


def print_result(
    plan: Plan, progress: ReplayProgress, total: int, position: dict[TopicPartition, int]
) -> None:
    """Print what a replay has done, and how to go on if it was interrupted."""
    left = max(0, total - progress.settled)
    typer.echo(
        f"{progress.accepted:,} delivered, {progress.dead_lettered_again:,} dead-lettered again, "
        f"{progress.parked:,} parked, {left:,} left"
    )
    if not progress.finished:
        stands = [
            f"{offset} of {plan.bounds.end[partition]} in {partition}"
            for partition, offset in sorted(position.items())
        ]
        typer.echo(f"Interrupted at {', '.join(stands)}. Nothing is lost: run the same command to go on.")
