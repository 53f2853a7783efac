"""Draw a record of a topic, and what must become of it."""

from __future__ import annotations

import json
from random import Random

from bridge.model import Format, TopicPartition
from tests.simulation.ground_truth import RecordKind, SimulatedRecord
from tests.simulation.scenario import WRAPPER, Scenario, Topic

TEXTS = ("plain", "näïve café", "日本語のテキスト", "🙂🙃🙂🙃", "x" * 60)


def draw_record(
    rng: Random,
    scenario: Scenario,
    topic: Topic,
    where: TopicPartition,
    at: int,
    number: int,
    *,
    healthy: bool = False,
) -> SimulatedRecord:
    """Draw a record; `healthy` leaves it no fault."""
    kind = RecordKind.HEALTHY if healthy else _draw_kind(rng, scenario)
    key = rng.choice((None, b"k%d" % (number % 5), b"\xff\x00"))
    more = rng.choice((None, [("h", b"1"), ("h", None)]))
    text = json.dumps(
        rng.choice(TEXTS) * rng.randint(0, max(1, scenario.value_bytes // 40)),
        ensure_ascii=rng.random() < 0.3,
    )
    event = f'{{"_id":"{number}",  "t":{text}, "n":9400100000000000000000}}'
    dataset: str | None = rng.choice(topic.datasets)
    if topic.format is Format.ENTITY:
        value = event.encode()
        piece: bytes | None = WRAPPER[0] + value + WRAPPER[1]
    else:
        member = f'"datasetId":"{dataset}"'
        if topic.default_dataset is not None and rng.random() < 0.3:
            dataset = topic.default_dataset
            value = f'{{"header":{{"v":1}},"body":{event}}}'.encode()
            piece = f'{{"header":{{"datasetId":"{dataset}","v":1}},"body":{event}}}'.encode()
        else:
            value = f'{{"header":{{{member}}},"body":{event}}}'.encode()
            piece = value
    data: bytes | None = value
    if kind is RecordKind.NOT_JSON:
        data, piece = (
            rng.choice(
                (b"", b"{", value[:-1], value + b"}", b"\xff\xfe", value.replace(b'"t":', b'"t\xff":'))
            ),
            None,
        )
    elif kind is RecordKind.NOT_AN_OBJECT:
        data, piece = rng.choice((b"1", b"[]", b'"text"', b"null")), None
    elif kind is RecordKind.NO_ROUTE:
        if topic.format is Format.ENTITY:
            kind = RecordKind.HEALTHY
        else:
            data, piece = b'{"header":{"datasetId":7},"body":%b}' % event.encode(), None
    elif kind is RecordKind.TOO_LARGE:
        data, piece = value[:-1] + b" " * 1_000_000 + b"}", None
    elif kind is RecordKind.TOMBSTONE:
        data, piece = None, None
    code = (
        500
        if kind in (RecordKind.ERROR, RecordKind.ERROR_EACH)
        else rng.choice((400, 400, 422, 413))
        if kind is RecordKind.WHOLE
        else rng.choice((400, 422, 404))
    )
    return SimulatedRecord(number, where, at, data, key, kind, topic.inlet, dataset, piece, code, more)


def _draw_kind(rng: Random, scenario: Scenario) -> RecordKind:
    if scenario.junk and rng.random() < scenario.junk:
        return rng.choices(
            (
                RecordKind.NOT_JSON,
                RecordKind.NOT_AN_OBJECT,
                RecordKind.NO_ROUTE,
                RecordKind.TOMBSTONE,
                RecordKind.TOO_LARGE,
            ),
            (10, 5, 5, 10, 0.2),
        )[0]
    for kind, share in scenario.poison.items():
        if rng.random() < share:
            return kind
    return RecordKind.HEALTHY
