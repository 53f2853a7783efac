"""What an operator sees: the page at `GET /` of the admin port, and the sentence that says how things
stand. Read only.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from bridge.ops.status_page.routes import routed
from bridge.ops.status_page.summary import summary

__all__ = ["page", "routed", "summary"]


@cache
def page() -> bytes:
    """The page: one HTML file, which asks `/api/status` for everything that it shows."""
    return files("bridge.ops.status_page").joinpath("page.html").read_bytes()
