"""A Kafka cluster that replicas reach through gateways only, so that they can be cut off from it."""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.kafka import Kafka

PROXIED = "PROXIED"
"""The listener that advertises the gateways' ports instead of its own."""


class GatewayCluster(Kafka):
    """Nodes with two listeners: a plain one for the campaign itself, and `PROXIED` for the bridge."""

    def __init__(self, nodes: int = 3) -> None:
        protocols = f"CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,{PROXIED}:PLAINTEXT"
        super().__init__(
            nodes, settings={"listener.security.protocol.map": protocols}, more_listeners=(PROXIED,)
        )
        self.gateways: Mapping[int, int] = {}
        """By node: the port of its gateway. Set before the cluster starts."""

    @property
    def proxied(self) -> str:
        """The bootstrap servers of the bridge."""
        return ",".join(f"127.0.0.1:{port}" for port in self.gateways.values())

    def advertised_port(self, node: int, listener: str) -> int:
        return self.gateways[node] if listener == PROXIED else super().advertised_port(node, listener)
