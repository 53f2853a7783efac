"""From the start of the process to its first 207, the group join included."""

from __future__ import annotations

import json
import time

from bench.drain import url_of
from bench.machine import Lab
from bench.process import Child


def startup(lab: Lab, sink: Child, topic: str) -> dict[str, float]:
    """`s`: seconds. The topic is filled, so that no linger is waited for."""
    path = lab.config(topic, url_of(sink, tls=False), "startup")
    sink.ask(json.dumps({"expect": 1, "size": 1024}))
    began = time.time()
    with Child(["bridge", "run", "--config", str(path)], lab.folder / "bridge.log") as bridge:
        took = float(json.loads(sink.hear(unless_ended=bridge))["at"]) - began
        bridge.stop()
    return {"s": took}
