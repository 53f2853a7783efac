"""`python -m bench.report FOLDER`: generate its documents and plots anew from its JSON file."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.report.document import DATA, write
from bench.report.results import read

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    write(folder, folder, read(folder / DATA))
