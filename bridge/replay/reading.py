"""Reads dead letters: which topics hold them, all of those in some topics, or one by its coordinates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bridge.config.settings import PARKED, Settings
from bridge.kafka.coordinates import Coordinates
from bridge.kafka.reader import Bounds, TopicReader
from bridge.kafka.topics import TopicAdmin
from bridge.model import TopicPartition
from bridge.replay.dead_letter import StoredDeadLetter, parse_dead_letter
from bridge.replay.marks import Mark, ReplayMarks
from bridge.replay.selection import Selection


def dead_letter_topics(settings: Settings, names: Iterable[str] = ()) -> dict[str, int]:
    """Return the partition counts of the dead-letter topics that exist, or of those that are named.

    Raises `Unreachable`, and LookupError for a name that does not exist.
    """
    existing = TopicAdmin(settings.admin_properties()).partition_counts(["^.*"])
    own = [name for name in sorted(existing) if _holds_dead_letters(settings, name)]
    wanted = list(names)
    for name in wanted:
        if name not in existing:
            raise LookupError(f"{name}: no such topic; dead-letter topics here: {', '.join(own) or 'none'}")
    return {name: existing[name] for name in sorted(wanted) or own}


def _holds_dead_letters(settings: Settings, name: str) -> bool:
    """Return whether a topic holds dead letters; parking topics and the marks of replays do not count."""
    if name.endswith(PARKED) or name == settings.replayed_topic:
        return False
    return settings.is_dead_letter_topic(name)


class DeadLetterReader:
    """A client that reads dead letters and marks. Close it. All methods raise `Unreachable`."""

    def __init__(self, settings: Settings) -> None:
        """Raises `PropertiesRefused`."""
        self._settings = settings
        group = f"{settings.kafka.group_id}.dlq-reader"
        self._reader = TopicReader({**settings.consumer_properties(), "group.id": group})

    def bounds(self, partition_counts: Mapping[str, int]) -> Bounds:
        """Return where these topics begin and end now."""
        return self._reader.bounds(partition_counts)

    def dead_letters(self, bounds: Bounds) -> Iterator[StoredDeadLetter]:
        """Yield every dead letter within the bounds."""
        return map(parse_dead_letter, self._reader.records(bounds))

    def dead_letter_at(self, coordinates: Coordinates) -> StoredDeadLetter | None:
        """Return the dead letter at these coordinates; None if none is there any more."""
        partition = TopicPartition(coordinates.topic, coordinates.partition)
        low, end = self._reader.offsets(partition)
        if not low <= coordinates.offset < end:
            return None
        bounds = Bounds({partition: coordinates.offset}, {partition: coordinates.offset + 1})
        return next(self.dead_letters(bounds), None)

    def marks(self) -> ReplayMarks:
        """Return the marks of earlier replays."""
        return ReplayMarks.read(self._settings, self._reader)

    def close(self) -> None:
        """Close the connections to the brokers."""
        self._reader.close()


def read_selected(
    settings: Settings, reader: DeadLetterReader, topics: Iterable[str], selection: Selection
) -> Iterator[tuple[StoredDeadLetter, Mark | None]]:
    """Yield every selected dead letter of these topics (of all, if none is named),
    with the mark of its replay.
    """
    marks = reader.marks()
    bounds = reader.bounds(dead_letter_topics(settings, topics))
    for letter in reader.dead_letters(bounds):
        if selection.matches(letter):
            yield letter, marks.of(letter)


def find(
    settings: Settings, reader: DeadLetterReader, coordinates: Coordinates
) -> tuple[StoredDeadLetter, Mark | None] | None:
    """Return the dead letter at these coordinates, or whose source record was there,
    with the mark of its replay.
    """
    topics = dead_letter_topics(settings)
    if coordinates.topic in topics or settings.is_dead_letter_topic(coordinates.topic):
        letter = reader.dead_letter_at(coordinates)
    else:
        letters = reader.dead_letters(reader.bounds(topics))
        letter = next((letter for letter in letters if letter.source == coordinates), None)
    return None if letter is None else (letter, reader.marks().of(letter))
