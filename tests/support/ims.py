"""An identity service (IMS) without a network, a clock that is set by hand, and a token source of both."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs

import httpx

from bridge.http.oauth import TokenSource

SECRET = "p8e-/Very+Secret="


class Ims:
    """Gives `token-1`, `token-2` and so on; `respond` can be replaced."""

    def __init__(self) -> None:
        self.forms: list[dict[str, list[str]]] = []
        """The form of each request."""
        self.respond: Callable[[httpx.Request], httpx.Response] = lambda _: self.token()

    def token(self, **changes: object) -> httpx.Response:
        """Return a token; `changes` are other fields of the response, None leaves one out."""
        fields = {
            "access_token": f"token-{len(self.forms)}",
            "token_type": "bearer",
            "expires_in": 86399,
            **changes,
        }
        return httpx.Response(200, json={name: value for name, value in fields.items() if value is not None})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.forms.append(parse_qs(request.content.decode()))
        return self.respond(request)


class ManualClock:
    """Monotonic seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def token_source(
    ims: Ims, clock: Callable[[], float], secret: Callable[[], str] = lambda: SECRET
) -> TokenSource:
    """Return a token source whose back-off is the longest that chance allows."""
    return TokenSource(
        url="https://ims.example/ims/token/v3",
        client_id="me",
        secret=secret,
        scope="openid,AdobeID",
        client=httpx.Client(transport=httpx.MockTransport(ims)),
        clock=clock,
        chance=lambda: 1.0,
    )
