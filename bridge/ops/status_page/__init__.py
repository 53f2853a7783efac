"""The status page at `GET /` of the admin port, and the summary of a status in one sentence. Read only."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from bridge.ops.status_page.routes import add_route_names, route_totals
from bridge.ops.status_page.summary import summary

__all__ = ["add_route_names", "page", "route_totals", "summary"]


@cache
def page() -> bytes:
    """Return the page: one HTML file, which fetches everything that it shows from `/api/status`."""
    return files("bridge.ops.status_page").joinpath("page.html").read_bytes()
