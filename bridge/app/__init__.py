"""Builds the service out of its parts. `aep-bridge run` runs it."""
