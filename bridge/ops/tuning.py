"""What the process asks of the allocator and the garbage collector, once, at start. Nothing depends on it."""

from __future__ import annotations

import ctypes
import gc

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""glibc's names for `mallopt`."""

KEPT_BYTES = 48_000_000
"""Freed memory that is kept for the next request or fetch, instead of going back to the kernel, which would
have to clear its pages again."""
MAPPED_BYTES = 33_554_432
"""Blocks up to here, request bodies and Kafka's fetches among them, come from the heap; glibc allows no
more."""


def allocator() -> None:
    """Keeps the megabytes that every request and every fetch needs. Before the first thread starts. Without
    glibc nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_ARENA_MAX, 2)  # each thread's own arena would keep its own megabytes
    mallopt(_MMAP_THRESHOLD, MAPPED_BYTES)
    mallopt(_TRIM_THRESHOLD, KEPT_BYTES)


def collector() -> None:
    """What exists by now stays, and is never looked at again; and a window full of records is not a reason
    to look for cycles in it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
