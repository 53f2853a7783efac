"""Whether a plan can be carried out: checked before anything is sent, so that a
replay does not stop half-way.
"""

from __future__ import annotations

from bridge.config.settings import Settings
from bridge.replay.plan import Action, Plan


class PatchDoesNotFit(Exception):
    """Some of the selected dead letters can't be patched; says which, why, and what to do."""


class WrongDestination(Exception):
    """Some of the selected dead letters can't go where they should; says why, and what to do."""


def check_plan(plan: Plan, settings: Settings, *, to_source: bool, leave_unpatched: bool) -> None:
    """Raise `PatchDoesNotFit` or `WrongDestination` if the plan can't be carried out as it is."""
    if plan.first_unpatchable is not None and not leave_unpatched:
        coordinates, why = plan.first_unpatchable
        raise PatchDoesNotFit(
            f"{plan.count(Action.UNPATCHABLE)} dead letters don't take the patch, first {coordinates}: "
            f"{why}; narrow the filters, or give --leave-unpatched"
        )
    for source_topic, action in plan.destinations:
        if action is not Action.SEND:
            continue
        if not to_source and settings.entry_for(source_topic) is None:
            raise WrongDestination(
                f"topic {source_topic} is not in the configuration's mapping; map it, or choose others with "
                "--source-topic"
            )
        if to_source and settings.is_dead_letter_topic(source_topic):
            raise WrongDestination(
                f"dead letters in {source_topic} don't say which topic they came from; replay them with "
                "--to aep, or choose others with --source-topic"
            )


def check_parking_topic(topic: str, settings: Settings) -> None:
    """Raise `WrongDestination` if the bridge itself would read this topic, and so replay what is parked."""
    if settings.entry_for(topic) is not None and not settings.is_dead_letter_topic(topic):
        raise WrongDestination(
            f"--parking-topic {topic}: is matched by the configuration's mapping, so the bridge would "
            "read it; choose another name"
        )
