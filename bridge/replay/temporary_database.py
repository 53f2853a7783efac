"""A database for one process and its lifetime, so that its memory does not grow with
the number of dead letters.
"""

from __future__ import annotations

import sqlite3


def temporary_database() -> sqlite3.Connection:
    """Return an empty database. Beyond 8 MiB it lies in a temporary file, which is
    gone when the process ends.
    """
    database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-8192; "
        "PRAGMA locking_mode=EXCLUSIVE"
    )
    return database
