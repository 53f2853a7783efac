"""The settings: one frozen tree with every key of the configuration file, its default, its unit and its bounds.

Built by `bridge.configuration.load` out of the file, the environment and files with secrets; tests and the demo validate a plain dict. pydantic-settings'
own sources are not asked: they ignore a misspelt variable, know no line of the file, and can't address an item of a list.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bridge.config.kafka_clients import Value
from bridge.config.sections import (
    AdminSettings,
    BatchSettings,
    DeadLetterSettings,
    DeliverySettings,
    LoggingSettings,
    OrEmpty,
    Problem,
    Wrong,
)
from bridge.config.settings_aep import AepOverrides, AepSettings, Auth, TopicSettings
from bridge.config.settings_kafka import KafkaSettings
from bridge.model import Format

PREFIX = "AEP_BRIDGE_"
DELIMITER = "__"
PARKED = ".parked"
"""Behind a dead-letter topic's name: where goes what was replayed too often."""
_LONGEST_TOPIC = 249
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9._-]")


class Settings(BaseSettings):
    """The whole configuration. Raises ValidationError, in which no secret is shown."""

    model_config = SettingsConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        hide_input_in_errors=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
    )

    kafka: Annotated[KafkaSettings, OrEmpty]
    """Where to read from, and how."""
    aep: AepSettings | None = None
    """The default inlet; a topic may override any of it. Required, unless every topic has an inlet_url of its own."""
    topics: tuple[TopicSettings, ...] = Field(strict=False, min_length=1)
    """The topic mapping: a list, of which the first entry that matches a topic wins."""
    batch: Annotated[BatchSettings, OrEmpty] = BatchSettings()
    """How large a request gets, and how long a record may wait for company."""
    delivery: Annotated[DeliverySettings, OrEmpty] = DeliverySettings()
    """How requests are made, repeated and bounded."""
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
        """Only what it is given: see the module."""
        return (init_settings,)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if found := [*self._sizes(), *self._mapping(), *self._inlets()]:
            raise Wrong(found)
        return self

    # -- what has to fit together -----------------------------------------------------------

    def _sizes(self) -> Iterator[Problem]:
        delivery = self.delivery
        if delivery.request_timeout_s > delivery.drain_timeout_s:
            yield Problem(
                ("delivery", "request_timeout_s"),
                f"{delivery.request_timeout_s:g} s is more than drain_timeout_s ({delivery.drain_timeout_s:g} s), so that a drain could not wait "
                "for a request; lower it, or raise drain_timeout_s",
            )
        if delivery.window_bytes < 2 * self.batch.max_bytes:
            yield Problem(
                ("delivery", "window_bytes"),
                f"{delivery.window_bytes} does not hold two batches of batch.max_bytes ({self.batch.max_bytes}); give at least {2 * self.batch.max_bytes}",
            )
        if delivery.revoke_timeout_s * 2 >= self.kafka.max_poll_interval_s:
            yield Problem(
                ("delivery", "revoke_timeout_s"),
                f"{delivery.revoke_timeout_s:g} s is not less than half of max.poll.interval.ms ({self.kafka.max_poll_interval_s:g} s), "
                "after which the group takes the partitions away; lower it",
            )

    def _mapping(self) -> Iterator[Problem]:
        times = Counter(entry.topic for entry in self.topics)
        for at, entry in enumerate(self.topics):
            where = ("topics", at, "topic")
            first = next(number for number, other in enumerate(self.topics) if other.topic == entry.topic)
            if times[entry.topic] > 1 and first != at:
                yield Problem(
                    where, f"{entry.topic} is mapped twice, first as topics[{first}]; leave one of them out"
                )
            if entry.is_regex:
                continue
            if self.is_dead_letter_topic(entry.topic):
                yield Problem(
                    where,
                    f"{entry.topic} is a dead-letter topic of this bridge, which never reads those; leave it out, or rename the dead-letter topic",
                )
            if len(entry.dead_letter_topic_for(entry.topic)) > _LONGEST_TOPIC:
                yield Problem(
                    where, "with .dlq behind it the name is longer than Kafka allows; set dead_letter_topic"
                )

    def _inlets(self) -> Iterator[Problem]:
        for at, entry in enumerate(self.topics):
            if self.aep is None and (entry.aep is None or entry.aep.inlet_url is None):
                yield Problem(
                    ("aep",), f"is required, since topics[{at}] has no inlet_url of its own; add aep"
                )
                continue
            inlet = self.inlet_for(entry)
            if entry.aep is not None:
                yield from (
                    Problem(("topics", at, "aep", *problem.loc), problem.text) for problem in inlet.problems()
                )
            if entry.format is not Format.ENTITY:
                continue
            for name in ("dataset_id", "schema_id"):
                if getattr(entry, name) is None:
                    yield Problem(
                        ("topics", at, name),
                        f"is required with format entity, where the bridge writes the header; add {name}",
                    )
            if inlet.ims_org_id is None:
                where = ("aep",) if self.aep is not None else ("topics", at, "aep")
                yield Problem(
                    (*where, "ims_org_id"),
                    f"is required for topics[{at}], which has format entity; add ims_org_id",
                )

    # -- what the rooms ask -----------------------------------------------------------------

    @property
    def warnings(self) -> list[str]:
        """What is allowed, and seldom meant; to be logged at start."""
        found = self.kafka.warnings
        for at, entry in enumerate(self.topics):
            unused = [
                name
                for name in ("schema_id", "schema_version")
                if entry.format is not Format.ENTITY and name in entry.model_fields_set
            ]
            if unused:
                found.append(
                    f"topics[{at}].{unused[0]}: used with format entity only; this topic has format {entry.format}"
                )
            earlier = next(
                (
                    other
                    for other in self.topics[:at]
                    if other.is_regex and not entry.is_regex and other.matches(entry.topic)
                ),
                None,
            )
            if earlier is not None:
                found.append(
                    f"topics[{at}].topic: {entry.topic} is matched by {earlier.topic} before, and the first match wins; move the name above the regex"
                )
        return found

    def entry_for(self, topic: str) -> TopicSettings | None:
        """The entry that a topic of this name is read by: the first that matches."""
        return next((entry for entry in self.topics if entry.matches(topic)), None)

    def inlet_for(self, entry: TopicSettings) -> AepSettings:
        """The inlet of a topic: the default one, with the topic's own keys over it. Equal inlets are equal, and have the same `identity`."""
        return (self.aep or AepSettings.nowhere()).overridden(entry.aep)

    def is_dead_letter_topic(self, name: str) -> bool:
        """Whether some topic's refused records go there, those that were replayed too often, or the marks of replays: such a topic is never read."""
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
        return f"{_NOT_A_NAME.sub('_', self.kafka.group_id)[:200]}.replayed"

    def consumer_properties(self) -> dict[str, Value]:
        """Everything the consumer is made with, secrets included. Raises OSError for a secret's file."""
        return self.kafka.consumer_properties()

    def producer_properties(self) -> dict[str, Value]:
        """Everything the producer of dead letters is made with, secrets included. Raises OSError for a secret's file."""
        return self.kafka.producer_properties()

    def admin_properties(self) -> dict[str, Value]:
        """Everything the admin client is made with, secrets included. Raises OSError for a secret's file."""
        return self.kafka.admin_properties()

    def masked(self) -> dict[str, Any]:
        """The whole configuration as plain values, secrets masked: for people."""
        shown = self.model_dump(mode="json")
        for entry, source in zip(shown["topics"], self.topics, strict=True):
            entry["aep"] = (
                None if source.aep is None else source.aep.model_dump(mode="json", exclude_unset=True)
            )
        return shown


__all__ = [
    "AdminSettings",
    "AepOverrides",
    "AepSettings",
    "Auth",
    "BatchSettings",
    "DeadLetterSettings",
    "DeliverySettings",
    "KafkaSettings",
    "LoggingSettings",
    "Settings",
    "TopicSettings",
]
