"""The section `aep`: an inlet's address, headers, certificates and proxy, and a topic's changes to them."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, WithJsonSchema, field_validator, model_validator

from bridge.config.http_headers import HEADERS_SCHEMA, header_from, header_problem, is_secret_header
from bridge.config.problems import InvalidSettings, Problem
from bridge.config.secret_files import FILE_SUFFIX, read_secret, unmask
from bridge.config.section import FilePath, OrEmpty, Section, Text
from bridge.config.settings_auth import AuthSettings

_INLET_URL = re.compile(
    r"(https?://[^/?#@\s]+(?:/[^/?#\s]+)*?)/collection/(?:batch/)?([A-Za-z0-9._~-]+)/?(?:[?#]\S*)?"
)


def _inlet_url(text: str) -> str:
    url = _INLET_URL.fullmatch(text.strip())
    if url is None:
        raise ValueError(
            "must be the streaming endpoint of an HTTP API source, "
            "https://dcs.adobedc.net/collection/<inletId>, "
            "with the inlet's own id and no user or password in it"
        )
    return f"{url[1]}/collection/{url[2]}"


def _proxy_url(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        supported = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        supported = False
    if text and not supported:
        raise ValueError(
            "must be http://[user:password@]host:port (other kinds of proxy are not supported), "
            "or empty for none"
        )
    return value


# The JSON schema states as much as it can, for editors and the chart; the validators give better messages.
InletUrl: TypeAlias = Annotated[
    str,
    AfterValidator(_inlet_url),
    WithJsonSchema({"type": "string", "pattern": rf"^\s*{_INLET_URL.pattern}\s*$"}),
]


class _Inlet(Section):
    """The keys of an inlet, none of which is required yet."""

    inlet_url: InletUrl | None = None
    """The streaming endpoint, `https://dcs.adobedc.net/collection/<inletId>`.
    The batch endpoint's URL is understood too."""
    ims_org_id: Text | None = None
    """The organisation, `…@AdobeOrg`. Required for topics of format `entity`."""
    headers: Annotated[dict[str, str | SecretStr], OrEmpty, HEADERS_SCHEMA] = Field(default={})
    """Headers of every request: `x-adobe-flow-id`, `x-sandbox-name`, ….
    With `_file` behind its name a header takes its value from a file, which is read again when it changes.
    Values are masked wherever they could be shown, except those of names that are known to hold no secret,
    such as these."""
    auth: AuthSettings | None = None
    """Credentials. Leave it out for an inlet without authentication."""
    proxy_url: Annotated[SecretStr, AfterValidator(_proxy_url)] | None = None
    """HTTP proxy, `http://[user:password@]host:port`; empty for none.
    Without this key, HTTPS_PROXY and NO_PROXY apply."""
    proxy_url_file: FilePath | None = None
    """File with the proxy's URL. It is read again when it changes."""
    ca_file: FilePath | None = None
    """PEM file with the certificate authorities to trust instead of the usual ones."""
    client_cert_file: FilePath | None = None
    """PEM file with a client certificate."""
    client_key_file: FilePath | None = None
    """PEM file with the client certificate's key, if that is not in the same file."""
    max_messages_per_s: float | None = Field(default=None, gt=0)
    """Messages a second that the organisation may send, all replicas together.
    Each replica uses the share of it that its partitions are of all partitions.
    Topics with inlets of their own share it too, each inlet by its topics' partitions; an inlet that sets
    this key itself has that rate for itself."""

    @field_validator("headers", mode="before")
    @classmethod
    def _check_and_mask_headers(cls, headers: Any) -> Any:
        if not isinstance(headers, Mapping):
            return headers
        texts = {str(name): header_problem(str(name), value, headers) for name, value in headers.items()}
        if problems := [Problem((name,), text) for name, text in texts.items() if text is not None]:
            raise InvalidSettings(problems)
        return {
            name: SecretStr(value) if is_secret_header(name) and isinstance(value, str) else value
            for name, value in headers.items()
        }

    def problems(self) -> Iterator[Problem]:
        """Yield what does not fit together."""
        if self.proxy_url is not None and self.proxy_url_file is not None:
            text = "is given twice, here and as proxy_url_file; leave one of them out"
            yield Problem(("proxy_url",), text)
        authorization = [name for name in self.headers if _base(name) == "authorization"]
        if self.auth is not None and authorization:
            text = "auth sets this header; leave one of them out"
            yield Problem(("headers", authorization[0]), text)


class AepOverrides(_Inlet):
    """The keys in which a topic's inlet differs from the default one.

    `headers` are merged, everything else is replaced; `auth: null` means no authentication.
    """


class AepSettings(_Inlet):
    """The default inlet; a topic may override any of it."""

    inlet_url: InletUrl
    """The streaming endpoint, `https://dcs.adobedc.net/collection/<inletId>`.
    The batch endpoint's URL is understood too."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problems := [*self.problems()]:
            raise InvalidSettings(problems)
        return self

    def problems(self) -> Iterator[Problem]:
        """Yield what does not fit together in a complete inlet."""
        yield from super().problems()
        if self.client_key_file is not None and self.client_cert_file is None:
            yield Problem(("client_key_file",), "is the key of no certificate; give client_cert_file too")

    def with_overrides(self, overrides: AepOverrides | None) -> AepSettings:
        """Return the inlet with a topic's keys in place of its own. It is not checked: see `problems`."""
        if overrides is None:
            return self
        changes: dict[str, Any] = {name: getattr(overrides, name) for name in overrides.model_fields_set}
        if changes.keys() & {"proxy_url", "proxy_url_file"}:
            changes = {"proxy_url": None, "proxy_url_file": None} | changes
        if "inlet_url" in changes and changes["inlet_url"] is None:
            del changes["inlet_url"]
        if "headers" in changes:
            replaced = {_base(name) for name in overrides.headers}
            kept = {name: value for name, value in self.headers.items() if _base(name) not in replaced}
            changes["headers"] = kept | overrides.headers
        return self.model_copy(update=changes)

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
        """A hashable value that is the same for equal inlets. Its text shows no secret."""
        headers = tuple(sorted(self.headers.items(), key=lambda item: item[0].lower()))
        values = {**dict(self), "headers": headers}
        return tuple(values[name] for name in sorted(values))

    @property
    def header_files(self) -> list[Path]:
        """The files that headers come from."""
        return [Path(str(value)) for name, value in self.headers.items() if name.endswith(FILE_SUFFIX)]

    def header_values(self) -> dict[str, str]:
        """Return the headers to send, secrets included; those in files are read now.

        Raises OSError, and ValueError for a value that no header can have.
        """
        return {
            name.removesuffix(FILE_SUFFIX): (
                header_from(Path(str(value))) if name.endswith(FILE_SUFFIX) else unmask(value)
            )
            for name, value in self.headers.items()
        }

    def proxy(self) -> str | None:
        """Return the proxy's URL, password included, read now if it is in a file.

        "" means no proxy, None the environment's. Raises OSError, ValueError.
        """
        if self.proxy_url_file is not None:
            return str(unmask(_proxy_url(SecretStr(read_secret(self.proxy_url_file)))))
        return None if self.proxy_url is None else self.proxy_url.get_secret_value()


def inlet_of(default: AepSettings | None, overrides: AepOverrides | None) -> AepSettings:
    """Return a topic's inlet: the default one, if there is one, with the topic's own keys over it."""
    return (default or AepSettings.model_construct(inlet_url="")).with_overrides(overrides)


def _base(header: str) -> str:
    """Return the header that a key is about: `Authorization` and `authorization_file` are one."""
    return header.removesuffix(FILE_SUFFIX).lower()
