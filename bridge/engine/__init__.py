"""The delivery engine, pure: it reaches the world through `bridge.ports`, so that the simulation runs this very code."""
