"""Minimal settings, and what is wrong with some."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bridge.config.problems import InvalidSettings
from bridge.config.settings import Settings

INLET = "https://dcs.adobedc.net/collection/aaaa"


def settings(**sections: Any) -> Settings:
    """Return minimal settings with some sections replaced; `topics` may be names."""
    topics = sections.pop("topics", ["web-events"])
    return Settings.model_validate(
        {
            "kafka": {"bootstrap_servers": "kafka:9092"},
            "aep": {"inlet_url": INLET},
            "topics": [{"topic": topic} if isinstance(topic, str) else topic for topic in topics],
            **sections,
        }
    )


def problems(**sections: Any) -> list[str]:
    """Return what is wrong with such settings, each as `key: text`."""
    with pytest.raises(ValidationError) as caught:
        settings(**sections)
    lines = []
    for error in caught.value.errors(include_input=False):
        cause = error.get("ctx", {}).get("error")
        reported = cause.problems if isinstance(cause, InvalidSettings) else [((), error["msg"])]
        for key_path, text in reported:
            key = ".".join(str(part) for part in (*error["loc"], *key_path))
            lines.append(f"{key}: {text}")
    return lines
