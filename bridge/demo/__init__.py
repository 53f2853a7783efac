"""`aep-bridge demo`: the whole bridge beside an in-process Kafka and a local AEP."""
