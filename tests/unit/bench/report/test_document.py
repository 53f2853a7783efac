"""The documents: every figure in them comes from the JSON file."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench.programs.bridge_with_timers import PARTS
from bench.programs.bridge_without_extras import EXTRAS
from bench.report import document
from bench.report import results as results_file
from bench.report.results import Results
from bench.report.tables import PERFORMANCE_TABLES
from bench.report.tables_throughput import STEP_NAMES

DOCS = Path(__file__).parents[4] / "docs"


def test_everything_is_generated_from_the_file_alone(results: Results, tmp_path: Path) -> None:
    """Written, read back and rendered: each table has its place in its document, and the plots are
    well-formed XML that names every run.
    """
    results_file.write(tmp_path / document.DATA, results)
    document.write(tmp_path, DOCS, results_file.read(tmp_path / document.DATA))

    for file, tables in document.DOCUMENTS.items():
        text = (tmp_path / file).read_text()
        assert all(f"<!-- bench: {name} -->" in text for name in tables)
    page = (tmp_path / "performance.md").read_text()
    assert all(name in page for name in [*STEP_NAMES.values(), *EXTRAS, *PARTS])
    runs = [STEP_NAMES["tls-0"], STEP_NAMES["without-extras"]]
    for plot, names in zip(document.PLOTS, (runs, results["quota"]["runs"]), strict=True):
        text = "".join(ET.parse(tmp_path / plot).getroot().itertext())
        assert all(name in text for name in names)
    assert document.fill(page, results_file.read(tmp_path / document.DATA), PERFORMANCE_TABLES) == page


def test_some_parts_are_enough(results: Results) -> None:
    """`ONLY=latency` into an empty folder: the other tables are empty, and nothing fails."""
    for part in results:
        assert document.files(DOCS, {part: results[part]})
    assert document.files(DOCS, {})


def test_a_table_without_a_place_is_an_error() -> None:
    """A document that lost its mark would silently keep old figures."""
    with pytest.raises(ValueError, match="has places for"):
        document.fill("# Nothing\n", {}, PERFORMANCE_TABLES)


def test_the_documents_say_what_the_results_say() -> None:
    """docs/performance.md, its plots and the CPU by rate in the how-to are what docs/performance.json
    gives: no figure is written by hand.
    """
    for name, content in document.files(DOCS, results_file.read(DOCS / document.DATA)).items():
        assert content == (DOCS / name).read_text(), f"{name}: run make docs-generate"
