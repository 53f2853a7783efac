"""The documents and plots that are made of docs/performance.json: `python -m bench.report FOLDER` writes their generated parts anew.

A generated part stands between `<!-- bench: NAME -->` and `<!-- bench: end -->`, and NAME is one of its document's tables. All other text is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.figures import Results
from bench.plot import bars
from bench.plot_curves import panels
from bench.store import read
from bench.tables import HOW_TO, TABLES

_PART = re.compile(r"(<!-- bench: (\w+) -->\n).*?(<!-- bench: end -->)", re.DOTALL)
DOCUMENTS = {"performance.md": TABLES, "how-to/kubernetes.md": HOW_TO}
DATA = "performance.json"
PLOTS = {"performance.svg": bars, "performance-quota.svg": panels}


def filled(text: str, results: Results, tables: Mapping[str, Callable[[Results], str]]) -> str:
    """A document with its generated parts of these results. Raises ValueError where a table has no place, or a place no table."""
    asked = [found[2] for found in _PART.finditer(text)]
    if sorted(asked) != sorted(tables):
        raise ValueError(
            f"the document has places for {sorted(asked)}, and there are tables for {sorted(tables)}"
        )
    return _PART.sub(lambda found: f"{found[1]}\n{tables[found[2]](results)}\n\n{found[3]}", text)


def files(docs: Path, results: Results) -> dict[str, str]:
    """Name → content of everything that is generated; the text by hand is that of this folder."""
    documents = {
        name: filled((docs / name).read_text(encoding="utf-8"), results, tables)
        for name, tables in DOCUMENTS.items()
    }
    return {**documents, **{name: plot(results) for name, plot in PLOTS.items()}}


def write(folder: Path, docs: Path, results: Results) -> None:
    """All of it, into a folder."""
    for name, content in files(docs, results).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    found = Path(sys.argv[1])
    write(found, found, read(found / DATA))
