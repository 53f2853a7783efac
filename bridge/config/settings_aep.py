"""The sections `aep` and `topics`: inlets with their credentials, and which topic goes to which of them, as what."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    SecretStr,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict

from bridge.codec.routes import is_regex, matches
from bridge.config import topic_regex
from bridge.config.sections import FilePath, OrEmpty, Problem, Section, Text, Wrong, revealed, secret_of
from bridge.model import Format

FILE = "_file"
"""`authorization_file: /path` stands for the header `authorization` with the file's content."""
DEFAULT_SCOPE = "openid,AdobeID,read_organizations,additional_info.projectedProductContext,session"
_INLET = re.compile(
    r"(https?://[^/?#@\s]+(?:/[^/?#\s]+)*?)/collection/(?:batch/)?([A-Za-z0-9._~-]+)/?(?:[?#]\S*)?"
)
_HEADER = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN_HEADERS = frozenset(
    {
        "accept",
        "user-agent",
        "x-adobe-flow-id",
        "x-gw-ims-org-id",
        "x-request-id",
        "x-sandbox-id",
        "x-sandbox-name",
    }
)
"""Of any other name nobody knows what it holds, a mistyped `x-api-key` among them."""
_OURS = frozenset({"content-length", "transfer-encoding", "connection", "host"})
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


def is_secret_header(name: str) -> bool:
    """Whether a header's value must never be shown."""
    return not name.endswith(FILE) and name.lower().replace("_", "-") not in _SHOWN_HEADERS


def _inlet_url(given: str) -> str:
    found = _INLET.fullmatch(given.strip())
    if found is None:
        raise ValueError(
            "must be the streaming endpoint of an HTTP API source, https://dcs.adobedc.net/collection/<inletId>, "
            "with the inlet's own id and no user or password in it"
        )
    return f"{found[1]}/collection/{found[2]}"


def _url(given: str) -> str:
    parts = urlsplit(given)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise ValueError("must be an http:// or https:// URL, without a user or a password in it")
    return given


def _proxy(given: SecretStr) -> SecretStr:
    text = given.get_secret_value()
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        good = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if text and not good:
        raise ValueError(
            "must be http://[user:password@]host:port (other kinds of proxy are not supported), or empty for none"
        )
    return given


# The JSON schema says as much of this as it can, for editors and for the chart; the messages above say it better.
InletUrl: TypeAlias = Annotated[
    str,
    AfterValidator(_inlet_url),
    WithJsonSchema({"type": "string", "pattern": rf"^\s*{_INLET.pattern}\s*$"}),
]
_TOKEN_URL = WithJsonSchema({"type": "string", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+([/?#].*)?$"})
_HEADERS = WithJsonSchema(
    {
        "type": "object",
        "propertyNames": {"pattern": f"^{_HEADER.pattern}$"},
        "additionalProperties": {"type": ["string", "number", "boolean"], "minLength": 1},
    }
)
_TOPIC_SCHEMA = WithJsonSchema(
    {"type": "string", "pattern": rf"^(\^.*|{_TOPIC.pattern})$", "not": {"enum": [".", ".."]}}
)
_DEAD_LETTER_SCHEMA = WithJsonSchema(
    {"type": "string", "pattern": f"^{_TOPIC.pattern}$", "not": {"enum": [".", ".."]}}
)
_ENTITY_SCHEMA: JsonDict = {
    "if": {"properties": {"format": {"const": "entity"}}, "required": ["format"]},
    "then": {
        "properties": {name: {"type": "string"} for name in ("dataset_id", "schema_id")},
        "required": ["dataset_id", "schema_id"],
    },
}


class Auth(Section):
    """OAuth server-to-server credentials of an Adobe project. Exactly one of `client_secret` and `client_secret_file`."""

    token_url: Annotated[str, AfterValidator(_url), _TOKEN_URL]
    """Where tokens are got, such as https://ims-na1.adobelogin.com/ims/token/v3."""
    client_id: Text
    """The project's client id."""
    client_secret: SecretStr | None = Field(default=None, min_length=1)
    """The project's client secret. Better in a file."""
    client_secret_file: FilePath | None = None
    """File with the client secret; read anew for each token, so that a rotation needs no restart."""
    scope: Text = DEFAULT_SCOPE
    """Scopes to ask for, separated by commas."""
    refresh_ahead_s: float = Field(default=600, ge=0, le=43_200)
    """Seconds before a token's expiry at which the next one is fetched."""

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if (self.client_secret is None) == (self.client_secret_file is None):
            raise Wrong(
                [
                    Problem(
                        (),
                        "needs exactly one of client_secret and client_secret_file; the file is the better place",
                    )
                ]
            )
        return self

    def secret(self) -> str:
        """The client secret, read now if it is in a file. Raises OSError."""
        if self.client_secret_file is not None:
            return secret_of(self.client_secret_file)
        return str(revealed(self.client_secret))


class _Inlet(Section):
    """What an inlet is made of, none of it required yet."""

    inlet_url: InletUrl | None = None
    """The streaming endpoint, `https://dcs.adobedc.net/collection/<inletId>`; the batch endpoint's URL is understood too."""
    ims_org_id: Text | None = None
    """The organisation, `…@AdobeOrg`. Needed for topics of format `entity`."""
    headers: Annotated[dict[str, str | SecretStr], OrEmpty, _HEADERS] = Field(default={})
    """Headers of every request: `x-adobe-flow-id`, `x-sandbox-name`, …. A name with `_file` behind it takes the value from a file, read anew when that changes.
    Their values are masked wherever they could be shown, but for names that are known to hold no secret, such as these."""
    auth: Auth | None = None
    """Credentials; leave out for an inlet without authentication."""
    proxy_url: Annotated[SecretStr, AfterValidator(_proxy)] | None = None
    """HTTP proxy, `http://[user:password@]host:port`; empty for none. Without it, HTTPS_PROXY and NO_PROXY count."""
    proxy_url_file: FilePath | None = None
    """File with the proxy's URL, read anew when it changes."""
    ca_file: FilePath | None = None
    """PEM file with the certificate authorities to trust instead of the usual ones."""
    client_cert_file: FilePath | None = None
    """PEM file with a client certificate."""
    client_key_file: FilePath | None = None
    """PEM file with the client certificate's key, if that is not in the same file."""
    max_messages_per_s: float | None = Field(default=None, gt=0)
    """Messages a second that the organisation may send, all replicas together: each uses the share that its partitions are of all.
    Topics with inlets of their own share it too, each inlet by its topics' partitions; one that sets this itself has that rate for itself."""

    @field_validator("headers", mode="before")
    @classmethod
    def _headers(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        problems = [
            Problem((str(name),), text)
            for name, value in given.items()
            if (text := _wrong_header(str(name), value, given))
        ]
        if problems:
            raise Wrong(problems)
        return {
            name: SecretStr(value) if is_secret_header(name) and isinstance(value, str) else value
            for name, value in given.items()
        }

    def problems(self) -> Iterator[Problem]:
        """What does not fit together."""
        if self.proxy_url is not None and self.proxy_url_file is not None:
            yield Problem(("proxy_url",), "given twice, here and as proxy_url_file; leave one of them out")
        if self.auth is not None and (
            name := next(
                (name for name in self.headers if name.removesuffix(FILE).lower() == "authorization"), None
            )
        ):
            yield Problem(("headers", name), "auth sets this header; leave one of them out")


class AepOverrides(_Inlet):
    """What a topic's inlet has different from the default one. `headers` are merged, everything else is replaced; `auth: null` is none."""


class AepSettings(_Inlet):
    """The default inlet; a topic may override any of it."""

    inlet_url: InletUrl
    """The streaming endpoint, `https://dcs.adobedc.net/collection/<inletId>`; the batch endpoint's URL is understood too."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if found := [*self.problems()]:
            raise Wrong(found)
        return self

    def problems(self) -> Iterator[Problem]:
        """What does not fit together, in a complete inlet."""
        yield from super().problems()
        if self.client_key_file is not None and self.client_cert_file is None:
            yield Problem(("client_key_file",), "is the key of no certificate; give client_cert_file too")

    @classmethod
    def nowhere(cls) -> AepSettings:
        """What a topic's own inlet is laid over, where there is no default one."""
        return cls.model_construct(inlet_url="")

    def overridden(self, other: AepOverrides | None) -> AepSettings:
        """The inlet with a topic's own keys in place of it. Not checked again: see `problems`."""
        if other is None:
            return self
        changed: dict[str, Any] = {name: getattr(other, name) for name in other.model_fields_set}
        if changed.keys() & {"proxy_url", "proxy_url_file"}:
            changed = {"proxy_url": None, "proxy_url_file": None} | changed
        if "inlet_url" in changed and changed["inlet_url"] is None:
            del changed["inlet_url"]
        if "headers" in changed:
            names = {name.removesuffix(FILE).lower() for name in other.headers}
            changed["headers"] = {
                name: value
                for name, value in self.headers.items()
                if name.removesuffix(FILE).lower() not in names
            } | other.headers
        return self.model_copy(update=changed)

    @property
    def inlet_id(self) -> str:
        """The inlet's id, the last part of its URL."""
        return self.inlet_url.rpartition("/")[2]

    @property
    def single_url(self) -> str:
        """Where one message is sent."""
        return self.inlet_url

    @property
    def batch_url(self) -> str:
        """Where a batch of messages is sent."""
        base, _, inlet_id = self.inlet_url.rpartition("/")
        return f"{base}/batch/{inlet_id}"

    @property
    def identity(self) -> Hashable:
        """The same for equal inlets, and hashable; its text shows no secret."""
        values = {
            **dict(self),
            "headers": tuple(sorted(self.headers.items(), key=lambda item: item[0].lower())),
        }
        return tuple(values[name] for name in sorted(values))

    @property
    def header_files(self) -> list[Path]:
        """The files that headers come from."""
        return [Path(str(value)) for name, value in self.headers.items() if name.endswith(FILE)]

    def header_values(self) -> dict[str, str]:
        """The headers to send, secrets included, those in files read now. Raises OSError, and ValueError for what no header can have."""
        return {
            name.removesuffix(FILE): _header_of(Path(str(value))) if name.endswith(FILE) else revealed(value)
            for name, value in self.headers.items()
        }

    def proxy(self) -> str | None:
        """The proxy's URL, password included, read now if it is in a file; "" for none, None for the environment's. Raises OSError, ValueError."""
        if self.proxy_url_file is not None:
            return str(revealed(_proxy(SecretStr(secret_of(self.proxy_url_file)))))
        return None if self.proxy_url is None else self.proxy_url.get_secret_value()


class TopicSettings(Section):
    """One entry of the topic mapping."""

    model_config = ConfigDict(json_schema_extra=_ENTITY_SCHEMA)

    topic: Annotated[Text, _TOPIC_SCHEMA]
    """A topic's name, or a regex that begins with ^ (POSIX extended, as Kafka's C client understands it, and without classes such as `[[:digit:]]`).
    The first entry that matches wins."""
    format: Annotated[Format, Field(strict=False)] = Format.ENVELOPE
    """`envelope`: values are `{"header":…,"body":…}`; `entity`: values are bare XDM entities, wrapped by the bridge;
    `raw`: sent as they are (experimental: how raw objects batch is undocumented)."""
    dataset_id: Text | None = None
    """The dataset. `envelope`: used where the header has none; `entity`: required."""
    schema_id: Text | None = None
    """The XDM schema's URL. `entity`: required."""
    schema_version: Text = "1"
    """The XDM schema's version. `entity` only."""
    dead_letter_topic: Annotated[Text, _DEAD_LETTER_SCHEMA] | None = None
    """Where refused records go. Default: `<topic>.dlq`, for a regex that of each topic it matches."""
    aep: AepOverrides | None = None
    """This topic's own inlet: any key of `aep`, over the default."""

    @field_validator("topic")
    @classmethod
    def _legal(cls, given: str) -> str:
        if not is_regex(given):
            return _legal_name(given, "; a regex begins with ^")
        if text := topic_regex.differs(given):
            raise ValueError(text)
        try:
            re.compile(given)
        except re.error as error:
            raise ValueError(f"is not a regular expression: {error}; correct it") from None
        return given

    @field_validator("dead_letter_topic")
    @classmethod
    def _legal_dead_letter(cls, given: str | None) -> str | None:
        return None if given is None else _legal_name(given, "")

    @property
    def is_regex(self) -> bool:
        """Whether the entry stands for every topic that matches."""
        return is_regex(self.topic)

    def matches(self, topic: str) -> bool:
        """Return whether this entry alone stands for the topic; other entries and dead-letter topics are left aside."""
        return matches(self.topic, topic)

    def dead_letter_topic_for(self, topic: str) -> str:
        """Where the refused records of a topic that this entry matches go."""
        return self.dead_letter_topic or f"{topic}.dlq"


def _header_of(path: Path) -> str:
    text = secret_of(path)
    if not text.isascii() or not text.isprintable():
        raise ValueError(f"{path}: holds something other than printable ASCII, which no header can have")
    return text


def _legal_name(given: str, hint: str) -> str:
    if not _TOPIC.fullmatch(given) or given in {".", ".."}:
        raise ValueError(f"is not a name that Kafka allows: up to 249 of A-Z a-z 0-9 . _ -{hint}")
    return given


def _wrong_header(name: str, value: object, given: Mapping[Any, Any]) -> str | None:
    """What is wrong with one header, and what to do; None if nothing is. Never shows the value."""
    base = name.removesuffix(FILE)
    text = revealed(value)
    if not _HEADER.fullmatch(base):
        return "is not a header's name; use letters, digits and hyphens"
    if base.lower() in _OURS:
        return "is the bridge's own to set; leave it out"
    if base != name and base in given:
        return f"given twice, here and as {base}; leave one of them out"
    if not isinstance(text, str):
        return "must be text; put the value in quotes"
    if not text or not text.isascii() or not text.isprintable():
        return "must be printable ASCII, and not empty"
    if sum(str(other).lower() == name.lower() for other in given) > 1:
        return "given twice, in different case; leave one of them out"
    return None
