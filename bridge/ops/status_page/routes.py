"""The partitions of a status, each with the route that its records take, and the routes with what is theirs
in sum. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bridge.codec.routes import Route, is_regex, routes_by_topic


def routed(
    routes: Sequence[Route], partitions: Iterable[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every route, in the mapping's order, those without a partition here too; and the partitions, with
    `route` added.

    A route's `lag` is None while the end of one of its partitions is not known.
    """
    route_of = routes_by_topic(routes)
    entries = [
        {**entry, "route": route.name if (route := route_of(entry["topic"])) else None}
        for entry in partitions
    ]
    return [
        _summed(route, [entry for entry in entries if entry["route"] == route.name]) for route in routes
    ], entries


def _summed(route: Route, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    lags = [entry["lag"] for entry in entries]
    return {
        "route": route.name,
        "format": str(route.format),
        "inlet": route.inlet,
        "dataset_id": route.dataset_id,
        "dead_letter_topic": route.dead_letter_topic("<topic>" if is_regex(route.name) else route.name),
        "partitions": len(entries),
        "lag": None if any(lag is None for lag in lags) else sum(lags),
        "oldest_unsettled_s": max((entry["oldest_unsettled_s"] for entry in entries), default=0.0),
        "waiting": sum(1 for entry in entries if entry["waits"] or entry["paused"]),
    }
