"""The delivery engine. It is pure: it reaches the world through `bridge.ports`.

So the simulation runs this very code.
"""
