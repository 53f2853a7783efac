"""Sample events for the demo and for trying things out: XDM experience events in Adobe's envelope, bare entities, and bad ones of every kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

SCHEMA = "https://ns.adobe.com/sample/schemas/web"
PROFILE_SCHEMA = "https://ns.adobe.com/sample/schemas/profile"
DATASETS = ("5f0000000000000000000001", "5f0000000000000000000002")
PROFILE_DATASET = "5f0000000000000000000003"


@dataclass(frozen=True, slots=True)
class Sample:
    """One record to produce."""

    topic: str
    id: str
    """The event's `_id`, or where there is none to read, the record's key."""
    value: bytes
    bad: str | None = None
    """What is wrong with it, or None."""


def samples(count: int, *, org: str, seed: int = 1) -> Iterator[Sample]:
    """About two thirds in `web-events` (envelopes, two datasets), a third in `profiles` (bare entities), some 2% bad."""
    rng = Random(seed)
    kinds = ("no body", "wrong organisation", "not JSON", "too large")
    for number in range(count):
        bad = (
            kinds[(number // 50) % len(kinds)]
            if number % 50 == 25 and (number % 200 < 150 or number < 400)
            else None
        )
        if number % 3 == 2 and bad in (None, "not JSON"):
            event = f"profile-{number:06}"
            yield Sample(
                "profiles", event, b'{"_id": "%b", ' % event.encode() + _cut(_entity(event, rng), bad), bad
            )
        else:
            event = f"event-{number:06}"
            yield Sample("web-events", event, _envelope(event, org, rng.choice(DATASETS), rng, bad), bad)


def _cut(value: bytes, bad: str | None) -> bytes:
    return value[:-7] if bad else value


def _entity(event: str, rng: Random) -> bytes:
    """A profile entity without its opening brace and `_id`."""
    person = {
        "name": {"firstName": rng.choice(("Ada", "Grace", "Karen", "Barbara"))},
        "loyalty": {"points": rng.randrange(10_000)},
    }
    return json.dumps({"person": person, "memberId": event})[1:].encode()


def _envelope(event: str, org: str, dataset: str, rng: Random, bad: str | None) -> bytes:
    ref = {"id": SCHEMA, "contentType": "application/vnd.adobe.xed-full+json;version=1"}
    entity = {
        "_id": event,
        "timestamp": f"2026-11-24T10:{rng.randrange(60):02}:{rng.randrange(60):02}Z",
        "eventType": rng.choice(
            ("web.webpagedetails.pageViews", "commerce.purchases", "commerce.productListAdds")
        ),
        "web": {
            "webPageDetails": {"URL": f"https://shop.example/p/{rng.randrange(5000)}", "name": "product"}
        },
    }
    header = {
        "schemaRef": ref,
        "imsOrgId": org if bad != "wrong organisation" else "SOMEBODYELSE@AdobeOrg",
        "datasetId": dataset,
    }
    message: dict[str, object] = {
        "header": header,
        "body": {"xdmMeta": {"schemaRef": ref}, "xdmEntity": entity},
    }
    if bad == "no body":
        del message["body"]
    if bad == "too large":
        entity["note"] = "x" * 1_100_000
    value = json.dumps(message).encode()
    return value[:-9] if bad == "not JSON" else value
