"""Sample events: XDM experience events in Adobe's envelope, bare entities, and bad ones of every kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

SCHEMA = "https://ns.adobe.com/sample/schemas/web"
PROFILE_SCHEMA = "https://ns.adobe.com/sample/schemas/profile"
DATASETS = ("5f0000000000000000000001", "5f0000000000000000000002")
PROFILE_DATASET = "5f0000000000000000000003"

_NO_BODY, _WRONG_ORGANISATION, _NOT_JSON, _TOO_LARGE = (
    "no body",
    "wrong organisation",
    "not JSON",
    "too large",
)
_FAULTS = (_NO_BODY, _WRONG_ORGANISATION, _NOT_JSON, _TOO_LARGE)


@dataclass(frozen=True, slots=True)
class Sample:
    """One record to produce."""

    topic: str
    id: str
    """The event's `_id`, which is the record's key too: an event that is no JSON has no readable `_id`."""
    value: bytes
    fault: str | None = None
    """What is wrong with it; None for a good one."""


def samples(count: int, *, org: str, seed: int = 1) -> Iterator[Sample]:
    """Yield two thirds in `web-events` (envelopes, two datasets), a third in `profiles`
    (entities), 2% of them bad.
    """
    random = Random(seed)
    for number in range(count):
        fault = _fault(number)
        if number % 3 == 2 and fault in {None, _NOT_JSON}:
            event_id = f"profile-{number:06}"
            yield Sample("profiles", event_id, _profile(event_id, random, fault), fault)
        else:
            event_id = f"event-{number:06}"
            dataset = random.choice(DATASETS)
            yield Sample("web-events", event_id, _web_event(event_id, org, dataset, random, fault), fault)


def _fault(number: int) -> str | None:
    """Return the faults in turn, one for each fifty events.

    Large ones occur only twice: they are slow to send.
    """
    fault = _FAULTS[(number // 50) % len(_FAULTS)]
    is_bad = number % 50 == 25 and (fault != _TOO_LARGE or number < 400)
    return fault if is_bad else None


def _profile(event_id: str, random: Random, fault: str | None) -> bytes:
    name = random.choice(("Ada", "Grace", "Karen", "Barbara"))
    person = {"name": {"firstName": name}, "loyalty": {"points": random.randrange(10_000)}}
    value = json.dumps({"_id": event_id, "person": person, "memberId": event_id}).encode()
    return value[:-7] if fault == _NOT_JSON else value


def _web_event(event_id: str, org: str, dataset: str, random: Random, fault: str | None) -> bytes:
    ref = {"id": SCHEMA, "contentType": "application/vnd.adobe.xed-full+json;version=1"}
    page = {"URL": f"https://shop.example/p/{random.randrange(5000)}", "name": "product"}
    types = ("web.webpagedetails.pageViews", "commerce.purchases", "commerce.productListAdds")
    entity: dict[str, object] = {
        "_id": event_id,
        "timestamp": f"2026-11-24T10:{random.randrange(60):02}:{random.randrange(60):02}Z",
        "eventType": random.choice(types),
        "web": {"webPageDetails": page},
    }
    if fault == _TOO_LARGE:
        entity["note"] = "x" * 1_100_000
    org_id = "SOMEBODYELSE@AdobeOrg" if fault == _WRONG_ORGANISATION else org
    message: dict[str, object] = {"header": {"schemaRef": ref, "imsOrgId": org_id, "datasetId": dataset}}
    if fault != _NO_BODY:
        message["body"] = {"xdmMeta": {"schemaRef": ref}, "xdmEntity": entity}
    value = json.dumps(message).encode()
    return value[:-9] if fault == _NOT_JSON else value
