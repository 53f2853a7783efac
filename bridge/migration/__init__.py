"""Moving over from Adobe's Kafka Connect sink."""
