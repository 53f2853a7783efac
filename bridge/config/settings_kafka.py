"""The section `kafka`: where the brokers are, and librdkafka's properties, each given to the clients that know it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, WithJsonSchema, field_validator

from bridge.config import librdkafka
from bridge.config.kafka_clients import ADMIN, CONSUMER, PRODUCER, REFUSED, Value
from bridge.config.sections import OrEmpty, Problem, Section, Text, Wrong, revealed, secret_of

FILE = "_file"
"""`sasl.password_file: /path` stands for `sasl.password` with the file's content."""
_SERVER = re.compile(r"([A-Za-z_]+://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_SERVERS_SCHEMA = WithJsonSchema(
    {"type": "string", "pattern": rf"^\s*{_SERVER.pattern}(\s*,\s*{_SERVER.pattern})*\s*$"}
)
_PROPERTIES_SCHEMA = WithJsonSchema(
    {
        "type": "object",
        "propertyNames": {"not": {"enum": [name + ending for name in REFUSED for ending in ("", FILE)]}},
        "additionalProperties": {"type": ["string", "number", "boolean"], "minLength": 1},
    }
)
_LATEST = ("latest", "largest", "end")


class KafkaSettings(Section):
    """Where to read from, and how."""

    bootstrap_servers: Annotated[Text, _SERVERS_SCHEMA]
    """Brokers to ask first: `host:port`, several with commas."""
    group_id: Text = "aep-bridge"
    """The consumer group; replicas of one bridge share it, two bridges don't."""
    properties: Annotated[dict[str, Value | SecretStr], OrEmpty, _PROPERTIES_SCHEMA] = Field(default={})
    """Any property of librdkafka: `security.protocol`, `sasl.*`, `ssl.*`, `group.protocol`, ….
    A name with `_file` behind it (`sasl.password_file`) takes the value from a file, once, when the clients are made: restart after a rotation.
    Secrets are masked wherever they could be shown."""

    @field_validator("bootstrap_servers")
    @classmethod
    def _servers(cls, given: str) -> str:
        servers = [server.strip() for server in given.split(",")]
        if not all(_SERVER.fullmatch(server) for server in servers):
            raise ValueError(
                "must be host:port, several separated by commas, such as kafka-0:9092,kafka-1:9092"
            )
        return ",".join(servers)

    @field_validator("properties", mode="before")
    @classmethod
    def _properties(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        problems = [
            Problem((str(name),), text)
            for name, value in given.items()
            if (text := _wrong(str(name), value, given))
        ]
        if problems:
            raise Wrong(problems)
        return {
            name: SecretStr(str(value))
            if not name.endswith(FILE) and librdkafka.is_secret(name) and not isinstance(value, SecretStr)
            else value
            for name, value in given.items()
        }

    def resolved_properties(self) -> dict[str, Value]:
        """The user's properties with their secrets, those in files read now. Raises OSError. For the clients only: nothing is masked."""
        return {
            name.removesuffix(FILE): secret_of(Path(str(value))) if name.endswith(FILE) else revealed(value)
            for name, value in self.properties.items()
        }

    def consumer_properties(self) -> dict[str, Value]:
        """Everything a consumer is made with, secrets included. Raises OSError for a secret's file."""
        return CONSUMER.complete({**self._client_properties(), "group.id": self.group_id})

    def producer_properties(self) -> dict[str, Value]:
        """Everything a producer of dead letters is made with, secrets included. Raises OSError for a secret's file."""
        return PRODUCER.complete(self._client_properties())

    def admin_properties(self) -> dict[str, Value]:
        """Everything an admin client is made with, secrets included. Raises OSError for a secret's file."""
        return ADMIN.complete(self._client_properties())

    def _client_properties(self) -> dict[str, Value]:
        return {**self.resolved_properties(), "bootstrap.servers": self.bootstrap_servers}

    def text_of(self, name: str, default: str) -> str:
        """A property that holds no secret, as text, under whichever of its names it was given."""
        return next(
            (
                str(value)
                for given, value in self.properties.items()
                if librdkafka.canonical(given) == librdkafka.canonical(name)
            ),
            default,
        )

    def number(self, name: str, default: int) -> int:
        """A property that is a whole number; the default where it is none, which librdkafka will refuse by itself."""
        text = self.text_of(name, str(default))
        return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else default

    @property
    def max_poll_interval_s(self) -> float:
        """Seconds without a poll after which the group takes our partitions away."""
        return self.number("max.poll.interval.ms", librdkafka.OWN_DEFAULTS["max.poll.interval.ms"]) / 1000

    @property
    def warnings(self) -> list[str]:
        """What is allowed, and seldom meant."""
        found = []
        reset = self.text_of("auto.offset.reset", "earliest")
        if reset in _LATEST:
            found.append(
                f"kafka.properties.auto.offset.reset={reset}: records that were written before the bridge first saw a partition are passed over; "
                "earliest (the bridge's default) loses none"
            )
        found += [
            f"kafka.properties.{name}: not a property of librdkafka 2.16; the client refuses to start if it does not know it either"
            for name in self.properties
            if name.removesuffix(FILE) not in librdkafka.KNOWN
        ]
        return found


def _wrong(name: str, value: object, given: Mapping[Any, Any]) -> str | None:
    """What is wrong with one property, and what to do; None if nothing is. Never shows a value."""
    base = name.removesuffix(FILE)
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
    if base != name and base in given:
        return f"given twice, here and as {base}; leave one of them out"
    if base in librdkafka.CLASSIC_ONLY and str(given.get("group.protocol", "")).lower() == "consumer":
        return "the client does not take it with group.protocol=consumer, where the broker decides; leave one of them out"
    if base == "auto.commit.interval.ms" and str(value) == "0":
        return "0 would commit at the end only; give milliseconds, such as 500"
    if base not in librdkafka.KNOWN and (near := get_close_matches(base, librdkafka.KNOWN, 1, 0.75)):
        return f"no such property of librdkafka; did you mean {near[0]}?"
    return None
