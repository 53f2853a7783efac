"""What every part of the settings shares: the frozen base, problems that know their key, files that hold secrets; and the small sections."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

Loc: TypeAlias = tuple[str | int, ...]
"""Where a value stands: keys of mappings, indexes of lists."""

UNSHOWN = "…"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class Problem(NamedTuple):
    """What is wrong, and what to do, at a place relative to the model that found it. Holds no secret."""

    loc: Loc
    text: str


class Wrong(ValueError):
    """Several problems found together."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "; ".join(
                f"{dotted(problem.loc)}: {problem.text}" if problem.loc else problem.text
                for problem in self.problems
            )
        )


def dotted(loc: Loc) -> str:
    """A place as people write it: `topics[1].dataset_id`. What is no plain name could be anything, a secret too, and is left out."""
    text = ""
    for part in loc:
        shown = str(part) if isinstance(part, int) or _NAME.fullmatch(part) else UNSHOWN
        text += f"[{shown}]" if isinstance(part, int) else f".{shown}" if text else shown
    return text


def secret_of(path: Path) -> str:
    """A secret file's text without the white space around it. Raises OSError, also where the file is empty or no text."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise OSError(errno.EINVAL, "is not UTF-8 text", str(path)) from None
    if not text:
        raise OSError(errno.EINVAL, "is empty", str(path))
    return text


def revealed(value: Any) -> Any:
    """A value for whom it is meant: without its mask, if it has one."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _or_empty(value: Any) -> Any:
    return {} if value is None else value


Text: TypeAlias = Annotated[str, Field(min_length=1)]
FilePath: TypeAlias = Annotated[Path, Field(strict=False)]
OrEmpty = BeforeValidator(_or_empty)
"""`batch:` with nothing below it is YAML's null, and means the defaults."""


class Section(BaseModel):
    """A mapping of the configuration file. Frozen; knows its keys, and no others; never shows what it was given."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        hide_input_in_errors=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


class BatchSettings(Section):
    """How large a request gets, and how long a record may wait for company."""

    max_bytes: int = Field(default=1_000_000, ge=10_000, le=1_000_000)
    """Bytes of a whole request body, the wrapper included. A single record that is larger goes alone, up to 1,000,000: AEP takes no more."""
    max_messages: int = Field(default=1000, ge=1, le=10_000)
    """Records in a request. While a rate limits, `max_messages_per_s` or one that 429s have taught, no more than it gives in a fifth of a second, but ten."""
    linger_ms: int = Field(default=1000, ge=0, le=600_000)
    """Milliseconds that a batch waits for more records."""


class DeliverySettings(Section):
    """How requests are made, repeated and bounded."""

    max_in_flight: int = Field(default=8, ge=1, le=256)
    """Requests at once for each inlet: the ceiling of a limit that adapts itself."""
    max_uncommitted_records: int = Field(default=100_000, ge=1)
    """Records that a partition is read ahead of its committed offset, and so the most that one crash repeats of it.
    Below 1,000 reads are smaller, and dearer."""
    window_bytes: int = Field(default=33_554_432, ge=20_000)
    """Bytes of everything read and not settled, for each inlet. At least twice `batch.max_bytes`. Most of the process's memory."""
    request_timeout_s: float = Field(default=30, gt=0, le=300)
    """Seconds for a whole request, from connecting to the last byte of the answer. At most `drain_timeout_s`."""
    retry_after_max_s: float = Field(default=300, ge=0)
    """Seconds up to which AEP's `Retry-After` is followed."""
    ordering: Literal["none", "partition"] = "none"
    """`none`: batches of a partition overtake each other. `partition`: a partition's records arrive in order; slower, repeats more after a partial failure."""
    drain_timeout_s: float = Field(default=30, gt=0, le=3600)
    """Seconds from SIGTERM until the last offset is committed; what is not settled by then is read again by the next owner."""
    revoke_timeout_s: float = Field(default=10, gt=0)
    """Seconds that a rebalance waits for requests under way. Less than half of the consumer's `max.poll.interval.ms`."""
    backoff_max_s: float = Field(default=60, gt=0)
    """Seconds between two tries, at most, where AEP does not say when to come back."""


class DeadLetterSettings(Section):
    """What happens to records that can't be delivered."""

    create_topics: bool = True
    """Create dead-letter topics that don't exist, with unlimited retention and as many partitions as their source."""
    flood_guard: int = Field(default=1000, ge=0)
    """Refusals in a row, with none accepted, after which an inlet's dataset is held instead of dead-lettered. 0: never."""
    tombstones: Literal["skip", "dead_letter"] = "skip"
    """Records without a value: counted and passed over, or dead-lettered."""


class AdminSettings(Section):
    """The port for probes, metrics and the status page."""

    host: Text = "0.0.0.0"  # noqa: S104 - in a pod, probes and scrapes come from outside
    """Address to listen on."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port of /livez, /readyz, /metrics and the status page. 0: any free one."""
    token_file: FilePath | None = None
    """File with the bearer token that `aep-bridge skip` has to show; without it the bridge takes no orders. Read anew for each order."""


class LoggingSettings(Section):
    """What is logged, to standard output."""

    level: Literal["debug", "info", "warning", "error", "critical"] = "info"
    """The least important level that is shown."""
    format: Literal["auto", "json", "console"] = "auto"
    """`auto`: readable on a terminal, JSON elsewhere."""
