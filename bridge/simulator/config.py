"""What the local AEP is told to be: addresses, credentials, limits, and the shapes of its answers. Values only."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

DEFAULT_INLET = "0123456789abcdef" * 4
DEFAULT_RAW_INLET = "fedcba9876543210" * 4
DEFAULT_ORG = "0DD379AC5B117F6E0A494106@AdobeOrg"
DEFAULT_PORT = 9299
"""The port of `aep-bridge simulate`; in-process simulators take a free one."""


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the multi-status answer is spelled. Each value was seen in the wild, or is one that a client must survive."""

    failure: Literal["statusCode", "status", "status_uuid", "statusCode_batch", "string", "mixed"] = (
        "statusCode"
    )
    """`statusCode` and `status` carry no xactionId; `status_uuid` has `<uuid>-<index>`, `statusCode_batch` has `<batchId>:<index>`;
    `string` is a status in quotes; `mixed` draws one of these per entry."""
    success: Literal["batch", "uuid", "opaque", "status", "silent"] = "batch"
    """`<batchId>:<index>`, `<uuid>-<index>`, an id without an index, `{"status":200}` without an id, or `{}`."""
    order: Literal["kept", "reversed", "shuffled"] = "kept"
    drop: int = 0
    """Entries left out of the answer, drawn at random."""
    extra: int = 0
    """Entries too many, with suffixes past the end."""
    status: int = 207
    """The HTTP status of a multi-status answer; 200 exists in the wild."""
    inlet_key: str = "inletId"
    """`inletID` exists in the wild."""
    big_numbers: bool = False
    """`receivedTimeMs` and one unknown field hold integers past 64 bits."""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set, by Python or by `PUT /__admin/config`. Times end in their unit; 0 turns a limit off."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free port. Host, port and TLS are read at start."""
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_client_ca: str | None = None
    """With it a client must show a certificate of this authority (mTLS)."""

    inlets: dict[str, Literal["xdm", "raw"]] = msgspec.field(
        default_factory=lambda: {DEFAULT_INLET: "xdm", DEFAULT_RAW_INLET: "raw"}
    )
    """Inlet id → what it takes: enveloped messages, or bare objects with an `x-adobe-flow-id` header."""
    org: str = DEFAULT_ORG
    missing_org: Literal["refuse", "accept"] = "refuse"
    """Adobe's pages contradict each other here."""
    datasets: dict[str, str] = {}
    """Dataset id → schema id. Empty: any dataset, any schema."""

    require_auth: bool = False
    client_id: str = "bridge"
    client_secrets: tuple[str, ...] = ("secret",)
    """Several are valid at once during a rotation."""
    token_ttl_s: float = 86399
    tokens_per_min: int = 0
    """Token requests over this are answered 429."""

    max_bytes: int = 1_000_000
    """The largest request body, wrapper included; a larger one is answered 413."""
    accept_gzip: bool = False
    """Without it a compressed body is answered 415. The size limit is applied to what was sent and to what it unpacks to."""
    requests_per_s: float = 0
    messages_per_s: float = 0
    retry_after_s: int | None = None
    """With it every 429 of the rate limit carries `Retry-After`."""
    sync_per_min: int = 60
    """Requests with `syncValidation=true`."""
    latency_ms: float = 0
    jitter_ms: float = 0
    """Up to so much more, drawn evenly. Messages are accepted before the wait: a client that leaves meanwhile has delivered."""
    idle_s: float = 0
    """Connections without a request for so long are closed, unannounced."""
    clock_skew_s: float = 0
    """Added to the `Date` header and to dates in `Retry-After`."""

    shape: Shape = Shape()
    seed: int = 0
    """Of every draw: shapes, jitter."""
    fast: bool = False
    """Only counts messages: no validation, no ids, no per-message faults. For benchmarks."""
    keep_bytes: bool = False
    """Keeps each accepted message as it was sent, for byte-for-byte tests."""
    order_key: str | None = None
    """A top-level field of the entity; ids are kept in order of acceptance for each of its values. Empty: one order for all."""


def changed(config: Config, changes: dict[str, Any]) -> Config:
    """The configuration with some keys replaced; a nested `shape` is merged. Raises `ValueError` for an unknown key or a wrong type."""
    merged: dict[str, Any] = msgspec.to_builtins(config)
    for key, value in changes.items():
        if key == "shape" and isinstance(value, dict):
            merged["shape"] = {**merged["shape"], **value}
        else:
            merged[key] = msgspec.to_builtins(value)
    return msgspec.convert(merged, Config)
