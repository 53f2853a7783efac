"""Events for tests: messages in XDM's envelope with an id, as a producer would write them."""

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
    """Return one message.

    `extra` is JSON text that goes into the entity as it is. `size` pads the message to about so many bytes.
    """
    ref = {"id": SCHEMA, "contentType": "application/vnd.adobe.xed-full+json;version=1"}
    header: dict[str, object] = {"schemaRef": ref, "imsOrgId": org}
    if dataset is not None:
        header["datasetId"] = dataset
    header_text = json.dumps(header)
    if not body:
        return f'{{"header": {header_text}}}'.encode()
    entity = f'{{"_id": {json.dumps(event)}, "eventType": "test"{", " + extra if extra else ""}}}'
    body_text = f'{{"xdmMeta": {json.dumps({"schemaRef": ref})}, "xdmEntity": {entity}}}'
    message = f'{{"header": {header_text}, "body": {body_text}}}'
    if size > len(message):
        padding = f'"pad": "{"x" * (size - len(message) - 11)}"'
        return envelope(event, org, dataset=dataset, extra=f"{extra}, {padding}" if extra else padding)
    return message.encode()
