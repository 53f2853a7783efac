"""The status page in headless Chromium: truthful through an outage and its end, for every size of screen and both colour schemes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from bridge.simulator import Config, Rule, Simulator
from tests.hostile.conftest import ceiling
from tests.operators.conftest import Configure
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import Kafka
from tests.support.xdm import DATASETS, envelope

pytestmark = pytest.mark.timeout(150)
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("the status page is tested in Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


def _watched(page: Page) -> list[str]:
    """Errors of the page's script and of its content security policy, collected."""
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",
        lambda message: (
            wrong.append(message.text)
            if message.type == "error" and "Failed to load" not in message.text
            else None
        ),
    )
    return wrong


def _lag(page: Page) -> str:
    return page.locator("#tiles dd").first.inner_text()


def _memory_is_true(page: Page, bridge: Bridge) -> None:
    """Now is what the kernel says of the process, give or take what changes meanwhile; the peak is no less; the ceiling is the one that was printed."""
    tiles = dict(
        zip(
            page.locator("#tiles dt").all_inner_texts(),
            page.locator("#tiles dd").all_inner_texts(),
            strict=True,
        )
    )
    now, top = (float(part.removesuffix(" MB")) for part in tiles["Memory now"].split(" of "))
    peak = float(tiles["Memory, peak since the start"].removesuffix(" MB"))
    assert bridge.process is not None
    lines = Path(f"/proc/{bridge.process.pid}/status").read_text().splitlines()
    real = next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmRSS:"))

    assert abs(now - real) < 10
    assert now <= peak + 0.1
    assert abs(top - ceiling(bridge) / 1e6) < 0.1


def test_the_page_tells_the_truth_through_an_outage_and_its_end(
    kafka: Kafka, configure: Configure, tmp_path: Path, browser: Browser
) -> None:
    """Delivered, held with the reason and the next try, delivered again; dead letters by reason; and "does not answer" once the bridge is gone."""
    topic = kafka.clients.create_topic(unique("page"), 2)
    with Simulator(Config()) as sim:
        config = configure(sim, topic, delivery={"backoff_max_s": 3})
        config["topics"].append({"topic": f"^idle-{topic}-.*", "dataset_id": DATASETS[1]})
        with Bridge(config, tmp_path) as bridge:
            bridge.wait_assigned(2)
            page = browser.new_page()
            wrong = _watched(page)
            page.goto(bridge.admin_url + "/")
            expect(page.locator("#title")).to_have_text("Everything is delivered", timeout=15_000)
            route, idle = (
                page.locator(f'tr.route[data-key="route {name}"]') for name in (topic, f"^idle-{topic}-.*")
            )
            expect(route.locator("th")).to_have_text(
                f"{topic} to inlet {bridge.status()['inlets'][0]['name']}, dead letters to {topic}.dlq"
            )
            expect(idle).to_contain_text(f"dataset {DATASETS[1]}, dead letters to <topic>.dlq")
            expect(idle.locator(".why")).to_have_text("no partition on this replica")
            assert [row.get_attribute("data-key") for row in page.locator("#partitions tr").all()] == [
                f"route {topic}",
                f"{topic}/0",
                f"{topic}/1",
                f"route ^idle-{topic}-.*",
            ]
            kafka.clients.produce(
                topic, [envelope(f"a{number}", sim.config.org) for number in range(500)] + [b"not json"]
            )
            expect(page.locator("#dead th")).to_have_text("not_json", timeout=15_000)
            expect(page.locator("#dead")).to_contain_text(f"{topic}/0/500")
            rule = sim.fault(Rule(action="status", status=503))
            kafka.clients.produce(topic, [envelope(f"b{number}", sim.config.org) for number in range(200)])
            expect(page.locator("#verdict")).to_have_class("stopped", timeout=30_000)
            expect(page.locator("#title")).to_contain_text("held")
            expect(page.locator("#reasons")).to_contain_text("503")
            expect(page.locator("#reasons")).to_contain_text("next try in")
            row = page.locator(f'tr[data-key="{topic}/0"]')
            assert row.locator(".why").inner_text()
            expect(row.locator("td").nth(2)).to_have_text("200", timeout=10_000)
            expect(route.locator("td").nth(2)).to_have_text("200")
            expect(route.locator(".why")).to_have_text("1 of 2 wait")
            assert page.title().startswith("!")
            _memory_is_true(page, bridge)
            sim.faults.clear()
            assert rule
            expect(page.locator("#title")).to_have_text("Everything is delivered", timeout=30_000)
            expect(row.locator("td").nth(2)).to_have_text("0", timeout=10_000)
            expect(row.locator("td").nth(0)).to_have_text("701")
            assert row.locator(".why").inner_text() == ""
            assert bridge.stop() == 0
            expect(page.locator("#title")).to_have_text("The bridge does not answer", timeout=15_000)

            assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_page_fits_and_can_be_read(
    size: str, scheme: str, kafka: Kafka, configure: Configure, tmp_path: Path, browser: Browser
) -> None:
    """No sideways scrolling of the page, contrast of 4.5, headings in order, every table with its caption and headers, all by keyboard; no secret anywhere."""
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
            kafka.clients.produce(
                topic, [b"[1]", *[envelope(f"a{number}", sim.config.org) for number in range(50)]]
            )
            bridge.wait_assigned(3)
            width, height = SIZES[size]
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            wrong = _watched(page)
            page.goto(bridge.admin_url + "/")
            expect(page.locator("#partitions tr:not(.route)")).to_have_count(3, timeout=15_000)
            expect(page.locator("#reasons")).to_contain_text("429", timeout=15_000)
            page.screenshot(path=str(tmp_path / f"{size}-{scheme}.png"), full_page=True)

            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert page.evaluate(
                "[...document.querySelectorAll('table')].every(t => t.caption && t.querySelectorAll('thead th[scope=col]').length)"
            )
            assert page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => h.tagName)") == [
                "H1",
                "H2",
                "H2",
                "H2",
                "H2",
            ]
            assert page.evaluate(CONTRAST) >= 4.5
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.textContent") == "Skip to the partitions"
            reached = set()
            for _ in range(12):
                page.keyboard.press("Tab")
                reached.add(
                    page.evaluate(
                        "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
                    )
                )
            assert reached >= {
                "Partitions",
                "Inlets",
                "Dead letters",
                "Show, secrets masked",
                "JSON",
                "Metrics",
            }
            assert "secret-canary" not in page.content()
            assert wrong == []


CONTRAST = """() => {
  const rgb = text => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b };
  let worst = 21;
  for (const node of document.querySelectorAll('h1,h2,p,li,dt,dd,th,td,caption,span,summary')) {
    if (!node.textContent.trim()) continue;
    let under = node;
    while (under && getComputedStyle(under).backgroundColor === 'rgba(0, 0, 0, 0)') under = under.parentElement;
    const a = light(rgb(getComputedStyle(node).color)), b = light(under ? rgb(getComputedStyle(under).backgroundColor) : [255, 255, 255]);
    worst = Math.min(worst, (Math.max(a, b) + .05) / (Math.min(a, b) + .05));
  }
  return worst;
}"""


def test_the_status_says_how_it_stands(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """/api/status carries the same verdict as the page, for scripts."""
    topic = kafka.clients.create_topic(unique("api"), 1)
    with Simulator(Config()) as sim, Bridge(configure(sim, topic), tmp_path) as bridge:
        bridge.wait_assigned(1)
        until(lambda: bridge.status()["summary"]["title"] == "Everything is delivered", 15, "not well")

        assert bridge.status()["summary"] == {
            "level": "ok",
            "title": "Everything is delivered",
            "reasons": [],
        }
