"""Routes in a status: the route of each partition, and the totals of each route. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bridge.codec.routes import Route, is_regex, routes_by_topic


def add_route_names(routes: Sequence[Route], partitions: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the partitions with the name of the `route` that their records take; None if there is none."""
    route_of = routes_by_topic(routes)
    return [
        {**entry, "route": route.name if (route := route_of(entry["topic"])) else None}
        for entry in partitions
    ]


def route_totals(routes: Sequence[Route], partitions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the totals of every route over its partitions, in the order of the mapping.

    `partitions` have the name of their route. A route without partitions on this replica is there too. A
    route's `lag` is None while the end of one of its partitions is not known.
    """
    return [
        _totals(route, [entry for entry in partitions if entry["route"] == route.name]) for route in routes
    ]


def _totals(route: Route, partitions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    lags = [entry["lag"] for entry in partitions]
    return {
        "route": route.name,
        "format": str(route.format),
        "inlet": route.inlet,
        "dataset_id": route.dataset_id,
        "dead_letter_topic": route.dead_letter_topic("<topic>" if is_regex(route.name) else route.name),
        "partitions": len(partitions),
        "lag": None if any(lag is None for lag in lags) else sum(lags),
        "oldest_unsettled_s": max((entry["oldest_unsettled_s"] for entry in partitions), default=0.0),
        "waiting": sum(1 for entry in partitions if entry["waits"] or entry["paused"]),
    }
