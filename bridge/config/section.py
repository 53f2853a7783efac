"""The base of every section of the settings, and the types that their keys share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _mapping_for_null(value: Any) -> Any:
    return {} if value is None else value


Text: TypeAlias = Annotated[str, Field(min_length=1)]
FilePath: TypeAlias = Annotated[Path, Field(strict=False)]
OrEmpty = BeforeValidator(_mapping_for_null)
"""`batch:` with nothing below it is YAML's null, and means a section with its defaults."""


class Section(BaseModel):
    """A mapping of the configuration file. Frozen; refuses unknown keys; shows no value in an error."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        hide_input_in_errors=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )
