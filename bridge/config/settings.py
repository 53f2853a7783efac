"""The settings: a frozen tree with every key of the configuration file, its default, its unit and its bounds.

`bridge.config.loader.load` builds it out of the file and the environment. Tests and the demo validate a plain
mapping.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from bridge.config.consistency import inlet_problems, limit_problems, topic_problems, topic_warnings
from bridge.config.kafka_clients import Value
from bridge.config.problems import InvalidSettings
from bridge.config.section import OrEmpty, Section
from bridge.config.settings_aep import AepSettings, inlet_of
from bridge.config.settings_delivery import BatchSettings, DeadLetterSettings, DeliverySettings
from bridge.config.settings_kafka import KafkaSettings
from bridge.config.settings_process import AdminSettings, LoggingSettings
from bridge.config.settings_topics import TopicSettings

PARKED = ".parked"
"""Appended to a dead-letter topic's name: the topic for dead letters that were replayed too often."""
_SOURCE = "_source"
_NOT_IN_TOPICS = re.compile(r"[^A-Za-z0-9._-]")


class Settings(BaseSettings, Section):
    """The whole configuration. Raises ValidationError, in which no secret is shown."""

    model_config = SettingsConfigDict()

    kafka: Annotated[KafkaSettings, OrEmpty]
    """Where to read from, and how."""
    aep: AepSettings | None = None
    """The default inlet; a topic may override any of it.
    Required, unless every topic has an inlet_url of its own."""
    topics: tuple[TopicSettings, ...] = Field(strict=False, min_length=1)
    """The topic mapping: a list, of which the first entry that matches a topic is used."""
    batch: Annotated[BatchSettings, OrEmpty] = BatchSettings()
    """How large a request becomes, and how long a record waits for others to share it."""
    delivery: Annotated[DeliverySettings, OrEmpty] = DeliverySettings()
    """How requests are sent and repeated, and which limits apply."""
    dead_letter: Annotated[DeadLetterSettings, OrEmpty] = DeadLetterSettings()
    """What happens to records that can't be delivered."""
    admin: Annotated[AdminSettings, OrEmpty] = AdminSettings()
    """The port for probes, metrics and the status page."""
    logging: Annotated[LoggingSettings, OrEmpty] = LoggingSettings()
    """What is logged, to standard output."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the loader's source, where there is one, and otherwise the values themselves.

        None of the library's own sources is asked: see docs/adr/0013-one-settings-source.md.
        """
        values = init_settings() if isinstance(init_settings, InitSettingsSource) else {}
        source = values.get(_SOURCE)
        return (source,) if isinstance(source, PydanticBaseSettingsSource) else (init_settings,)

    @classmethod
    def from_source(cls, source: PydanticBaseSettingsSource) -> Self:
        """Return the settings that a source holds. Raises ValidationError.

        Of a call, pydantic-settings lets `settings_customise_sources` see the constructor's values only.
        """
        return cls.model_validate({_SOURCE: source})

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = [
            *limit_problems(self.batch, self.delivery, self.kafka),
            *topic_problems(self.topics, self.is_dead_letter_topic),
            *inlet_problems(self.topics, self.aep),
        ]
        if problems:
            raise InvalidSettings(problems)
        return self

    @property
    def warnings(self) -> list[str]:
        """What is allowed, and seldom intended. To be logged at start."""
        return [*self.kafka.warnings, *topic_warnings(self.topics)]

    def entry_for(self, topic: str) -> TopicSettings | None:
        """Return the entry that a topic is read by: the first that matches."""
        return next((entry for entry in self.topics if entry.matches(topic)), None)

    def inlet_for(self, entry: TopicSettings) -> AepSettings:
        """Return a topic's inlet. Equal inlets have the same `identity`."""
        return inlet_of(self.aep, entry.aep)

    def is_dead_letter_topic(self, name: str) -> bool:
        """Return whether the bridge itself writes to a topic, which is therefore never read.

        These are the topics for refused records, for those replayed too often, and for the marks of replays.
        """
        if name == self.replayed_topic or any(entry.dead_letter_topic == name for entry in self.topics):
            return True
        if name.endswith(PARKED):
            return self.is_dead_letter_topic(name.removesuffix(PARKED))
        source = name.removesuffix(".dlq")
        entry = None if source == name else self.entry_for(source)
        return entry is not None and entry.dead_letter_topic_for(source) == name

    @property
    def replayed_topic(self) -> str:
        """Where `dlq replay` marks what it has sent."""
        return f"{_NOT_IN_TOPICS.sub('_', self.kafka.group_id)[:200]}.replayed"

    def consumer_properties(self) -> dict[str, Value]:
        """Return everything that a consumer is created with, secrets included. Raises OSError."""
        return self.kafka.consumer_properties()

    def producer_properties(self) -> dict[str, Value]:
        """Return everything that a producer is created with, secrets included. Raises OSError."""
        return self.kafka.producer_properties()

    def admin_properties(self) -> dict[str, Value]:
        """Return everything that an admin client is created with, secrets included. Raises OSError."""
        return self.kafka.admin_properties()

    def masked(self) -> dict[str, Any]:
        """Return the whole configuration as plain values for people to read, with secrets masked."""
        shown = self.model_dump(mode="json")
        for shown_entry, entry in zip(shown["topics"], self.topics, strict=True):
            own = None if entry.aep is None else entry.aep.model_dump(mode="json", exclude_unset=True)
            shown_entry["aep"] = own
        return shown
