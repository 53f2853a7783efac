"""Puts the parts together: what `aep-bridge run` runs."""
