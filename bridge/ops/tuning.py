"""Settings of the memory allocator and of the garbage collector, made once at start.

They make the process faster; nothing else depends on them.
"""

from __future__ import annotations

import ctypes
import gc

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""The numbers of M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_ARENA_MAX in glibc's malloc.h."""

KEPT_BYTES = 48_000_000
"""Freed memory that the process keeps for the next request or fetch. The kernel would have to clear the pages
of memory that goes back to it.
"""
MAPPED_BYTES = 33_554_432
"""Blocks up to this size come from the heap, request bodies and Kafka's fetches among them. This is the
largest value that glibc allows.
"""


def tune_allocator() -> None:
    """Keep the memory that every request and every fetch needs. Call this before the first thread starts.

    Without glibc it does nothing.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    # With an arena of its own, each thread would keep its own megabytes.
    mallopt(_ARENA_MAX, 2)
    mallopt(_MMAP_THRESHOLD, MAPPED_BYTES)
    mallopt(_TRIM_THRESHOLD, KEPT_BYTES)


def tune_garbage_collector() -> None:
    """Exclude the objects that exist now from collections, and collect less often.

    They live as long as the process. With the default thresholds, every window full of records would start
    a search for cycles, and records have none.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
