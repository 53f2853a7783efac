"""Events for tests: XDM envelopes with an id, as a producer would write them."""

from __future__ import annotations

import json

SCHEMA = "https://ns.adobe.com/test/schemas/event"
DATASETS = ("5d86d1a29ba7e11648cc3afb", "5d86d1a29ba7e11648cc3afc")


def envelope(
    event: str,
    org: str,
    *,
    dataset: str | None = DATASETS[0],
    extra: str = "",
    size: int = 0,
    body: bool = True,
) -> bytes:
    """One message. `extra` is JSON text spliced into the entity as it is; `size` pads it to about so many bytes."""
    ref = {"id": SCHEMA, "contentType": "application/vnd.adobe.xed-full+json;version=1"}
    header: dict[str, object] = {"schemaRef": ref, "imsOrgId": org}
    if dataset is not None:
        header["datasetId"] = dataset
    entity = f'{{"_id": {json.dumps(event)}, "eventType": "test"{", " + extra if extra else ""}}}'
    if not body:
        return f'{{"header": {json.dumps(header)}}}'.encode()
    value = f'{{"header": {json.dumps(header)}, "body": {{"xdmMeta": {json.dumps({"schemaRef": ref})}, "xdmEntity": {entity}}}}}'
    if size > len(value):
        return envelope(
            event,
            org,
            dataset=dataset,
            extra=f'{extra + ", " if extra else ""}"pad": "{"x" * (size - len(value) - 11)}"',
        )
    return value.encode()
