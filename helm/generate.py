"""Generate the chart's files that follow from the code.

    python helm/generate.py            writes them
    python helm/generate.py --check    ends with 1 where a file is not what would be written

They are `values.schema.json` (the chart's own schema with the schema of the settings under `config`),
`files/dashboard.json` and `files/kafka-properties.yaml`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from dashboard import ROWS  # noqa: E402
from grafana import dashboard  # noqa: E402
from values_schema import values_schema  # noqa: E402

from bridge.config import librdkafka  # noqa: E402
from bridge.config.kafka_clients import REFUSED  # noqa: E402

CHART = HERE / "aep-bridge"


def kafka_properties() -> dict[str, Any]:
    """Return what the templates have to know about librdkafka's properties."""
    return {
        "refused": dict(REFUSED),
        "secret": sorted(librdkafka.SECRET),
        "classicOnly": list(librdkafka.CLASSIC_ONLY),
        "known": sorted(librdkafka.KNOWN),
    }


def generated_files() -> dict[Path, str]:
    """Return each generated file and its content."""
    chart_schema = yaml.safe_load((HERE / "values.schema.yaml").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.dumps(values_schema(chart_schema, values), indent=1)
    properties = yaml.safe_dump(kafka_properties(), sort_keys=False, width=200)
    return {
        CHART / "values.schema.json": schema + "\n",
        CHART / "files" / "dashboard.json": json.dumps(dashboard(ROWS), indent=1) + "\n",
        CHART / "files" / "kafka-properties.yaml": properties,
    }


def main() -> int:
    """Write the files, or check them, and return the exit code."""
    check, outdated = "--check" in sys.argv[1:], False
    for path, content in generated_files().items():
        if path.exists() and path.read_text() == content:
            continue
        outdated = True
        if check:
            print(f"{path}: not current; run python helm/generate.py", file=sys.stderr)
        else:
            path.write_text(content)
            print(path)
    return 1 if check and outdated else 0


if __name__ == "__main__":
    sys.exit(main())
