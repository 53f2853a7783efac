"""The configuration of the local AEP: addresses, credentials, limits, and the shape of its responses."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

DEFAULT_INLET = "0123456789abcdef" * 4
DEFAULT_RAW_INLET = "fedcba9876543210" * 4
DEFAULT_ORG = "0DD379AC5B117F6E0A494106@AdobeOrg"
DEFAULT_PORT = 9299
"""The port of `aep-bridge simulate`. A simulator inside a process takes a free one."""


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a multi-status response is spelled. Clients meet each of these, or must survive it."""

    failure: Literal["statusCode", "status", "status_uuid", "statusCode_batch", "string", "mixed"] = (
        "statusCode"
    )
    """`statusCode` and `status` carry no xactionId; `status_uuid` has `<uuid>-<index>`, `statusCode_batch`
    has `<batchId>:<index>`; `string` is a status in quotes; `mixed` draws one of these for each entry."""
    success: Literal["batch", "uuid", "opaque", "status", "silent"] = "batch"
    """`<batchId>:<index>`, `<uuid>-<index>`, an id without an index, `{"status":200}` alone, or `{}`."""
    order: Literal["kept", "reversed", "shuffled"] = "kept"
    drop: int = 0
    """How many entries are missing, drawn at random."""
    extra: int = 0
    """How many entries are too many, with indexes past the end."""
    status: int = 207
    """The HTTP status of a multi-status response; 200 occurs in production."""
    inlet_key: str = "inletId"
    """`inletID` occurs in production."""
    big_numbers: bool = False
    """`receivedTimeMs` and one unknown field hold integers beyond 64 bits."""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set, from Python or with `PUT /__admin/config`. A limit of 0 is no limit."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free port. Host, port and TLS are read at start."""
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_client_ca: str | None = None
    """A client must show a certificate of this authority (mTLS)."""

    inlets: dict[str, Literal["xdm", "raw"]] = msgspec.field(
        default_factory=lambda: {DEFAULT_INLET: "xdm", DEFAULT_RAW_INLET: "raw"}
    )
    """Inlet id → what it takes: enveloped messages, or bare objects with an `x-adobe-flow-id` header."""
    org: str = DEFAULT_ORG
    missing_org: Literal["refuse", "accept"] = "refuse"
    """What becomes of a message that names no organisation: Adobe's pages contradict each other."""
    datasets: dict[str, str] = {}
    """Dataset id → schema id. If it is empty, any dataset and any schema is accepted."""

    require_auth: bool = False
    client_id: str = "bridge"
    client_secrets: tuple[str, ...] = ("secret",)
    """Several are valid at once during a rotation."""
    token_ttl_s: float = 86399
    tokens_per_min: int = 0
    """More token requests are refused with 429."""

    max_bytes: int = 1_000_000
    """The largest request body; a larger one is refused with 413."""
    accept_gzip: bool = False
    """Otherwise a compressed body is refused with 415. `max_bytes` holds for the body before and after."""
    requests_per_s: float = 0
    messages_per_s: float = 0
    retry_after_s: int | None = None
    """Every 429 of a rate limit carries this `Retry-After`."""
    sync_per_min: int = 60
    """Requests with `syncValidation=true`."""
    latency_ms: float = 0
    jitter_ms: float = 0
    """Up to so much more latency, drawn evenly. Messages are accepted before the wait, so a client that
    gives up meanwhile has delivered them."""
    idle_s: float = 0
    """A connection without a request for so long is closed without notice."""
    clock_skew_s: float = 0
    """Added to the `Date` header and to dates in `Retry-After`."""

    shape: Shape = Shape()
    seed: int = 0
    """For every random choice: shapes and jitter."""
    fast: bool = False
    """Only count messages, for benchmarks: no validation, no ids, no faults of single messages."""
    keep_bytes: bool = False
    """Keep each accepted message as it was sent, for tests that compare bytes."""
    order_key: str | None = None
    """A top-level field of the entity: ids are kept in the order of acceptance for each of its values. An
    empty text keeps one order for all."""


def changed(config: Config, changes: dict[str, Any]) -> Config:
    """Return the configuration with some keys replaced; a `shape` is merged into the present one.

    Raises `ValueError` for an unknown key or a wrong type.
    """
    merged: dict[str, Any] = msgspec.to_builtins(config)
    for key, value in changes.items():
        if key == "shape" and isinstance(value, dict):
            merged["shape"] = {**merged["shape"], **value}
        else:
            merged[key] = msgspec.to_builtins(value)
    return msgspec.convert(merged, Config)
