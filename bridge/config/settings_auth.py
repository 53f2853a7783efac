"""The section `auth`: the OAuth credentials of an inlet."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, WithJsonSchema, model_validator

from bridge.config.problems import InvalidSettings, Problem
from bridge.config.secret_files import read_secret, unmask
from bridge.config.section import FilePath, Section, Text

DEFAULT_SCOPE = "openid,AdobeID,read_organizations,additional_info.projectedProductContext,session"
_TOKEN_URL_SCHEMA = WithJsonSchema(
    {"type": "string", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+([/?#].*)?$"}
)


def _token_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise ValueError("must be an http:// or https:// URL, without a user or a password in it")
    return text


class AuthSettings(Section):
    """OAuth server-to-server credentials of an Adobe project.

    Exactly one of `client_secret` and `client_secret_file` is required.
    """

    token_url: Annotated[str, AfterValidator(_token_url), _TOKEN_URL_SCHEMA]
    """The URL that tokens are requested from, such as https://ims-na1.adobelogin.com/ims/token/v3."""
    client_id: Text
    """The project's client id."""
    client_secret: SecretStr | None = Field(default=None, min_length=1)
    """The project's client secret. It is safer in a file."""
    client_secret_file: FilePath | None = None
    """File with the client secret. It is read again for each token, so that a rotation needs no restart."""
    scope: Text = DEFAULT_SCOPE
    """The scopes to request, separated by commas."""
    refresh_ahead_s: float = Field(default=600, ge=0, le=43_200)
    """How many seconds before a token expires the next one is requested."""

    @model_validator(mode="after")
    def _has_one_secret(self) -> Self:
        if (self.client_secret is None) == (self.client_secret_file is None):
            text = "needs exactly one of client_secret and client_secret_file; the file is the better place"
            raise InvalidSettings([Problem((), text)])
        return self

    def secret(self) -> str:
        """Return the client secret, read now if it is in a file. Raises OSError."""
        if self.client_secret_file is not None:
            return read_secret(self.client_secret_file)
        return str(unmask(self.client_secret))
