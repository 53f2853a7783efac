"""The bench's report: from a fixed JSON file to the tables, the plots and the document."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench import report, store
from bench.bare import OFF
from bench.curves import curves, figures
from bench.figures import Figure, Results, ratio
from bench.goals import DEFAULTS, goals
from bench.profile import count
from bench.scenarios import scenarios
from bench.seams import DOORS
from bench.tables import HOW_TO, NAMES, TABLES, goal_rows
from bench.tables_profile import DOOR_RUNS, NEEDED

ROOT = Path(__file__).parents[3]
MACHINE = {
    "date": "2026-01-02 03:04 UTC",
    "cpu": "CPU",
    "cores": 2,
    "memory_gb": 8,
    "kernel": "6",
    "python": "3",
    "confluent_kafka": "2",
    "librdkafka": "2",
    "revision": "abc",
}


def _drained(cpu: float, **more: float) -> dict[str, object]:
    split = {"client": cpu / 4, "main": cpu / 2, "others": cpu / 4}
    plain = {
        "events_per_s": 1e6 / cpu,
        "mb_per_s": 100.0,
        "requests": 500,
        "busiest": 8,
        "peak_mb": 120.0,
        "ceiling_mb": 278.0,
        "sink_load": 0.1,
    }
    return {"cpu_s_per_million": cpu, "split_us": split, **plain, **more}


def _quota(
    replicas: int, *, raised_at: int | None = None, configured: float | None = None
) -> dict[str, object]:
    """Everybody uses the same share of the quota at once; 10 requests in the first second are refused."""
    samples, total = [], 0.0
    for second in range(100):
        quota = 15_000 if raised_at is not None and second >= raised_at else 10_000
        total += (min(quota, configured or quota)) / replicas if second else 0
        samples.append(
            {
                "s": float(second),
                "quota": quota,
                "replicas": [
                    [total, total / 1000, min(second, 1) * 10.0, 9000.0, 8.0] for _ in range(replicas)
                ],
            }
        )
    return {
        "latency_ms": 30,
        "limit": 10_000,
        "raised_at": raised_at,
        "configured": configured,
        "samples": samples,
    }


@pytest.fixture
def results() -> Results:
    steps = {step: [_drained(4.0), _drained(5.0), _drained(4.5)] for step in NAMES}
    steps |= {
        "read": [_drained(1.0), _drained(1.5), _drained(1.0)],
        "tls-100kb": [_drained(8.0), None, _drained(8.0)],
    }
    steps |= {
        "sink-http": [{"events_per_s": 4e6, "sink_load": 0.7}] * 3,
        "sink-tls": [{"events_per_s": 7e5, "sink_load": 0.5}] * 3,
    }
    doors = {
        "parts_us": dict.fromkeys(DOORS, 0.2),
        "split_us": {"client": 0.5, "main": 2.0, "others": 1.5},
        "cpu_us": 4.0,
    }
    parts = {
        "throughput": steps,
        "latency": {"linger-0": [{"p50": 1.0, "p99": 30.0, "p999": 40.0}]},
        "scaling": {
            "1": [{"events_per_s": 100.0, "cpu_s_per_million": 40.0}],
            "2": [{"events_per_s": 190.0, "cpu_s_per_million": 41.0}],
        },
        "startup": {"first 207": [{"s": 1.5}], "first 207, delayed": [{"s": 4.5}]},
        "paced": {"1000": [{"cpu_m": 12.4, "events_per_s": 1000.0, "requests": 10}]},
        "profile": {
            **dict.fromkeys(DOOR_RUNS, [doors]),
            "perf": [
                {"libraries_us": {"main/msgspec": 1.0, "others/OpenSSL": 0.5}, "samples": 900, "cpu_us": 4.0}
            ],
        },
        "quota": {
            each.name: [
                _quota(each.replicas, raised_at=80 if each.raise_at else None, configured=each.configured)
            ]
            for each in scenarios(100)
        },
    }
    return {
        part: {"machine": MACHINE, "command": "make bench", "took_s": 60.0, "runs": runs}
        for part, runs in parts.items()
    }


def test_a_ratio_is_taken_within_its_round(results: Results) -> None:
    """The median of the rounds' ratios, not the ratio of medians; a round in which one of the two failed does not count, and that is told."""
    assert Figure(0.25, 1 / 4.5, 0.3) == ratio(results, "throughput", "read", "tls-0", "cpu_s_per_million")
    found = ratio(results, "throughput", "tls-100kb", "tls-0", "cpu_s_per_million")
    assert Figure(2.0 - 1 / 9, 8 / 4.5, 2.0, (2, 3)) == found
    assert "1.9 (1.8–2.0) x (2 of 3 rounds)" == found.text(1, " x")
    assert "8.00 (2 of 3 rounds)" in TABLES["throughput"](results)


def test_a_missed_goal_is_said(results: Results) -> None:
    """In the table, and by name below it."""
    found = {goal.name.partition(":")[0] + goal.bound: goal.met for goal in goals(results)}

    assert "Of 25 goals 2 are missed:" in TABLES["missed"](results)
    assert found["TLS, megabyte batches≥ 0.25"]
    assert not found["Added latency, linger 0, 1,000 events/s≤ 25 ms"]
    assert "30.0 ms, instead of ≤ 25 ms" in TABLES["missed"](results)


def test_what_was_not_measured_is_no_goal_that_is_met(results: Results) -> None:
    """The list of goals is always the same. One without a figure is said, in the table and below it, whether its part is missing, its step, or every round of that."""
    every = [goal.name for goal in goals(results)]
    results["latency"]["runs"]["linger-0"] = [None, None]
    del results["throughput"]["runs"]["http-30"]
    del results["startup"]
    results["quota"]["runs"]["300 ms"] = [None]

    unmeasured = [goal.name for goal in goals(results) if goal.met is None]
    assert every == [goal.name for goal in goals(results)]
    assert 7 == len(unmeasured)
    assert "Of 25 goals 1 is missed and 7 are not measured:" in TABLES["missed"](results)
    assert all(f"- {name}: not measured." in TABLES["missed"](results) for name in unmeasured)
    assert 7 == TABLES["goals"](results).count("| not measured | **not measured** |")
    assert "Every goal is met." not in TABLES["missed"]({})
    assert len(every) == len([goal for goal in goals({}) if goal.met is None])


def test_every_goal_can_be_met(results: Results) -> None:
    """Then, and only then, that is said."""
    results["throughput"]["runs"]["tls-100kb"] = [_drained(5.0)] * 3
    results["latency"]["runs"]["linger-0"] = [{"p50": 1.0, "p99": 20.0, "p999": 40.0}]
    assert "Every goal is met." == TABLES["missed"](results)


def test_the_most_memory_of_runs_that_were_lost_says_so(results: Results) -> None:
    """Of the rounds that are there it is the most; of the others nobody knows."""
    results["throughput"]["runs"]["tls-0"][1] = None
    del results["throughput"]["runs"]["http-150"]

    assert 8 == len(DEFAULTS)
    assert f"120 MB ({8 * 3 - 1 - 3} of {8 * 3} rounds)" in goal_rows(results)


def test_only_the_goals_of_what_was_measured_are_printed(results: Results) -> None:
    """`ONLY=latency` ends with the goals of that part; the document has them all."""
    assert 3 == len(goal_rows(results, ["latency"]).splitlines())


def test_a_bridge_that_sends_nothing_misses_the_configured_rate(results: Results) -> None:
    """To stay under a rate is half of the goal: it is to be used, too."""
    name = scenarios(100)[-1].name
    run = results["quota"]["runs"][name][0]
    for sample in run["samples"]:
        sample["replicas"] = [[0.0, 0.0, 0.0, 2000.0, 8.0]] * 3

    assert [f"Quota, {name}: share of it used once settled"] == [
        goal.name for goal in goals(results) if goal.part == "quota" and not goal.met
    ]


def test_a_rate_that_goes_up_and_down_is_a_missed_goal(results: Results) -> None:
    """Its mean is high enough; for ten seconds nothing goes through."""
    run = results["quota"]["runs"]["30 ms"][0]
    for sample in run["samples"][65:75]:
        sample["replicas"] = run["samples"][64]["replicas"]

    assert 0.0 == figures(run)["least"]
    assert "0%, instead of ≥ 50%" in TABLES["missed"](results)


def test_the_worst_of_a_minute_stands_beside_the_mean(results: Results) -> None:
    """429s that come together, and a replica that starves for half a minute."""
    run = results["quota"]["runs"]["three replicas, 30 ms"][0]
    extended = [
        {
            **run["samples"][-1],
            "s": 100.0 + n,
            "replicas": [list(run["samples"][-1]["replicas"][0]) for _ in range(3)],
        }
        for n in range(100)
    ]
    for n, sample in enumerate(extended):
        for number, replica in enumerate(sample["replicas"]):
            replica[0] += 3333.3 * (n + 1)
            replica[1] += 3.0 * (n + 1)
            replica[2] += min(n + 1, 9) if number == 0 else 0
    for n, sample in enumerate(extended[30:]):  # it rests for 30 seconds
        sample["replicas"][1][0] -= 3333.3 * min(n, 30)
    run["samples"] += extended

    found = figures(run)
    assert 9 / (60 * 9) <= found["worst_refused"] < 9 / (60 * 9) * 1.3
    assert 0.01 > found["worst_share"] >= 0.0
    assert found["least_share"] > 0.5


def test_figures_of_a_quota_run_are_of_its_settled_time(results: Results) -> None:
    """The 429s of the first second do not count; the rise does, from its moment on."""
    run = results["quota"]["runs"]["30 ms"][0]
    found = figures(run)

    assert (1.0, 0.0, 1.0) == (found["used"], found["refused"], found["least_share"])
    assert found["recovered_s"] == 0
    assert 10 == sum(curves(run).refused)
    assert 6000 == round(figures(results["quota"]["runs"][scenarios(100)[-1].name][0])["most"] or 0)


def test_ten_seconds_that_starve_are_told(results: Results) -> None:
    """The mean of a minute would hide them."""
    run = results["quota"]["runs"]["three replicas, 30 ms"][0]
    assert 1.0 == pytest.approx(figures(run)["least"])
    for sample in run["samples"][70:82]:
        sample["replicas"] = run["samples"][70]["replicas"]

    assert 0.0 == figures(run)["least"]


def test_a_replica_that_does_not_answer_for_a_second_is_made_up_for(results: Results) -> None:
    """No second counts what was accepted before."""
    run = results["quota"]["runs"]["three replicas, 30 ms"][0]
    run["samples"][50]["replicas"][1] = None

    found = curves(run).by_replica[1]
    assert [0, 6667] == [round(each) for each in found[49:51]]
    assert 330_000 == round(sum(found))


def test_everything_is_generated_from_the_file_alone(results: Results, tmp_path: Path) -> None:
    """Written, read back and rendered: each table has its place in the document, and the plots are well-formed XML that names every run."""
    store.write(tmp_path / report.DATA, results)
    report.write(tmp_path, ROOT / "docs", store.read(tmp_path / report.DATA))

    document = (tmp_path / "performance.md").read_text()
    assert all(
        f"<!-- bench: {name} -->" in (tmp_path / file).read_text()
        for file, tables in report.DOCUMENTS.items()
        for name in tables
    )
    assert all(name in document for name in [*NAMES.values(), *OFF, *DOORS])
    for plot, names in zip(
        report.PLOTS, ([NAMES["tls-0"], NAMES["bare"]], results["quota"]["runs"]), strict=True
    ):
        words = "".join(ET.parse(tmp_path / plot).getroot().itertext())
        assert all(name in words for name in names)
    assert document == report.filled(document, store.read(tmp_path / report.DATA), TABLES)


def test_a_pods_cpu_is_what_was_measured(results: Results) -> None:
    """A rate that was not measured is no figure; only the last row is calculated, from full speed."""
    rows = HOW_TO["rates"](results).splitlines()[2:]
    assert "| 1,000 | 12m | not measured |" == rows[0]
    assert rows[1].endswith("| not measured | not measured |")
    assert rows[2].startswith("| 222,222, calculated from 4.50 s per million at full speed |")
    assert 2 == len([row for row in HOW_TO["rates"]({}).splitlines()[2:] if "not measured" in row])


def test_both_starts_are_told(results: Results) -> None:
    """The goal is the one at a broker that does not wait, and says so; the other stands beside it."""
    told = TABLES["startup"](results)
    assert all(
        word in told for word in ("`group.initial.rebalance.delay.ms=0`", "1.50", "Kafka's default", "4.50")
    )
    assert "`group.initial.rebalance.delay.ms=0`; Kafka's default waits 3 s" in next(
        goal.name for goal in goals(results) if goal.part == "startup"
    )
    assert "not measured" in TABLES["startup"]({})


def test_some_parts_are_enough(results: Results) -> None:
    """`ONLY=latency` into an empty folder: the other tables are empty, and nothing fails."""
    for part in results:
        assert report.files(ROOT / "docs", {part: results[part]})
    assert report.files(ROOT / "docs", {})


def test_a_table_without_a_place_is_an_error() -> None:
    """A document that lost a mark would silently keep old figures."""
    with pytest.raises(ValueError, match="has places for"):
        report.filled("# Nothing\n", {}, TABLES)


def test_the_document_says_what_its_results_say() -> None:
    """docs/performance.md, its plots and the CPU by rate in the how-to are what docs/performance.json gives: no figure is written by hand."""
    docs = ROOT / "docs"
    for name, content in report.files(docs, store.read(docs / report.DATA)).items():
        assert content == (docs / name).read_text(), f"{name}: run make docs-generate"


def test_what_is_switched_off_or_timed_is_there() -> None:
    """A function of the bridge that was renamed would silently stay on, or count as nothing. In a process of its own: what is off stays off."""
    done = subprocess.run(
        [sys.executable, "-c", "from bench.bare import switch_off; switch_off()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert 0 == done.returncode, done.stderr
    assert all(callable(getattr(owner, name)) for doors in DOORS.values() for owner, name in doors)
    assert len(NEEDED) - 1 == len(DOORS.keys() & set(NEEDED))


def test_perf_samples_are_told_apart_by_thread_and_library() -> None:
    """Within the time that counts, and nothing of what is no sample."""
    lines = """
          python 100/100 10.5: 7f30 memmove (/usr/lib/libc.so.6)
          python 100/104 11.0: 7f30 aes_gcm (/usr/lib/libcrypto.so.3)
     rdk:broker1 100/102 11.5: ffff copy ([kernel.kallsyms])
          python 100/100 99.0: 7f30 memmove (/usr/lib/libc.so.6)
    [ perf record: Woken up 1 times ]
    """
    assert {
        ("main", "libc: copies, allocation, locks"): 1,
        ("others", "OpenSSL"): 1,
        ("client", "kernel"): 1,
    } == count(lines, 10, 20)
