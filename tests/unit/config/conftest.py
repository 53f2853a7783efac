"""A loader of texts, and the smallest one that loads."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from bridge.config.loader import ConfigurationError, load
from bridge.config.settings import Settings

MINIMAL = """\
kafka:
  bootstrap_servers: kafka:9092
aep:
  inlet_url: https://dcs.adobedc.net/collection/aaaa
topics:
  - topic: web-events
"""


class Loader:
    """Loads texts, as a file that messages call `c.yaml`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "c.yaml"

    def __call__(self, text: str = MINIMAL, /, limit: int | None = None, **environ: str) -> Settings:
        """Return the settings of a text; `KAFKA__GROUP_ID="x"` sets AEP_BRIDGE_KAFKA__GROUP_ID."""
        self.path.write_text(dedent(text))
        variables = {f"AEP_BRIDGE_{name}": value for name, value in environ.items()}
        return load(self.path, variables, limit=lambda: limit)

    def problems(self, text: str = MINIMAL, /, limit: int | None = None, **environ: str) -> list[str]:
        """Return what is wrong with a text; problems of the file as `line:column: …`."""
        with pytest.raises(ConfigurationError) as caught:
            self(text, limit, **environ)

        assert str(caught.value) == "\n".join(caught.value.problems)
        assert caught.value.__cause__ is None, "it could show a secret"
        assert caught.value.__context__ is None, "it could show a secret"
        return [problem.removeprefix(f"{self.path}:") for problem in caught.value.problems]


@pytest.fixture
def loads(tmp_path: Path) -> Loader:
    return Loader(tmp_path)
