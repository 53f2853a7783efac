"""The section `topics`: which topics are read, what their records are, and where they go."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import ConfigDict, Field, WithJsonSchema, field_validator
from pydantic.config import JsonDict

from bridge.codec.routes import is_regex, matches
from bridge.config import topic_regex
from bridge.config.section import Section, Text
from bridge.config.settings_aep import AepOverrides
from bridge.model import Format

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")

# The JSON schema states as much as it can, for editors and the chart; the validators give better messages.
_TOPIC_SCHEMA = WithJsonSchema(
    {"type": "string", "pattern": rf"^(\^.*|{_TOPIC.pattern})$", "not": {"enum": [".", ".."]}}
)
_DEAD_LETTER_TOPIC_SCHEMA = WithJsonSchema(
    {"type": "string", "pattern": f"^{_TOPIC.pattern}$", "not": {"enum": [".", ".."]}}
)
_ENTITY_SCHEMA: JsonDict = {
    "if": {"properties": {"format": {"const": "entity"}}, "required": ["format"]},
    "then": {
        "properties": {name: {"type": "string"} for name in ("dataset_id", "schema_id")},
        "required": ["dataset_id", "schema_id"],
    },
}


class TopicSettings(Section):
    """One entry of the topic mapping."""

    model_config = ConfigDict(json_schema_extra=_ENTITY_SCHEMA)

    topic: Annotated[Text, _TOPIC_SCHEMA]
    """A topic's name, or a regex that begins with `^`.
    Regexes are POSIX extended, as Kafka's C client reads them, and without classes such as `[[:digit:]]`.
    The first entry that matches a topic is used."""
    format: Annotated[Format, Field(strict=False)] = Format.ENVELOPE
    """`envelope`: values are `{"header":…,"body":…}`.
    `entity`: values are bare XDM entities, which the bridge wraps.
    `raw`: values are sent as they are (experimental: how raw objects batch is undocumented)."""
    dataset_id: Text | None = None
    """The dataset. `envelope`: used for messages whose header names none. `entity`: required."""
    schema_id: Text | None = None
    """The URL of the XDM schema. `entity`: required."""
    schema_version: Text = "1"
    """The version of the XDM schema. `entity` only."""
    dead_letter_topic: Annotated[Text, _DEAD_LETTER_TOPIC_SCHEMA] | None = None
    """Where refused records go. Default: `<topic>.dlq`; for a regex, that of each topic that matches."""
    aep: AepOverrides | None = None
    """This topic's own inlet: any key of `aep`, in place of the default inlet's."""

    @field_validator("topic")
    @classmethod
    def _is_legal(cls, topic: str) -> str:
        if not is_regex(topic):
            return _legal_name(topic, "; a regex begins with ^")
        if text := topic_regex.difference(topic):
            raise ValueError(text)
        try:
            re.compile(topic)
        except re.error as error:
            raise ValueError(f"is not a regular expression: {error}; correct it") from None
        return topic

    @field_validator("dead_letter_topic")
    @classmethod
    def _is_legal_name(cls, topic: str | None) -> str | None:
        return None if topic is None else _legal_name(topic, "")

    @property
    def is_regex(self) -> bool:
        """Return whether the entry stands for every topic that matches, and not for one by its name."""
        return is_regex(self.topic)

    def matches(self, topic: str) -> bool:
        """Return whether this entry stands for the topic, other entries and dead-letter topics left aside."""
        return matches(self.topic, topic)

    def dead_letter_topic_for(self, topic: str) -> str:
        """Return where the refused records go of a topic that this entry matches."""
        return self.dead_letter_topic or f"{topic}.dlq"


def _legal_name(topic: str, hint: str) -> str:
    if not _TOPIC.fullmatch(topic) or topic in {".", ".."}:
        raise ValueError(f"is not a name that Kafka allows: up to 249 of A-Z a-z 0-9 . _ -{hint}")
    return topic
