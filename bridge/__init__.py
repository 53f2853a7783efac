"""aep-bridge: Kafka to Adobe Experience Platform (placeholder front door, written with the engine)."""

__version__ = "0.1.0"
