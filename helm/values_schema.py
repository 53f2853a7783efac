"""The schema of the chart's values: its own part, and the schema of the settings under `config`."""

from __future__ import annotations

from typing import Any

from bridge.config.settings import Settings

MAY_BE_NULL = frozenset(
    {
        "podDisruptionBudget.maxUnavailable",
        "autoscaling.behavior",
        "topologySpreadConstraints",
        "resources",
        "test.args",
    }
)
"""Values with a default that a user may remove with `null`: the templates work without them."""


def values_schema(chart_schema: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return the whole schema. `values` are the chart's defaults."""
    schema = with_required_defaults(closed(chart_schema), values)
    settings = _settings_schema()
    schema["$defs"] |= settings.pop("$defs", {})
    schema["$defs"]["Settings"] = settings
    return schema


def _settings_schema() -> dict[str, Any]:
    schema: dict[str, Any] = without_prose(Settings.model_json_schema(mode="validation"))
    # A template refuses the names of such properties too, and gives the reason.
    del schema["$defs"]["KafkaSettings"]["properties"]["properties"]["propertyNames"]
    # The bridge reads an empty section as one without keys. These sections have required keys: no null then.
    for name in schema["required"]:
        alternatives = schema["properties"][name].get("anyOf", ())
        section = next((each for each in alternatives if "$ref" in each), None)
        if section is not None:
            schema["properties"][name] = section
    return schema


def closed(schema: Any) -> Any:
    """Return the same schema, in which every object that lists its properties refuses others."""
    if isinstance(schema, list):
        return [closed(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict):
        schema.setdefault("type", "object")
        schema.setdefault("additionalProperties", False)
    return schema


def with_required_defaults(schema: dict[str, Any], values: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Return the same schema, in which every value that has a default is required.

    Only `null` removes a default, and then a template would fail with an error that nobody understands.
    """
    properties = schema.get("properties", {})
    required = sorted(
        name
        for name, value in values.items()
        if name in properties and value not in (None, "", [], {}) and path + name not in MAY_BE_NULL
    )
    nested = {
        name: with_required_defaults(kind, values[name], f"{path}{name}.")
        for name, kind in properties.items()
        if isinstance(values.get(name), dict)
    }
    result = dict(schema)
    if nested:
        result["properties"] = properties | nested
    if required:
        result["required"] = required
    return result


def without_prose(schema: Any, *, names_properties: bool = False) -> Any:
    """Return the schema without titles, descriptions, defaults and examples, which the documentation has.

    Each release's Secret holds the schema, and 30 kB are enough. `names_properties`: the keys of this object
    are the names of properties, which may be called `title` or `default` themselves.
    """
    if isinstance(schema, list):
        return [without_prose(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    prose = () if names_properties else ("title", "description", "default", "examples", "writeOnly")
    return {
        key: without_prose(value, names_properties=key in ("properties", "$defs"))
        for key, value in schema.items()
        if key not in prose
    }
