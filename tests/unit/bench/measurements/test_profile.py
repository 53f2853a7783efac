"""perf's samples become counts."""

from __future__ import annotations

from bench.measurements.profile import count_samples


def test_samples_are_counted_by_thread_and_library() -> None:
    """Within the time that counts; a line that is no sample counts for nothing."""
    lines = """
          python 100/100 10.5: 7f30 memmove (/usr/lib/libc.so.6)
          python 100/104 11.0: 7f30 aes_gcm (/usr/lib/libcrypto.so.3)
     rdk:broker1 100/102 11.5: ffff copy ([kernel.kallsyms])
          python 100/100 99.0: 7f30 memmove (/usr/lib/libc.so.6)
    [ perf record: Woken up 1 times ]
    """
    assert count_samples(lines, 10, 20) == {
        ("main", "libc: copies, allocation, locks"): 1,
        ("others", "OpenSSL"): 1,
        ("client", "kernel"): 1,
    }
