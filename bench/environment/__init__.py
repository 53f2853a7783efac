"""What a measurement needs: a broker, topics, events, a sink and processes."""
