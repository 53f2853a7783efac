"""Prints docs/reference/configuration.md, made from the settings: `python -m make.configuration_page`."""

from __future__ import annotations

from bridge.config.explanation import explanations
from bridge.config.kafka_clients import REFUSED

_HEAD = """# Configuration

<!-- Generated from bridge/config; a test compares. Write it again with: make docs-generate -->

One YAML file, given with `--config`. Only `kafka.bootstrap_servers`, `aep.inlet_url` (unless every topic has
its own) and one entry of `topics` are required. Everything else has a default that is meant to be kept.
`config/minimal.yaml` is the smallest file, `config/aep-bridge.yaml` a commented one.

- **Environment.** Every key has a variable, which wins over the file. For a mapping or a list it takes JSON:
  a mapping is merged over the file's, a list replaces the file's. An item of a list is addressed by its
  index: `AEP_BRIDGE_TOPICS__1__DATASET_ID`; the index after the last one adds an item. Names with dots and
  hyphens are written with underscores: `AEP_BRIDGE_KAFKA__PROPERTIES__SASL_PASSWORD`,
  `AEP_BRIDGE_AEP__HEADERS__X_SANDBOX_NAME`.
- **Secrets.** Every secret can come from a file, under the same key with `_file` behind it:
  `client_secret_file`, `proxy_url_file`, and in `kafka.properties` and `headers` any name at all
  (`sasl.password_file`, `x-api-key_file`). Secrets are masked in logs, errors and on the status page.
- **Rotation.** A rotated file is used without a restart: the client secret for the next token, headers and
  the proxy's URL for the next request, certificates for the next connection, the admin token for the next
  order. The exception is what `kafka.properties` takes from files: it is read once, when Kafka's clients are
  created; restart after a rotation.
- **Mistakes.** Unknown keys and unknown `AEP_BRIDGE_…` variables are errors. All problems are reported at
  once, each as `file:line:column: key: what is wrong; what to do`, and the process ends with exit code 2.
- **Memory.** What the settings allow is logged at start (`memory.ceiling`). It is an error if the container
  has less.
"""

_TABLE = """| key | type | default | environment | meaning |
|---|---|---|---|---|
"""

_TAIL = """
## Properties that are refused

The bridge's guarantees depend on these properties of librdkafka, so `kafka.properties` must not hold them:

| property | why, and what to do |
|---|---|
"""


def reference() -> str:
    """Return the reference page, in Markdown."""
    parts = [_HEAD]
    for entry in explanations():
        if "." not in entry.key:
            parts.append(f"\n## {entry.key}\n\n{entry.description}\n\n{_TABLE}")
        elif not entry.key.startswith("topics[].aep."):  # explained once, under aep
            cells = (
                f"`{entry.key}`",
                entry.type,
                _code(entry.default),
                f"`{entry.variable}`",
                entry.description,
            )
            parts.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")
    parts.append(_TAIL)
    parts += [f"| `{name}` | {reason} |\n" for name, reason in REFUSED.items()]
    return "".join(parts)


def _code(text: str) -> str:
    return f"`{text}`" if text and text != "required" else text


if __name__ == "__main__":
    print(reference(), end="")
