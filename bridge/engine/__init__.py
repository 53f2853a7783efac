"""The delivery engine. It is pure: it reaches the world through `bridge.ports`, and the simulation runs
it.
"""
