"""What each key of the configuration holds."""

from __future__ import annotations

from bridge.config.key_types import ROOT, KeyType
from bridge.config.settings_auth import AuthSettings
from bridge.config.settings_topics import TopicSettings


def below(*key_path: str | int) -> KeyType | None:
    key_type: KeyType | None = ROOT
    for part in key_path:
        assert key_type is not None
        key_type = key_type.below(part)
    return key_type


def test_a_key_holds_a_section_a_list_a_mapping_or_a_value() -> None:
    """The file is read, and variables are laid over it, by these."""
    assert below("topics") == KeyType("list", TopicSettings)
    assert below("topics", 3) == KeyType("section", TopicSettings)
    assert below("aep", "auth") == KeyType("section", AuthSettings)
    assert below("aep", "headers") == KeyType("mapping", None)
    assert below("aep", "headers", "x-any") == KeyType("value", str)
    assert below("batch", "max_bytes") == KeyType("value", int)
    assert below("topics", 0, "dataset_id") == KeyType("value", str)


def test_an_unknown_key_holds_nothing() -> None:
    """What is below a value, an index of a section, and a name of a list's item are no keys either."""
    assert below("nonsense") is None
    assert below("batch", "max_bytes", "x") is None
    assert below("batch", 0) is None
    assert below("topics", "first") is None
