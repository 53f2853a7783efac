"""Which part of a quota, and of an organisation-wide rate, this member uses: the part of the partitions
that it has.

So members share both without asking each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from bridge.codec.routes import Route
from bridge.engine.inlet import Inlet
from bridge.model import TopicPartition


def share_rates(
    inlets: Mapping[str, Inlet],
    find_route: Callable[[str], Route | None],
    assigned: Iterable[TopicPartition],
    partition_counts: Mapping[str, int],
) -> None:
    """Give each inlet its share.

    `partition_counts` has the number of partitions of the mapped topics, where it is known. Inlets whose
    policy says `shares_rate` share one configured rate.
    """
    held = Counter(where.topic for where in assigned)
    mine, everyone = Counter[str](), Counter[str]()
    for topic in held.keys() | partition_counts.keys():
        if (route := find_route(topic)) is not None:
            mine[route.inlet] += held[topic]
            everyone[route.inlet] += partition_counts.get(topic, 0) or held[topic]
    sharing = [name for name, inlet in inlets.items() if inlet.policy.shares_rate]
    for name, inlet in inlets.items():
        share = min(1.0, mine[name] / everyone[name]) if everyone[name] else 1.0
        per_s = None
        if (total := inlet.policy.max_messages_per_s) is not None:
            part = share
            if inlet.policy.shares_rate and len(sharing) > 1:
                together = sum(everyone[each] for each in sharing)
                part = min(1.0, mine[name] / together) if together else 1 / len(sharing)
            per_s = total * part or 1.0
        inlet.take_share(share, per_s)
