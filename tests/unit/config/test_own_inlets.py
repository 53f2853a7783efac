"""Topics with inlets of their own, and no default one."""

from __future__ import annotations

from bridge.config.memory_ceiling import ceiling
from tests.support.settings import settings
from tests.unit.config.conftest import Loader


def inlet(name: str) -> dict[str, str]:
    """Return a topic's own inlet."""
    return {"inlet_url": f"https://dcs.adobedc.net/collection/{name}"}


def test_topics_with_their_own_inlets_need_no_default_one() -> None:
    """Each of them is complete. Topics with equal inlets share one."""
    configured = settings(
        aep=None,
        topics=[
            {"topic": "a", "aep": inlet("x")},
            {"topic": "b", "aep": inlet("y")},
            {"topic": "c", "aep": inlet("x")},
        ],
    )
    first, second, third = (configured.inlet_for(entry) for entry in configured.topics)

    assert [first.inlet_id, second.inlet_id, third.inlet_id] == ["x", "y", "x"]
    assert third.identity == first.identity
    assert second.identity != first.identity
    assert (first.auth, first.header_values(), first.proxy()) == (None, {}, None)
    assert configured.masked()["aep"] is None
    assert ceiling(configured)[0] > 0


def test_a_topic_without_an_address_asks_for_the_default_inlet(loads: Loader) -> None:
    """A topic whose own section has every key but the address needs it, too."""
    lines = loads.problems(
        """\
        kafka: {bootstrap_servers: k:1}
        topics:
        - {topic: a, aep: {inlet_url: https://d/collection/x}}
        - {topic: b, aep: {ims_org_id: o}}
        """
    )

    assert lines == ["1:1: aep: is required, since topics[1] has no inlet_url of its own; add aep"]


def test_an_own_inlet_is_checked_like_the_default_one(loads: Loader) -> None:
    """A key without a certificate, and an entity without an organisation, under the topic's own keys."""
    lines = loads.problems(
        """\
        kafka: {bootstrap_servers: k:1}
        topics:
        - topic: a
          format: entity
          dataset_id: d
          schema_id: s
          aep: {inlet_url: https://d/collection/x, client_key_file: k}
        """
    )

    assert len(lines) == 2
    assert lines[0].startswith("7:3: topics[0].aep.ims_org_id: is required")
    assert lines[1].startswith("7:44: topics[0].aep.client_key_file: is the key of no certificate")
