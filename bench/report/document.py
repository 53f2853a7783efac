"""The documents and plots that are generated from docs/performance.json.

A generated part stands between `<!-- bench: NAME -->` and `<!-- bench: end -->`; NAME is one of its
document's tables. All other text is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.report.bar_chart import bar_chart
from bench.report.quota_chart import quota_chart
from bench.report.results import Results
from bench.report.tables import KUBERNETES_TABLES, PERFORMANCE_TABLES

_GENERATED = re.compile(r"(<!-- bench: (\w+) -->\n).*?(<!-- bench: end -->)", re.DOTALL)
DOCUMENTS = {"performance.md": PERFORMANCE_TABLES, "how-to/kubernetes.md": KUBERNETES_TABLES}
DATA = "performance.json"
PLOTS = {"performance.svg": bar_chart, "performance-quota.svg": quota_chart}


def fill(text: str, results: Results, tables: Mapping[str, Callable[[Results], str]]) -> str:
    """Return a document with its generated parts written anew.

    Raise ValueError when a table has no place in it, or a place no table.
    """
    places = [match[2] for match in _GENERATED.finditer(text)]
    if sorted(places) != sorted(tables):
        raise ValueError(
            f"the document has places for {sorted(places)}, and there are tables for {sorted(tables)}"
        )
    return _GENERATED.sub(lambda match: f"{match[1]}\n{tables[match[2]](results)}\n\n{match[3]}", text)


def files(docs: Path, results: Results) -> dict[str, str]:
    """Return name → content of all documents and plots. The text by hand is taken from the folder `docs`."""
    documents = {
        name: fill((docs / name).read_text(encoding="utf-8"), results, tables)
        for name, tables in DOCUMENTS.items()
    }
    return {**documents, **{name: plot(results) for name, plot in PLOTS.items()}}


def write(folder: Path, docs: Path, results: Results) -> None:
    """Write all documents and plots into a folder."""
    for name, content in files(docs, results).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
