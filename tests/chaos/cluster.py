"""A Kafka cluster that replicas reach through gateways only, so that they can be cut off from it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping

from tests.support.kafka import Kafka
from tests.support.ports import free_port

PROXIED = "PROXIED"
"""The listener that advertises the gateways' ports instead of its own."""


class GatewayCluster(Kafka):
    """Nodes with two listeners: a plain one for the campaign itself, and `PROXIED` for the bridge."""

    def __init__(self, nodes: int = 3) -> None:
        protocols = f"CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,{PROXIED}:PLAINTEXT"
        super().__init__(nodes, settings={"listener.security.protocol.map": protocols})
        self.listeners = ["PLAINTEXT", PROXIED]
        self._names = [*self.listeners, "CONTROLLER"]
        self._ports = {node: {name: free_port() for name in self._names} for node in range(1, nodes + 1)}
        self.gateways: Mapping[int, int] = {}
        """By node: the port of its gateway. Set before the cluster starts."""

    def port(self, node: int) -> int:
        """Return the port on which the node itself listens for the bridge."""
        return self._ports[node][PROXIED]

    @property
    def proxied(self) -> str:
        """The bootstrap servers of the bridge."""
        return ",".join(f"127.0.0.1:{port}" for port in self.gateways.values())

    def _format(self, node: int) -> None:
        super()._format(node)
        path = self._file(node)
        plain_port, own_port = self._ports[node]["PLAINTEXT"], self._ports[node][PROXIED]
        prefix = f"advertised.listeners=PLAINTEXT://127.0.0.1:{plain_port},{PROXIED}://127.0.0.1:"
        text = path.read_text()
        assert prefix in text
        path.write_text(text.replace(f"{prefix}{own_port}", f"{prefix}{self.gateways[node]}"))

    def terminate(self, node: int) -> None:
        """Send SIGTERM: a controlled shutdown, which first moves the node's leaders to other nodes."""
        process = self._processes.pop(node)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)
