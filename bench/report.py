"""docs/performance.md and its plots, out of docs/performance.json: `python -m bench.report FOLDER` writes the generated parts anew.

A generated part stands between `<!-- bench: NAME -->` and `<!-- bench: end -->`, and NAME is one of `tables.TABLES`. All other text is written by hand.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from bench.figures import Results
from bench.plot import bars
from bench.plot_curves import panels
from bench.store import read
from bench.tables import TABLES

_PART = re.compile(r"(<!-- bench: (\w+) -->\n).*?(<!-- bench: end -->)", re.DOTALL)
DOCUMENT, DATA = "performance.md", "performance.json"
PLOTS = {"performance.svg": bars, "performance-quota.svg": panels}


def filled(text: str, results: Results) -> str:
    """The document with its generated parts of these results. Raises ValueError where a table has no place, or a place no table."""
    asked = [found[2] for found in _PART.finditer(text)]
    if sorted(asked) != sorted(TABLES):
        raise ValueError(f"the document has places for {sorted(asked)}, and there are tables for {sorted(TABLES)}")
    return _PART.sub(lambda found: f"{found[1]}\n{TABLES[found[2]](results)}\n\n{found[3]}", text)


def files(template: str, results: Results) -> dict[str, str]:
    """Name → content of everything that is generated."""
    return {DOCUMENT: filled(template, results), **{name: plot(results) for name, plot in PLOTS.items()}}


def write(folder: Path, template: str, results: Results) -> None:
    """All of it, into a folder."""
    for name, content in files(template, results).items():
        (folder / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    docs = Path(sys.argv[1])
    write(docs, (docs / DOCUMENT).read_text(encoding="utf-8"), read(docs / DATA))
