"""The memory ceiling, and the container's limit that it is held against."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config.memory_ceiling import BASELINE, ceiling, container_limit, used
from tests.unit.config.test_settings import settings

MIB = 1 << 20


def test_the_ceiling_counts_every_buffer() -> None:
    """Prefetch, fetch answers, window, requests with their answers, dead letters, and the process itself."""
    size, text = ceiling(settings())

    assert BASELINE + (10 + 10 + 32 + 64) * MIB + 8 * (2_000_000 + 4 * MIB) == size
    assert text.startswith(f"{size / MIB:.0f} MiB = process 90 MiB + prefetch 10 MiB")


def test_the_ceiling_follows_the_settings() -> None:
    """Each distinct inlet has a window of its own; equal ones share it."""
    one = ceiling(settings(topics=["a", {"topic": "b", "aep": {}}]))[0]
    two = ceiling(settings(topics=["a", {"topic": "b", "aep": {"ims_org_id": "o"}}]))[0]
    wide = ceiling(settings(delivery={"window_bytes": 33_554_432 + 1000}))[0]
    deep = ceiling(
        settings(kafka={"bootstrap_servers": "a:1", "properties": {"queued.max.messages.kbytes": "1024"}})
    )[0]
    brokers = ceiling(settings(kafka={"bootstrap_servers": "a:1,b:1,c:1"}))[0]

    assert ceiling(settings())[0] == one
    assert one + 32 * MIB + 8 * (2_000_000 + 4 * MIB) == two
    assert one + 1000 == wide
    assert one - 2 * 9 * MIB == deep  # the client lowers fetch.max.bytes to the prefetch
    assert one + 20 * MIB == brokers


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, None),
        ({"sys/fs/cgroup/memory.max": "max\n"}, None),
        ({"sys/fs/cgroup/memory.max": "536870912\n"}, 512 * MIB),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n"}, 256 * MIB),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/memory.max": "max",
                "sys/fs/cgroup/a/memory.max": "1048576",
            },
            MIB,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,memory:/x\n",
                "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "2097152",
            },
            2 * MIB,
        ),
        ({"proc/self/cgroup": "0::/../..\nnonsense\n", "sys/fs/cgroup/memory.max": "nonsense"}, None),
    ],
)
def test_the_containers_limit_is_the_lowest_on_the_way_up(
    files: dict[str, str], limit: int | None, tmp_path: Path
) -> None:
    """Of both versions of cgroups; what can't be read is no limit."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    assert limit == container_limit(tmp_path)


def test_what_is_used(tmp_path: Path) -> None:
    """The kernel's own numbers; where no /proc tells, only the peak is known."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/status").write_text("Name:\tx\nVmHWM:\t  300 kB\nVmRSS:\t  200 kB\n")

    assert (200 << 10, 300 << 10) == used(tmp_path)
    now, peak = used()
    assert now is not None
    assert 0 < now <= peak
    nothing, peak = used(tmp_path / "nowhere")
    assert nothing is None
    assert peak > 0
