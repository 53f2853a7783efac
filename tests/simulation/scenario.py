"""Draw a scenario from a seed: the settings, the topics, and the timeline of records and faults."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from random import Random

from bridge.codec.envelope import entity_wrapper
from bridge.codec.routes import Route
from bridge.engine.engine import EngineSettings
from bridge.engine.inlet import Policy
from bridge.model import Format
from tests.simulation.ground_truth import RecordKind

WRAPPER = entity_wrapper(
    schema_id="https://ns.example/s", schema_version="1", ims_org_id="X@AdobeOrg", dataset_id="entities"
)
MODES = (
    "503",
    "429",
    "hang",
    "reset before",
    "reset after",
    "400",
    "422",
    "404",
    "403",
    "401",
    "500",
    "garbage",
    "407",
    "302",
    "each 400",
    "502",
    "oversize",
    "late",
)
RARE_MODES = ("413", "413", "408", "504", "425", "405", "415")
"""Drawn apart from the others, so that a seed's history stays what it is but for these."""
WHOLE_MODES = ("400", "422", "413")


@dataclass(frozen=True, slots=True)
class Interval:
    """A time in which an inlet answers everything in one way."""

    start: float
    end: float
    mode: str
    retry_after: str = ""
    """`` (none), `seconds` or `date`."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of the mapping."""

    name: str
    partitions: int
    inlet: str
    format: Format
    datasets: tuple[str, ...]
    default_dataset: str | None


@dataclass(slots=True)
class Scenario:
    """Everything that is decided before a history starts. Seconds and bytes."""

    seed: int
    policy: Policy
    settings: EngineSettings
    topics: list[Topic]
    inlets: list[str]
    members: int
    tombstones: bool
    calm_at: float
    """From here on there are no faults."""
    flavour: str
    intervals: dict[str, list[Interval]] = field(default_factory=dict)
    dead_letter_faults: list[tuple[float, float, float]] = field(default_factory=list)
    """Start, end, and the share of dead letters that fail."""
    events: list[tuple[float, str, int]] = field(default_factory=list)
    """Time, what, and a number that the event is drawn from."""
    noise: float = 0.0
    """The share of requests outside intervals that go wrong in some way."""
    message_noise: float = 0.0
    """The share of messages that get a 429, 502, 503 or 504 of their own."""
    odd_shapes: float = 0.0
    """The share of multi-status responses in an unusual shape."""
    poison: dict[RecordKind, float] = field(default_factory=dict)
    junk: float = 0.0
    capacity: float | None = None
    """Messages a second that AEP takes."""
    limit: int = 1_000_000
    """Bytes of a request body that AEP takes."""
    spite_from: float = math.inf
    """From here on AEP takes one message at a time, and answers 413 to more."""
    spite_s: float = 0.0
    """Seconds in which AEP refuses everything, from the first acceptance after such a 413 on. That acceptance
    gives no sign of it."""
    stalls: float = 0.0
    """The share of turns in which a process stands still for a while."""
    value_bytes: int = 80

    def routes(self) -> list[Route]:
        return [
            Route(
                topic.name,
                topic.format,
                topic.inlet,
                topic.default_dataset,
                WRAPPER if topic.format is Format.ENTITY else (b"", b""),
                self.tombstones,
            )
            for topic in self.topics
        ]


def plan(seed: int) -> Scenario:
    """The scenario of a seed."""
    rng = Random(f"plan {seed}")
    flavour = rng.choices(
        ("mixed", "mixed calm", "outage", "isolation", "suspect", "group", "flood", "limit"),
        (30, 16, 12, 6, 5, 20, 6, 5),
    )[0]
    ordered = rng.random() < 0.3
    inlets = ["one", "two"] if flavour == "isolation" or rng.random() < 0.3 else ["one"]
    policy = Policy(
        max_bytes=40_000 if flavour == "limit" else rng.choice((900, 1500, 3000, 8000)),
        max_in_flight=rng.choice((1, 2, 4, 8)),
        window_bytes=rng.choice((15_000, 40_000, 200_000)),
        request_timeout_s=rng.choice((2.0, 5.0, 30.0)),
        retry_after_max_s=rng.choice((20.0, 300.0)),
        backoff_base_s=0.2,
        backoff_max_s=rng.choice((5.0, 60.0)),
        flood_guard=rng.choice((4, 8)) if flavour == "flood" else rng.choice((0, 1000)),
        max_messages_per_s=rng.choice((20.0, 100.0)) if rng.random() < 0.08 else None,
        ordered=ordered,
    )
    settings = EngineSettings(
        max_messages=1000 if flavour == "limit" else rng.choice((1, 3, 6, 20)),
        linger_s=rng.choice((0.05, 0.3, 1.0)),
        max_uncommitted_records=rng.choice((10, 30, 1000)),
        revoke_timeout_s=10.0,
        drain_timeout_s=rng.choice((5.0, 30.0)),
        ordered=ordered,
        name="b",
    )
    if flavour == "flood":  # what comes behind the flood has to be read, or the guard waits for ever
        policy, settings = (
            replace(policy, window_bytes=30_000_000),
            replace(settings, max_uncommitted_records=1000),
        )
    topics = [
        _topic(rng, f"t{number}", inlets[number % len(inlets)])
        for number in range(max(len(inlets), rng.choice((1, 1, 2, 3))))
    ]
    scenario = Scenario(
        seed,
        policy,
        settings,
        topics,
        inlets,
        1 if flavour == "isolation" else rng.choice((1, 1, 2, 3)),
        rng.random() < 0.3,
        0.0,
        flavour,
    )
    scenario.value_bytes = 700 if flavour == "limit" else rng.choice((40, 80, 200))
    _records(rng, scenario)
    _faults(rng, scenario)
    _group(rng, scenario)
    _rare(Random(f"rare 11 {seed}"), scenario)
    scenario.events.sort()
    return scenario


def _topic(rng: Random, name: str, inlet: str) -> Topic:
    kind = rng.choice((Format.ENVELOPE, Format.ENVELOPE, Format.ENTITY))
    if kind is Format.ENTITY:
        return Topic(name, rng.choice((1, 2, 3)), inlet, kind, ("entities",), "entities")
    datasets = tuple(f"d{number}" for number in range(rng.choice((1, 1, 2, 3))))
    return Topic(name, rng.choice((1, 2, 3)), inlet, kind, datasets, rng.choice((None, "d0")))


def _records(rng: Random, scenario: Scenario) -> None:
    """Bursts and drops of records, and what is wrong with some of them."""
    span = scenario.calm_at = {"outage": 3600.0, "isolation": 1800.0, "suspect": 60.0}.get(
        scenario.flavour, 40.0
    ) * rng.uniform(0.5, 2.0)
    for _ in range(rng.randint(2, 8)):
        scenario.events.append((rng.choice((0.0, rng.uniform(0, span))), "produce", rng.randint(1, 40)))
    if scenario.flavour == "limit":
        scenario.events += [(0.0, "produce", 60), (span / 2, "produce", 60)]
    for _ in range(rng.randint(0, 6)):
        scenario.events.append((rng.uniform(0, span), "gap", rng.randint(1, 9)))
    scenario.junk = rng.choice((0.0, 0.0, 0.05, 0.2))
    if scenario.flavour == "flood":
        scenario.junk, scenario.poison = rng.choice(
            (
                (0.0, {RecordKind.REFUSED: 0.4}),
                (0.6, {}),
                (0.3, {RecordKind.REFUSED: 0.3, RecordKind.WHOLE: 0.1}),
            )
        )
    elif scenario.flavour == "suspect":
        scenario.poison = {
            rng.choice((RecordKind.ERROR, RecordKind.ERROR_EACH)): 0.02,
            RecordKind.REFUSED: rng.choice((0.0, 0.03)),
        }
    elif scenario.flavour == "isolation":
        scenario.poison = {RecordKind.REFUSED: 0.03}
    elif rng.random() < 0.6:
        scenario.poison = {
            RecordKind.REFUSED: rng.choice((0.0, 0.05)),
            RecordKind.WHOLE: rng.choice((0.0, 0.02, 0.06)),
        }


def _faults(rng: Random, scenario: Scenario) -> None:
    """What AEP and the dead-letter topic do wrong, and when."""
    span = scenario.calm_at
    scenario.intervals = {name: [] for name in scenario.inlets}
    if scenario.flavour == "limit":
        scenario.limit = rng.choice((12_000, 20_000))
    if scenario.flavour == "outage":
        for name in scenario.inlets:
            scenario.intervals[name].append(
                Interval(
                    span * 0.02,
                    span * rng.uniform(0.5, 0.98),
                    rng.choice(MODES[:-1]),
                    rng.choice(("", "", "seconds", "date")),
                )
            )
    elif scenario.flavour == "isolation":
        scenario.intervals["one"].append(
            Interval(
                0.0,
                span,
                rng.choice([mode for mode in MODES[:-1] if mode != "each 400"]),
                rng.choice(("", "seconds")),
            )
        )
    elif scenario.flavour != "mixed calm":
        for name in scenario.inlets:
            for _ in range(rng.choice((0, 1, 1, 2, 4))):
                start = rng.uniform(0, span)
                end = min(span, start + rng.choice((0.5, 3.0, 20.0)) * rng.uniform(0.3, 1.5))
                scenario.intervals[name].append(
                    Interval(start, end, rng.choice(MODES), rng.choice(("", "", "seconds", "date")))
                )
    if scenario.flavour != "isolation":
        scenario.noise = rng.choice((0.0, 0.05, 0.2))
        scenario.message_noise = rng.choice((0.0, 0.0, 0.05))
        scenario.capacity = rng.choice((None, None, None, 30.0, 150.0))
    scenario.odd_shapes = rng.choice((0.0, 0.1, 0.4))
    for _ in range(rng.choice((0, 0, 1, 2))):
        start = rng.uniform(0, span)
        scenario.dead_letter_faults.append(
            (start, min(span, start + rng.uniform(1, 20)), rng.choice((0.5, 1.0)))
        )
    scenario.stalls = rng.choice((0.0, 0.0, 0.02))


def _group(rng: Random, scenario: Scenario) -> None:
    """What happens to the members and to the partitions."""
    span, flavour = scenario.calm_at, scenario.flavour
    kinds = ("rebalance", "lose", "crash", "stop", "join", "recreate", "partition", "skip")
    count = (
        0
        if flavour == "isolation"
        else rng.choice((4, 8, 12))
        if flavour == "group"
        else rng.choice((0, 0, 1, 2))
    )
    for kind in rng.choices(kinds, (5, 3, 4, 3, 2, 1, 1, 1), k=count):
        at = rng.uniform(0, span)
        if rng.random() < 0.6:  # while batches are open and requests are out
            at = min(
                span,
                rng.choice([when for when, what, _ in scenario.events if what == "produce"])
                + rng.choice((0.03, 0.2, 1.0)) * rng.random(),
            )
        scenario.events.append((at, kind, rng.randrange(1 << 30)))


def _rare(rng: Random, scenario: Scenario) -> None:
    """What happens in few histories. The seeds of `test_histories_that_failed_once` are not among them."""
    span = scenario.calm_at
    for intervals in scenario.intervals.values():
        for at, interval in enumerate(intervals):
            if rng.random() < 0.25:
                intervals[at] = replace(interval, mode=rng.choice(RARE_MODES))
    if scenario.flavour == "limit" and rng.random() < 0.5:
        scenario.spite_from, scenario.spite_s = span * rng.uniform(0.55, 0.8), rng.uniform(3, 20)
        scenario.settings.max_messages = rng.choice((2, 3, 1000))
        scenario.events = [
            each for each in scenario.events if each[1] != "produce" or each[0] < scenario.spite_from - 5
        ]
        scenario.events += [
            (rng.uniform(scenario.spite_from, span), "produce", rng.choice((2, 2, 3))) for _ in range(6)
        ]
    if scenario.policy.max_messages_per_s is not None:
        scenario.poison.pop(
            RecordKind.WHOLE, None
        )  # or an ordered partition would wait for an operator too often
        scenario.events += [(span * at, "produce", 40) for at in (0.35, 0.36, 0.7, 0.71)]
    if scenario.flavour == "flood" and rng.random() < 0.5:
        for intervals in scenario.intervals.values():
            intervals.append(Interval(span * 0.1, span * 0.9, "each 400"))
    if scenario.flavour in ("group", "mixed") and rng.random() < 0.3:
        produced = [when for when, what, _ in scenario.events if what == "produce"]
        scenario.events += [
            (rng.choice(produced) + rng.uniform(0, 2), "truncate", rng.randrange(1 << 30))
            for _ in range(rng.randint(1, 3))
        ]
