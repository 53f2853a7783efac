"""The client of a running bridge's admin port, for the command line: fetch the status, order a skip."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import httpx

STATUS_TIMEOUT_S = 5.0
SKIP_TIMEOUT_S = 60.0
"""The bridge itself responds within 30 s, even while the record has a request under way."""


class NoResponse(Exception):
    """There was no response, or not one of a bridge. The text says from which address, and what came."""


class OrderRefused(Exception):
    """The order can't be sent: the address is wrong, a text is not UTF-8, or the bridge takes no orders."""


@dataclass(frozen=True, slots=True)
class SkipOrder:
    """The order to move one record to its dead-letter topic without asking AEP again."""

    topic: str
    partition: int
    offset: int
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class SkipResult:
    """The bridge's response to an order."""

    moved: bool
    text: str
    wrong_order: bool
    """Whether the order or its token is wrong. Then it must be corrected before it is sent again."""


def fetch_status(address: str) -> dict[str, Any]:
    """Return the status of a bridge. Raises `NoResponse`."""
    try:
        response = httpx.get(f"{address.rstrip('/')}/api/status", timeout=STATUS_TIMEOUT_S)
        status = response.json() if response.status_code == 200 else None
    except httpx.HTTPError as error:
        raise NoResponse(str(error) or type(error).__name__) from None
    except ValueError:
        status = None
    if not isinstance(status, dict) or "partitions" not in status or "summary" not in status:
        raise NoResponse(f"answered {response.status_code}, but not as a bridge does")
    return status


def order_skip(address: str, token: str, order: SkipOrder) -> SkipResult:
    """Order a bridge to skip a record. Raises `OrderRefused`, `NoResponse`."""
    try:
        response = httpx.post(
            f"{address.rstrip('/')}/api/skip",
            json=asdict(order),
            headers={"authorization": f"Bearer {token}"},
            timeout=SKIP_TIMEOUT_S,
        )
    except UnicodeEncodeError:
        raise OrderRefused("--why and --who must be text in UTF-8") from None
    except httpx.InvalidURL as error:
        raise OrderRefused(f"{address}: {error}; write it like http://10.0.0.7:8080") from None
    except httpx.HTTPError as error:
        text = error or type(error).__name__
        raise NoResponse(f"{address}: {text}; is this the admin port of a running bridge?") from None
    status = response.status_code
    if status == 404:
        raise OrderRefused(
            f"{address}: this bridge takes no orders; set admin.token_file in its configuration"
        )
    try:
        document = dict(response.json())
    except (ValueError, TypeError):
        raise NoResponse(f"{address}: answered {status}, but not as a bridge does") from None
    text = document.get("result") or document.get("error") or f"status {status}"
    return SkipResult(bool(document.get("moved")), str(text), wrong_order=status in {400, 401})
