"""The JSON of Adobe's sink connector, for tests."""

from __future__ import annotations

from typing import Any


def connector(topics: str, endpoint: str, **more: str) -> dict[str, Any]:
    """Return a connector as it is posted to Kafka Connect."""
    config = {
        "topics": topics,
        "connector.class": "com.adobe.platform.streaming.sink.impl.AEPSinkConnector",
        "tasks.max": 2,
        "aep.endpoint": endpoint,
        "key.converter.schemas.enable": "false",
        "value.converter.schemas.enable": "false",
        "aep.flush.interval.seconds": 1,
        "aep.flush.bytes.kb": 4,
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": f"{topics}-dead",
        "aep.connection.auth.enabled": True,
        "aep.connection.auth.token.type": "access_token",
        "aep.connection.auth.client.id": "bridge",
        "aep.connection.auth.client.secret": "secret-canary",
        "aep.connection.auth.imsOrg": "0DD379AC5B117F6E0A494106@AdobeOrg",
        **more,
    }
    return {"name": f"sink-{topics}", "config": config}
