"""The section `kafka`: where the brokers are, and the properties that a user sets for Kafka's clients."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, WithJsonSchema, field_validator

from bridge.config import librdkafka
from bridge.config.kafka_clients import ADMIN, CONSUMER, PRODUCER, REFUSED, Value
from bridge.config.problems import InvalidSettings, Problem
from bridge.config.secret_files import FILE_SUFFIX, read_secret, unmask
from bridge.config.section import OrEmpty, Section, Text

_SERVER = re.compile(r"([A-Za-z_]+://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_SERVERS_SCHEMA = WithJsonSchema(
    {"type": "string", "pattern": rf"^\s*{_SERVER.pattern}(\s*,\s*{_SERVER.pattern})*\s*$"}
)
_REFUSED_KEYS = [name + suffix for name in REFUSED for suffix in ("", FILE_SUFFIX)]
_PROPERTIES_SCHEMA = WithJsonSchema(
    {
        "type": "object",
        "propertyNames": {"not": {"enum": _REFUSED_KEYS}},
        "additionalProperties": {"type": ["string", "number", "boolean"], "minLength": 1},
    }
)
_LATEST = ("latest", "largest", "end")


class KafkaSettings(Section):
    """Where to read from, and how."""

    bootstrap_servers: Annotated[Text, _SERVERS_SCHEMA]
    """The brokers to connect to first: `host:port`, several separated by commas."""
    group_id: Text = "aep-bridge"
    """The consumer group. The replicas of one bridge share it; two bridges must not."""
    properties: Annotated[dict[str, Value | SecretStr], OrEmpty, _PROPERTIES_SCHEMA] = Field(default={})
    """Any property of librdkafka: `security.protocol`, `sasl.*`, `ssl.*`, `group.protocol`, ….
    With `_file` behind its name (`sasl.password_file`) a property takes its value from a file, which is read
    once, when the clients are created: restart after a rotation.
    Secrets are masked wherever they could be shown."""

    @field_validator("bootstrap_servers")
    @classmethod
    def _are_addresses(cls, text: str) -> str:
        servers = [server.strip() for server in text.split(",")]
        if not all(_SERVER.fullmatch(server) for server in servers):
            raise ValueError(
                "must be host:port, several separated by commas, such as kafka-0:9092,kafka-1:9092"
            )
        return ",".join(servers)

    @field_validator("properties", mode="before")
    @classmethod
    def _check_and_mask_properties(cls, properties: Any) -> Any:
        if not isinstance(properties, Mapping):
            return properties
        texts = {
            str(name): _property_problem(str(name), value, properties) for name, value in properties.items()
        }
        if problems := [Problem((name,), text) for name, text in texts.items() if text is not None]:
            raise InvalidSettings(problems)
        return {name: _mask(name, value) for name, value in properties.items()}

    def resolved_properties(self) -> dict[str, Value]:
        """Return the user's properties with their secrets, those in files read now. Raises OSError.

        For the clients only, because nothing is masked.
        """
        return {
            name.removesuffix(FILE_SUFFIX): (
                read_secret(Path(str(value))) if name.endswith(FILE_SUFFIX) else unmask(value)
            )
            for name, value in self.properties.items()
        }

    def consumer_properties(self) -> dict[str, Value]:
        """Return everything that a consumer is created with, secrets included. Raises OSError."""
        return CONSUMER.complete({**self._client_properties(), "group.id": self.group_id})

    def producer_properties(self) -> dict[str, Value]:
        """Return everything that a producer is created with, secrets included. Raises OSError."""
        return PRODUCER.complete(self._client_properties())

    def admin_properties(self) -> dict[str, Value]:
        """Return everything that an admin client is created with, secrets included. Raises OSError."""
        return ADMIN.complete(self._client_properties())

    def _client_properties(self) -> dict[str, Value]:
        return {**self.resolved_properties(), "bootstrap.servers": self.bootstrap_servers}

    def text_of(self, name: str, default: str) -> str:
        """Return a property that holds no secret as text, under whichever of its names it was set."""
        canonical = librdkafka.canonical(name)
        values = (value for key, value in self.properties.items() if librdkafka.canonical(key) == canonical)
        return next((str(value) for value in values), default)

    def number(self, name: str, default: int) -> int:
        """Return a property that is a whole number, or the default if it was set to something else.

        librdkafka itself refuses what is no number.
        """
        text = self.text_of(name, str(default))
        return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else default

    @property
    def max_poll_interval_s(self) -> float:
        """Seconds without a poll after which the group takes the partitions away."""
        return self.number("max.poll.interval.ms", librdkafka.OWN_DEFAULTS["max.poll.interval.ms"]) / 1000

    @property
    def warnings(self) -> list[str]:
        """What is allowed, and seldom intended."""
        warnings = []
        reset = self.text_of("auto.offset.reset", str(CONSUMER.defaults["auto.offset.reset"]))
        if reset in _LATEST:
            warnings.append(
                f"kafka.properties.auto.offset.reset={reset}: records that were written before the bridge "
                "first saw a partition are passed over; earliest (the bridge's default) loses none"
            )
        warnings += [
            f"kafka.properties.{name}: not a property of librdkafka 2.16; "
            "the client refuses to start if it does not know it either"
            for name in self.properties
            if name.removesuffix(FILE_SUFFIX) not in librdkafka.KNOWN
        ]
        return warnings


def _mask(name: str, value: Any) -> Any:
    if name.endswith(FILE_SUFFIX) or not librdkafka.is_secret(name) or isinstance(value, SecretStr):
        return value
    return SecretStr(str(value))


def _property_problem(name: str, value: object, properties: Mapping[Any, Any]) -> str | None:
    """Return what is wrong with one of the properties, and what to do about it. Never shows a value."""
    base = name.removesuffix(FILE_SUFFIX)
    if reason := REFUSED.get(base):
        return f"not to be set here: {reason}"
    if base.endswith("_cb"):
        return "a callback can't be configured; leave it out"
    if isinstance(value, Mapping):
        return (
            f"must be one value; write dotted names on one line, such as {name}.{next(iter(value), 'x')}: …"
        )
    if value is None or value == "":
        return "has no value; give one, or leave the key out"
    if not isinstance(value, str | int | float | SecretStr):
        return "must be text, a number, true or false"
    if base != name and base in properties:
        return f"is given twice, here and as {base}; leave one of them out"
    if base in librdkafka.CLASSIC_ONLY and str(properties.get("group.protocol", "")).lower() == "consumer":
        return (
            "the client does not take it with group.protocol=consumer, where the broker decides; "
            "leave one of them out"
        )
    if base == "auto.commit.interval.ms" and str(value) == "0":
        return "0 would commit at the end only; give milliseconds, such as 500"
    if base not in librdkafka.KNOWN and (near := get_close_matches(base, librdkafka.KNOWN, 1, 0.75)):
        return f"no such property of librdkafka; did you mean {near[0]}?"
    return None
