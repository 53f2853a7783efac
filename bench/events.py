"""Synthetic XDM events of an exact size, as a producer would write them: an envelope with nested fields, some 40 of them in a kilobyte."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from random import Random

ORG = "0DD379AC5B117F6E0A494106@AdobeOrg"
SCHEMA = "https://ns.adobe.com/bench/schemas/web"
DATASET, OTHER = "5d86d1a29ba7e11648cc3afb", "6e97e2b30cb8f22759dd4b0c"
PARTITIONS = 4
"""Of a topic, unless it is said otherwise."""
_WORDS = [
    "product",
    "page",
    "view",
    "cart",
    "order",
    "search",
    "camera",
    "lens",
    "tripod",
    "battery",
    "bag",
    "strap",
    "filter",
    "light",
    "studio",
    "remote",
    "mount",
    "case",
]


def event(number: int, size: int, rng: Random) -> bytes:
    """One envelope of exactly `size` bytes; 200 is about the least."""
    ref = {"id": SCHEMA, "contentType": "application/vnd.adobe.xed-full+json;version=1"}
    header: dict[str, object] = {"schemaRef": ref, "imsOrgId": ORG, "datasetId": DATASET}
    if size < 700:
        header = {"imsOrgId": ORG, "datasetId": DATASET}
        text = json.dumps(
            {"header": header, "body": {"xdmEntity": {"_id": f"e{number:08}", "t": ""}}},
            separators=(",", ":"),
        )
        return (text[:-4] + "x" * (size - len(text)) + text[-4:]).encode()
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
        sku = f"SKU-{rng.randrange(99999):05}"
        items.append(
            {
                "SKU": sku,
                "name": rng.choice(_WORDS),
                "quantity": rng.randrange(1, 9),
                "priceTotal": rng.randrange(9999) / 100,
                "discount": None,
            }
        )
        length += len(json.dumps(items[-1], separators=(",", ":"))) + (len(items) > 1)
    entity["note"] = ""
    length += len(',"note":""')
    entity["note"] = " ".join(rng.choices(_WORDS, k=60))[: size - length]
    value = json.dumps(message, separators=(",", ":")).encode()
    assert len(value) == size, f"{len(value)} bytes instead of {size}"
    return value


def two_datasets(value: bytes, number: int) -> bytes:
    """In turn, in each of the partitions that events go to one after the other."""
    return value.replace(DATASET.encode(), OTHER.encode()) if number // PARTITIONS % 2 else value


def no_dataset(value: bytes, _: int) -> bytes:
    """The header has none; with the topic's it is as long as it was."""
    return value.replace(f',"datasetId":"{DATASET}"'.encode(), b"")


def entity(value: bytes, _: int) -> bytes:
    """The bare XDM entity; wrapped it is as long as it was."""
    return value[value.index(b'"xdmEntity":') + len('"xdmEntity":') : -len("}}")]


SHAPES: dict[str, tuple[Callable[[bytes, int], bytes], dict[str, str]]] = {
    "envelope": (lambda value, _: value, {}),
    "two-datasets": (two_datasets, {}),
    "no-dataset": (no_dataset, {"dataset_id": DATASET}),
    "entity": (entity, {"format": "entity", "dataset_id": DATASET, "schema_id": SCHEMA}),
}
"""What becomes of an event before it is produced, and what the topic's mapping says for it."""


def events(count: int, size: int, shape: str = "envelope") -> Iterator[bytes]:
    """So many of them, of which every thousandth is new: producing is not what is measured. `size` is that of the message that AEP gets."""
    rng = Random(size)
    shaped = SHAPES[shape][0]
    kinds = [shaped(event(number, size, rng), number) for number in range(1000)]
    return (kinds[number % 1000] for number in range(count))
