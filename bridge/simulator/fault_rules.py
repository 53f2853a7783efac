"""A fault rule as tests and the administration write it. Values only."""

from __future__ import annotations

from typing import Literal

import msgspec

from bridge.simulator.config import Shape

Action = Literal[
    "status", "delay", "messages", "poison", "shape", "limit", "hang", "reset", "half", "garbage", "drip",
    "endless", "huge", "empty", "not_json", "nothing", "no_responses", "close", "drop",
]  # fmt: skip
Endpoint = Literal["ingest", "token"]

ACCOMPANYING_ACTIONS = frozenset({"delay", "messages", "poison", "shape"})
"""They change the usual response. Every other action replaces it, and the first rule that matches is used."""
MESSAGE_ACTIONS = frozenset({"messages", "poison"})
_ACCEPTING_ACTIONS = frozenset(
    {"half", "drip", "endless", "huge", "empty", "not_json", "nothing", "no_responses", "close", "drop"}
)
"""What was sent is accepted, and only the response is bad."""
_EARLY_ACTIONS = frozenset({"status", "hang", "reset", "garbage"})


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One fault: a match, a scope and an action. Rules are tried in the order in which they were added."""

    action: Action

    # The match: every condition that is given must hold.
    endpoint: Endpoint = "ingest"
    inlet: str | None = None
    dataset: str | None = None
    """The dataset's id, in quotes, is in the body, or it is the header `x-adobe-dataset-id`."""
    contains: str | None = None
    """A text that is in the body."""
    every: int = 1
    """Every Nth of the requests that meet the other conditions."""
    after: int = 0
    """Number of matching requests that pass before the rule begins."""
    probability: float = 1.0
    seed: int = 0
    """For `probability` and `share`."""
    early: bool = False
    """Respond to the headers alone, while the body is still being sent. Only for `status`, `hang`, `reset`
    and `garbage`, and requests to an inlet."""

    # The scope: until the rule is cleared, if neither is given.
    times: int | None = None
    """Number of requests after which the rule ends. One about messages counts those that it changed."""
    seconds: float | None = None
    """Time after which the rule ends, counted from when it was added."""

    # Which messages, for `messages` and `poison`: all of them if nothing is given.
    ids: tuple[str, ...] | None = None
    """The entity's `_id` is one of these."""
    marker: str | None = None
    """A text that is in the message's own bytes."""
    share: float | None = None
    """This share of the messages, drawn at random."""
    times_each: int | None = None
    """How often a message of one id is refused; after that it passes."""

    # The action's details.
    status: int | None = None
    """For `status` (default 503), `messages` and `poison` (default 400)."""
    headers: dict[str, str] = {}
    body: str | None = None
    """The response's body, or the error text of a message."""
    retry_after_s: float | None = None
    retry_after_form: Literal["seconds", "date"] = "seconds"
    accepted: bool | None = None
    """Whether the messages count as accepted (or the token as issued), whatever the response is. By default
    they do not for `status`, `hang`, `reset`, `garbage` and `limit`, and they do for the actions that only
    damage a response."""
    delay_s: float = 0.0
    """For `delay`, and before any other action."""
    bytes_per_s: float = 100.0
    """For `drip`."""
    size: int = 100_000_000
    """For `huge`, in bytes."""
    max_bytes: int = 500_000
    """For `limit`: a larger body is refused with 413."""
    shape: Shape | None = None
    """For `shape`: how this request's response is spelled."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for a rule that could never work."""
        if self.every < 1 or self.bytes_per_s <= 0 or not 0 <= self.probability <= 1:
            raise ValueError(
                "`every` is at least 1, `bytes_per_s` is more than 0, `probability` is between 0 and 1"
            )
        ingest_only = self.endpoint == "ingest" and self.action in _EARLY_ACTIONS
        if self.early and (not ingest_only or self.accepted or self.contains is not None):
            actions = ", ".join(sorted(_EARLY_ACTIONS))
            raise ValueError(
                f"`early` goes with the endpoint `ingest` and the actions {actions}; not with `accepted`, "
                "because nothing is accepted, and not with `contains`, because no body is read"
            )

    @property
    def accepts(self) -> bool:
        """Whether what was sent counts as accepted."""
        return self.action in _ACCEPTING_ACTIONS if self.accepted is None else self.accepted
