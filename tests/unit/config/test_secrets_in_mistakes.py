"""No mistake in a file or a variable brings a secret into a message."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.config.loader import ConfigurationError, load

SECRET = "hush7hush"
FILE = """\
kafka:
  bootstrap_servers: kafka:9092
  properties:
    sasl.password: SECRET
aep:
  inlet_url: https://dcs.adobedc.net/collection/aaaa
  headers: {x-api-key: SECRET}
  proxy_url: http://u:SECRET@proxy:3128
  auth: {token_url: "https://ims.example/token", client_id: a, client_secret: SECRET}
topics:
  - topic: web-events
"""
MISTAKES = {
    "a missing key": ("topics:\n  - topic: web-events\n", ""),
    "an alias": ("sasl.password: SECRET", "sasl.password: *SECRET"),
    "a tag": ("sasl.password: SECRET", "sasl.password: !SECRET"),
    "a percent sign": ("sasl.password: SECRET", "sasl.password: %SECRET"),
    "an at sign": ("sasl.password: SECRET", "sasl.password: @SECRET"),
    "an open quote": ("sasl.password: SECRET", 'sasl.password: "SECRET'),
    "an anchor twice": ("sasl.password: SECRET", "sasl.password: &SECRET a\n    x: &SECRET b"),
    "a colon": ("sasl.password: SECRET", "sasl.password: SECRET: SECRET"),
    "a list": ("sasl.password: SECRET", "sasl.password: [SECRET]"),
    "a mapping": ("client_secret: SECRET", "client_secret: {a: SECRET}"),
    "a misspelt property": ("sasl.password: SECRET", "sasl.pasword: SECRET"),
    "a misspelt key": ("client_secret: SECRET", "client_secrt: SECRET"),
    "a secret as a section": (
        'auth: {token_url: "https://ims.example/token", client_id: a, client_secret: SECRET}',
        "auth: SECRET",
    ),
    "a secret as headers": ("headers: {x-api-key: SECRET}", "headers: SECRET"),
    "properties as text": ("properties:\n    sasl.password: SECRET", "properties: sasl.password=SECRET"),
    "an odd proxy": ("http://u:SECRET@proxy:3128", "socks5://u:SECRET@proxy:3128"),
    "a proxy's odd port": ("http://u:SECRET@proxy:3128", "http://u:SECRET@proxy:x"),
    "a password in the inlet's URL": (
        "https://dcs.adobedc.net/collection/aaaa",
        "https://u:SECRET@dcs.adobedc.net/collection/aaaa",
    ),
    "a password in a broken URL": (
        "https://dcs.adobedc.net/collection/aaaa",
        "https://[u:SECRET@dcs.adobedc.net/collection/aaaa",
    ),
    "a key in the inlet's query": (
        "https://dcs.adobedc.net/collection/aaaa",
        "https://dcs.adobedc.net/collecton/aaaa?key=SECRET",
    ),
    "a password in the token's URL": ("https://ims.example/token", "ftp://u:SECRET@ims.example/token"),
    "a header with a line break": ("x-api-key: SECRET", 'x-api-key: "SECRET\\n"'),
    "a secret and a file": ("client_secret: SECRET", "client_secret: SECRET, client_secret_file: /nowhere"),
    "a secret instead of a file": ("client_secret: SECRET", "client_secret_file: SECRET"),
    "a password instead of a file": ("sasl.password: SECRET", "sasl.password_file: SECRET"),
    "a quote that swallows a header's name": (
        "headers: {x-api-key: SECRET}",
        'headers: {x-api-key:" SECRET}',
    ),
    "a quote in a header's name": ("headers: {x-api-key: SECRET}", "headers: {x-api-k'ey: SECRET}"),
    "a comma in place of a colon": ("headers: {x-api-key: SECRET}", "headers: {x-api-key, SECRET}"),
    "a comma in credentials": ("client_secret: SECRET", "client_secret, SECRET"),
    "no space behind a colon": ("client_secret: SECRET", "client_secret:SECRET"),
    "a wrong name elsewhere": ("  - topic: web-events", "  - topic: web events"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_no_mistake_shows_a_secret(mistake: str, tmp_path: Path) -> None:
    """Messages are logged, and a traceback shows the causes of an error, too."""
    before, after = MISTAKES[mistake]
    assert before in FILE
    (tmp_path / "c.yaml").write_text(FILE.replace(before, after).replace("SECRET", SECRET))
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "c.yaml", {}, limit=lambda: None)

    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "name",
    [
        "KAFKA__PROPERTIES",
        "AEP__HEADERS",
        "AEP__AUTH",
        "AEP__PROXY_URL",
        "AEP__AUTH__CLIENT_SECRET_FILE",
        "AEP__AUTH__CLIENT_SECRT",
        "TOPICS",
    ],
)
def test_no_variable_shows_a_secret(name: str, tmp_path: Path) -> None:
    """Broken JSON, wrong values and misspelt names are reported without the value."""
    (tmp_path / "c.yaml").write_text(FILE)
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "c.yaml", {f"AEP_BRIDGE_{name}": f"socks5://{SECRET}"}, limit=lambda: None)

    assert SECRET not in "".join(traceback.format_exception(caught.value))


@given(
    at=st.integers(0, len(FILE)),
    character=st.sampled_from(list("\t\n:{}[]\"'*&!%@#-|>, ")),
    cut=st.booleans(),
)
def test_no_slip_of_the_finger_shows_a_secret(
    at: int, character: str, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A character more, or the rest cut off: the file loads, or the error says what is wrong."""
    path = tmp_path_factory.getbasetemp() / "slip.yaml"
    rest = "" if cut else FILE[at:]
    path.write_text((FILE[:at] + character + rest).replace("SECRET", SECRET))
    try:
        shown = str(load(path, {}, limit=lambda: None).masked())
    except ConfigurationError as error:
        shown = "".join(traceback.format_exception(error))

    assert SECRET not in shown
