"""The fault campaign: a real Kafka cluster, a local AEP, replicas of the bridge as processes, and a seeded schedule of faults."""
