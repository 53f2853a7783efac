"""The headers that every response of the admin port has, so that no browser does more than show it."""

from __future__ import annotations

_CONTENT_SECURITY_POLICY = (
    "default-src 'none'",
    "style-src 'unsafe-inline'",
    "script-src 'unsafe-inline'",
    "connect-src 'self'",
    "img-src data:",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
)
"""The status page has its script and style in it, and asks this port alone for the status."""

SAFE_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "; ".join(_CONTENT_SECURITY_POLICY),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
