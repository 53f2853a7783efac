"""Consumer properties with which the broker answers a fetch with many records instead of the latest few."""

LARGE_FETCHES = {"fetch.min.bytes": 1_000_000, "fetch.wait.max.ms": 100}
"""The broker waits for so many bytes, but no longer than a tenth of what a batch lingers."""
