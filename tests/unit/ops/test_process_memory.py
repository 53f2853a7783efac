"""The memory that this process uses now, and its peak."""

from __future__ import annotations

from pathlib import Path

from bridge.ops.process_memory import memory_used


def test_the_kernels_own_numbers_are_returned(tmp_path: Path) -> None:
    """The status page compares them with the ceiling. Without /proc, only the peak is known."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/status").write_text("Name:\tx\nVmHWM:\t  300 kB\nVmRSS:\t  200 kB\n")

    assert memory_used(tmp_path) == (200 << 10, 300 << 10)
    now, peak = memory_used()
    assert now is not None
    assert 0 < now <= peak
    unknown, peak = memory_used(tmp_path / "nowhere")
    assert unknown is None
    assert peak > 0
