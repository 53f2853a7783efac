"""The status page in headless Chromium: true through an outage, and readable on every screen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from bridge.simulator import Config, Rule, Simulator
from tests.operators.conftest import Configure
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import Kafka
from tests.support.xdm import DATASETS, envelope

pytestmark = pytest.mark.timeout(150)

SCREENS = {"phone": (390, 844), "desktop": (1280, 900)}
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")

LOWEST_CONTRAST = """() => {
  const rgb = text => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const linear = value => (value /= 255) <= .03928 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4;
  const luminance = color => {
    const [red, green, blue] = color.map(linear);
    return .2126 * red + .7152 * green + .0722 * blue;
  };
  const background = node => {
    while (node && getComputedStyle(node).backgroundColor === 'rgba(0, 0, 0, 0)') node = node.parentElement;
    return node ? rgb(getComputedStyle(node).backgroundColor) : [255, 255, 255];
  };
  let lowest = 21;
  for (const node of document.querySelectorAll('h1,h2,p,li,dt,dd,th,td,caption,span,summary')) {
    if (!node.textContent.trim()) continue;
    const text = luminance(rgb(getComputedStyle(node).color)), behind = luminance(background(node));
    lowest = Math.min(lowest, (Math.max(text, behind) + .05) / (Math.min(text, behind) + .05));
  }
  return lowest;
}"""
"""The lowest contrast of a text with its background, by the formula of WCAG."""
TABLES_HAVE_HEADERS = """[...document.querySelectorAll('table')].every(
  table => table.caption && table.querySelectorAll('thead th[scope=col]').length)"""
HEADINGS = "[...document.querySelectorAll('h1,h2,h3')].map(heading => heading.tagName)"
FOCUSED_TEXT = "document.activeElement.textContent"
FOCUSED_LABEL = f"document.activeElement.getAttribute('aria-label') || {FOCUSED_TEXT}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give the system's Chromium."""
    path = next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)
    if path is None:
        pytest.fail("the status page is tested in Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


def collect_errors(page: Page) -> list[str]:
    """Return a list that gets the errors of the page's script and of its content security policy."""
    errors: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load" not in message.text:
            errors.append(message.text)

    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", on_console)
    return errors


def check_memory(page: Page, bridge: Bridge) -> None:
    """Compare the memory tiles with the kernel and with the printed ceiling.

    The memory may change a little between the page's measurement and this one.
    """
    names, texts = page.locator("#tiles dt").all_inner_texts(), page.locator("#tiles dd").all_inner_texts()
    tiles = dict(zip(names, texts, strict=True))
    now_mb, ceiling_mb = (float(part.removesuffix(" MB")) for part in tiles["Memory now"].split(" of "))
    peak_mb = float(tiles["Memory, peak since the start"].removesuffix(" MB"))

    assert abs(now_mb - bridge.memory_bytes() / 1e6) < 10
    assert now_mb <= peak_mb + 0.1
    assert abs(ceiling_mb - bridge.printed_ceiling_bytes() / 1e6) < 0.1


def test_the_page_is_true_through_an_outage_and_its_end(
    kafka: Kafka, configure: Configure, tmp_path: Path, browser: Browser
) -> None:
    """It shows delivery, then the hold with its reason and next try, then delivery again.

    It also shows dead letters by reason, and that the bridge does not answer once it is gone.
    """
    topic = kafka.clients.create_topic(unique("page"), 2)
    idle_pattern = f"^idle-{topic}-.*"
    with Simulator(Config()) as sim:
        config = configure(sim, topic, delivery={"backoff_max_s": 3})
        config["topics"].append({"topic": idle_pattern, "dataset_id": DATASETS[1]})
        with Bridge(config, tmp_path) as bridge:
            bridge.wait_assigned(2)
            page = browser.new_page()
            errors = collect_errors(page)
            page.goto(bridge.admin_url + "/")
            title, reasons = page.locator("#title"), page.locator("#reasons")
            expect(title).to_have_text("Everything is delivered", timeout=15_000)

            route = page.locator(f'tr.route[data-key="route {topic}"]')
            idle = page.locator(f'tr.route[data-key="route {idle_pattern}"]')
            inlet = bridge.status()["inlets"][0]["name"]
            expect(route.locator("th")).to_have_text(f"{topic} to inlet {inlet}, dead letters to {topic}.dlq")
            expect(idle).to_contain_text(f"dataset {DATASETS[1]}, dead letters to <topic>.dlq")
            expect(idle.locator(".why")).to_have_text("no partition on this replica")
            rows = [row.get_attribute("data-key") for row in page.locator("#partitions tr").all()]
            assert rows == [f"route {topic}", f"{topic}/0", f"{topic}/1", f"route {idle_pattern}"]

            before = [envelope(f"a{number}", sim.config.org) for number in range(500)]
            kafka.clients.produce(topic, [*before, b"not json"])
            expect(page.locator("#dead th")).to_have_text("not_json", timeout=15_000)
            expect(page.locator("#dead")).to_contain_text(f"{topic}/0/500")

            sim.fault(Rule(action="status", status=503))
            kafka.clients.produce(topic, [envelope(f"b{number}", sim.config.org) for number in range(200)])
            expect(page.locator("#verdict")).to_have_class("stopped", timeout=30_000)
            expect(title).to_contain_text("held")
            expect(reasons).to_contain_text("503")
            expect(reasons).to_contain_text("next try in")
            partition = page.locator(f'tr[data-key="{topic}/0"]')
            assert partition.locator(".why").inner_text()
            expect(partition.locator("td").nth(2)).to_have_text("200", timeout=10_000)
            expect(route.locator("td").nth(2)).to_have_text("200")
            expect(route.locator(".why")).to_have_text("1 of 2 wait")
            assert page.title().startswith("!")
            check_memory(page, bridge)

            sim.faults.clear()
            expect(title).to_have_text("Everything is delivered", timeout=30_000)
            expect(partition.locator("td").nth(2)).to_have_text("0", timeout=10_000)
            expect(partition.locator("td").nth(0)).to_have_text("701")
            assert partition.locator(".why").inner_text() == ""

            assert bridge.stop() == 0
            expect(title).to_have_text("The bridge does not answer", timeout=15_000)
            assert errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SCREENS)
def test_the_page_fits_the_screen_and_can_be_read_and_used_by_keyboard(
    size: str, scheme: str, kafka: Kafka, configure: Configure, tmp_path: Path, browser: Browser
) -> None:
    """It does not scroll sideways, its contrast is 4.5, and headings and tables have their structure.

    No secret is anywhere in it.
    """
    topic = kafka.clients.create_topic(unique("look"), 3)
    with Simulator(Config(require_auth=True)) as sim:
        sim.fault(Rule(action="status", status=429, retry_after_s=60))
        auth = {
            "token_url": sim.token_url,
            "client_id": "bridge",
            "client_secret": "secret-canary",
            "scope": "openid",
        }
        sim.configure({"client_secrets": ["secret-canary"]})
        with Bridge(configure(sim, topic, aep={"auth": auth}), tmp_path) as bridge:
            events = [envelope(f"a{number}", sim.config.org) for number in range(50)]
            kafka.clients.produce(topic, [b"[1]", *events])
            bridge.wait_assigned(3)
            width, height = SCREENS[size]
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            errors = collect_errors(page)
            page.goto(bridge.admin_url + "/")
            expect(page.locator("#partitions tr:not(.route)")).to_have_count(3, timeout=15_000)
            expect(page.locator("#reasons")).to_contain_text("429", timeout=15_000)
            page.screenshot(path=str(tmp_path / f"{size}-{scheme}.png"), full_page=True)

            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert page.evaluate(TABLES_HAVE_HEADERS)
            assert page.evaluate(HEADINGS) == ["H1", "H2", "H2", "H2", "H2"]
            assert page.evaluate(LOWEST_CONTRAST) >= 4.5
            page.keyboard.press("Tab")
            assert page.evaluate(FOCUSED_TEXT) == "Skip to the partitions"
            reached = set()
            for _ in range(12):
                page.keyboard.press("Tab")
                reached.add(page.evaluate(FOCUSED_LABEL))
            sections, controls = (
                {"Partitions", "Inlets", "Dead letters"},
                {"Show, secrets masked", "JSON", "Metrics"},
            )
            assert reached >= sections | controls
            assert "secret-canary" not in page.content()
            assert errors == []


def test_the_status_for_scripts_has_the_same_verdict_as_the_page(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """/api/status has the page's title, its level and its reasons."""
    topic = kafka.clients.create_topic(unique("api"), 1)
    with Simulator(Config()) as sim, Bridge(configure(sim, topic), tmp_path) as bridge:
        bridge.wait_assigned(1)
        until(lambda: bridge.status()["summary"]["title"] == "Everything is delivered", 15, "not well")
        well = {"level": "ok", "title": "Everything is delivered", "reasons": []}

        assert bridge.status()["summary"] == well
