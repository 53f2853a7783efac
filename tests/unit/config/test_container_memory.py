"""How much memory the container may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config.container_memory import container_limit

MIB = 1 << 20


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
def test_the_lowest_limit_on_the_way_up_counts(
    files: dict[str, str], limit: int | None, tmp_path: Path
) -> None:
    """The kernel enforces each of them, in both versions of cgroups. What can't be read is no limit."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    assert container_limit(tmp_path) == limit
