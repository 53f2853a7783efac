"""Makes the chart's generated files: `values.schema.json` (with the settings' own schema inside), `files/dashboard.json`, `files/kafka-properties.yaml`.

python helm/generate.py            writes them
python helm/generate.py --check    ends with 1 where they are not what would be written
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from dashboard import dashboard  # noqa: E402

from bridge.config import librdkafka  # noqa: E402
from bridge.config.kafka_clients import REFUSED  # noqa: E402
from bridge.config.settings import Settings  # noqa: E402

CHART = HERE / "aep-bridge"
MAY_BE_NULL = frozenset(
    {
        "podDisruptionBudget.maxUnavailable",
        "autoscaling.behavior",
        "topologySpreadConstraints",
        "resources",
        "test.args",
    }
)
"""Values with a default that a user may take away with `null`; the templates can do without them."""


def closed(schema: Any) -> Any:
    """The same schema, with every object that lists its properties closed to others."""
    if isinstance(schema, list):
        return [closed(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict):
        schema.setdefault("type", "object")
        schema.setdefault("additionalProperties", False)
    return schema


def demanding(schema: dict[str, Any], values: dict[str, Any], before: str = "") -> dict[str, Any]:
    """The same schema, with every value that has a default required: only `null` takes one away, and a template would say nothing readable about it."""
    properties = schema.get("properties", {})
    wanted = sorted(
        name
        for name, value in values.items()
        if name in properties and (value or value == 0) and value != {} and before + name not in MAY_BE_NULL
    )
    nested = {
        name: demanding(kind, values[name], f"{before}{name}.")
        for name, kind in properties.items()
        if isinstance(values.get(name), dict)
    }
    return (
        schema
        | ({"properties": properties | nested} if nested else {})
        | ({"required": wanted} if wanted else {})
    )


def without_prose(schema: Any, *, inside_properties: bool = False) -> Any:
    """Without titles, descriptions and defaults: they are in the documentation, and a schema of 30 kB in each release's Secret is enough."""
    if isinstance(schema, list):
        return [without_prose(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    prose = () if inside_properties else ("title", "description", "default", "examples", "writeOnly")
    return {
        key: without_prose(value, inside_properties=key in ("properties", "$defs"))
        for key, value in schema.items()
        if key not in prose
    }


def values_schema() -> dict[str, Any]:
    """The chart's schema, with the settings' under `config`."""
    schema: dict[str, Any] = closed(yaml.safe_load((HERE / "values.schema.yaml").read_text()))
    schema = demanding(schema, yaml.safe_load((CHART / "values.yaml").read_text()))
    settings = without_prose(Settings.model_json_schema(mode="validation"))
    del settings["$defs"]["KafkaSettings"]["properties"]["properties"][
        "propertyNames"
    ]  # a template refuses these too, and gives the reason
    for name in settings[
        "required"
    ]:  # an empty section is read as one without keys, and these have required keys
        settings["properties"][name] = next(
            (kind for kind in settings["properties"][name].get("anyOf", ()) if "$ref" in kind),
            settings["properties"][name],
        )
    schema["$defs"] |= settings.pop("$defs", {})
    schema["$defs"]["Settings"] = settings
    return schema


def generated() -> dict[Path, str]:
    """Each generated file and what it should hold."""
    return {
        CHART / "values.schema.json": json.dumps(values_schema(), indent=1) + "\n",
        CHART / "files" / "dashboard.json": json.dumps(dashboard(), indent=1) + "\n",
        CHART / "files" / "kafka-properties.yaml": yaml.safe_dump(properties(), sort_keys=False, width=200),
    }


def properties() -> dict[str, Any]:
    """What the templates have to know of librdkafka's properties."""
    return {
        "refused": dict(REFUSED),
        "secret": sorted(librdkafka.SECRET),
        "classicOnly": list(librdkafka.CLASSIC_ONLY),
        "known": sorted(librdkafka.KNOWN),
    }


def main() -> int:
    """Writes, or compares. Returns the exit code."""
    check, stale = "--check" in sys.argv[1:], 0
    for path, text in generated().items():
        if path.exists() and path.read_text() == text:
            continue
        stale += 1
        if check:
            print(f"{path}: not current; run python helm/generate.py", file=sys.stderr)
        else:
            path.write_text(text)
            print(path)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
