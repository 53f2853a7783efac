"""One inlet's window: the bytes that are read and not settled, and whether more may be read."""

from __future__ import annotations


class Window:
    """Full from its limit on, and until half of it is settled."""

    __slots__ = ("_full_since", "limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """Bytes."""
        self.used = 0.0
        """Bytes of everything that is read for this inlet and not settled."""
        self._full_since: float | None = None

    def take(self, size: float) -> None:
        """Note that so many more bytes are held."""
        self.used += size

    def give_back(self, size: float) -> None:
        """Note that so many bytes are held no longer."""
        self.used = max(0.0, self.used - size)

    def is_full(self, now: float) -> bool:
        """Look anew, and return whether nothing more may be read."""
        if self.used >= self.limit:
            if self._full_since is None:
                self._full_since = now
        elif self.used < self.limit / 2:
            self._full_since = None
        return self._full_since is not None

    @property
    def is_marked_full(self) -> bool:
        """Whether it was full at the last look."""
        return self._full_since is not None

    @property
    def full_since(self) -> float | None:
        """When it became full, as far as the last look could tell; None where it is not."""
        return self._full_since

    def full_for(self, now: float) -> float:
        """Return the seconds for which it has been full; 0 where it is not."""
        return 0.0 if self._full_since is None else now - self._full_since
