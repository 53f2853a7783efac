"""The configuration: what may be set, where it comes from, and what is wrong with it."""
