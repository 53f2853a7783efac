"""Synthetic XDM events of an exact size, as a producer would write them: an envelope with nested fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

ORG = "0DD379AC5B117F6E0A494106@AdobeOrg"
SCHEMA = "https://ns.adobe.com/bench/schemas/web"
DATASET, OTHER_DATASET = "5d86d1a29ba7e11648cc3afb", "6e97e2b30cb8f22759dd4b0c"
PARTITIONS = 4
"""Partitions of a topic where a measurement does not choose another number."""
DISTINCT = 1000
"""After so many events the same ones come again: to make events is not what is measured."""
_WORDS = (
    *("product", "page", "view", "cart", "order", "search", "camera", "lens", "tripod"),
    *("battery", "bag", "strap", "filter", "light", "studio", "remote", "mount", "case"),
)


def event(number: int, size: int, rng: Random) -> bytes:
    """Return one envelope of exactly `size` bytes, of which 200 is about the smallest.

    A kilobyte holds some 40 fields.
    """
    return _small_event(number, size) if size < 700 else _large_event(number, size, rng)


def _small_event(number: int, size: int) -> bytes:
    header = {"imsOrgId": ORG, "datasetId": DATASET}
    message = {"header": header, "body": {"xdmEntity": {"_id": f"e{number:08}", "t": ""}}}
    text = json.dumps(message, separators=(",", ":"))
    return (text[:-4] + "x" * (size - len(text)) + text[-4:]).encode()


def _large_event(number: int, size: int, rng: Random) -> bytes:
    ref = {"id": SCHEMA, "contentType": "application/vnd.adobe.xed-full+json;version=1"}
    header: dict[str, object] = {"schemaRef": ref, "imsOrgId": ORG, "datasetId": DATASET}
    entity: dict[str, object] = {
        "_id": f"event-{number:010}",
        "timestamp": f"2026-11-24T10:{rng.randrange(60):02}:{rng.randrange(60):02}.{rng.randrange(1000):03}Z",
        "eventType": "web.webpagedetails.pageViews",
        "identityMap": {
            "ECID": [
                {"id": f"{rng.getrandbits(126):038}", "primary": True, "authenticatedState": "ambiguous"}
            ]
        },
        "web": {
            "webPageDetails": {
                "URL": f"https://shop.example/p/{rng.randrange(5000)}",
                "name": rng.choice(_WORDS),
                "pageViews": {"value": 1},
            }
        },
        "environment": {"type": "browser", "browserDetails": {"viewportWidth": 1280, "viewportHeight": 720}},
        "device": {"screenWidth": 1920, "screenHeight": 1080},
    }
    items: list[dict[str, object]] = []
    entity["productListItems"] = items
    message = {"header": header, "body": {"xdmMeta": {"schemaRef": ref}, "xdmEntity": entity}}
    length = len(json.dumps(message, separators=(",", ":")))
    while length < size - 140:
        item = {
            "SKU": f"SKU-{rng.randrange(99999):05}",
            "name": rng.choice(_WORDS),
            "quantity": rng.randrange(1, 9),
            "priceTotal": rng.randrange(9999) / 100,
            "discount": None,
        }
        items.append(item)
        length += len(json.dumps(item, separators=(",", ":"))) + (len(items) > 1)
    entity["note"] = ""
    length += len(',"note":""')
    entity["note"] = " ".join(rng.choices(_WORDS, k=60))[: size - length]
    value = json.dumps(message, separators=(",", ":")).encode()
    assert len(value) == size, f"{len(value)} bytes instead of {size}"
    return value


def _unchanged(value: bytes, _: int) -> bytes:
    return value


def _of_two_datasets(value: bytes, number: int) -> bytes:
    """Name one dataset and the other in turn, within each of the partitions that events go to in turn."""
    return value.replace(DATASET.encode(), OTHER_DATASET.encode()) if number // PARTITIONS % 2 else value


def _without_dataset(value: bytes, _: int) -> bytes:
    """Take the dataset out of the header.

    With the topic's own dataset written in, the length is the same again.
    """
    return value.replace(f',"datasetId":"{DATASET}"'.encode(), b"")


def _bare_entity(value: bytes, _: int) -> bytes:
    """Return the XDM entity alone. Wrapped into an envelope it has the same length again."""
    return value[value.index(b'"xdmEntity":') + len('"xdmEntity":') : -len("}}")]


@dataclass(frozen=True, slots=True)
class Shape:
    """How an event differs from a whole envelope, and the settings of its topic in the configuration."""

    transform: Callable[[bytes, int], bytes]
    route: dict[str, str] = field(default_factory=dict)


SHAPES = {
    "envelope": Shape(_unchanged),
    "two-datasets": Shape(_of_two_datasets),
    "no-dataset": Shape(_without_dataset, {"dataset_id": DATASET}),
    "entity": Shape(_bare_entity, {"format": "entity", "dataset_id": DATASET, "schema_id": SCHEMA}),
}


def events(count: int, size: int, shape: str = "envelope") -> Iterator[bytes]:
    """Return so many events, of which `DISTINCT` differ. `size` is that of the message that AEP gets."""
    rng = Random(size)
    transform = SHAPES[shape].transform
    distinct = [transform(event(number, size, rng), number) for number in range(DISTINCT)]
    return (distinct[number % DISTINCT] for number in range(count))
