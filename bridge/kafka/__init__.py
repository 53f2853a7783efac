"""Everything that talks to Kafka: the consumer, dead letters, topics, groups.

Only this folder and the demo's mock cluster import confluent_kafka.
"""
