"""Asks a running bridge over its admin port: for its status, or to skip a record. For the command line."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import httpx

STATUS_TIMEOUT_S = 5.0
SKIP_TIMEOUT_S = 60.0
"""The bridge itself answers within 30 s: while a request with the record is under way, that it is ordered."""


class NoAnswer(Exception):
    """Nobody answered, or not as a bridge does. The text says which address and what came."""


class OrderRefused(Exception):
    """The order can't be given as it is: a wrong address, text that is not UTF-8, a
    bridge that takes no orders.
    """


@dataclass(frozen=True, slots=True)
class SkipOrder:
    """To move one record to its dead-letter topic, whatever AEP says of it."""

    topic: str
    partition: int
    offset: int
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class SkipResult:
    """What the bridge says to an order."""

    moved: bool
    text: str
    wrong_order: bool
    """The order or its token is wrong: to be corrected, not to be tried again."""


def fetch_status(address: str) -> dict[str, Any]:
    """Return what a bridge says of itself. Raises `NoAnswer`."""
    try:
        response = httpx.get(f"{address.rstrip('/')}/api/status", timeout=STATUS_TIMEOUT_S)
        status = response.json() if response.status_code == 200 else None
    except httpx.HTTPError as error:
        raise NoAnswer(str(error) or type(error).__name__) from None
    except ValueError:
        status = None
    if not isinstance(status, dict) or "partitions" not in status or "summary" not in status:
        raise NoAnswer(f"answered {response.status_code}, but not as a bridge does")
    return status


def order_skip(address: str, token: str, order: SkipOrder) -> SkipResult:
    """Order a bridge to skip a record. Raises `OrderRefused`, `NoAnswer`."""
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
        raise NoAnswer(f"{address}: {text}; is this the admin port of a running bridge?") from None
    status = response.status_code
    if status == 404:
        raise OrderRefused(
            f"{address}: this bridge takes no orders; set admin.token_file in its configuration"
        )
    try:
        answer = dict(response.json())
    except (ValueError, TypeError):
        raise NoAnswer(f"{address}: answered {status}, but not as a bridge does") from None
    text = answer.get("result") or answer.get("error") or f"status {status}"
    return SkipResult(bool(answer.get("moved")), str(text), wrong_order=status in {400, 401})
