"""Everything that talks to Kafka: the consumer, dead letters, topics. The only folder (beside the demo's mock cluster) that imports confluent_kafka."""
