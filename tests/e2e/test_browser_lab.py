"""The lab in real headless Chromium: health before effects, live figures, reports to read."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from test_browser import AUDIT, KEY, PHONE, Page, pytestmark  # noqa: F401 - marks this too
from test_browser import chromium as chromium
from test_browser import page as page

from live_server import served
from tandem.contracts.judgment import JudgmentList
from tandem.flows.experiment import keep_analysis
from tandem.flows.lab import LabDesk
from tandem.flows.reporting import keep
from tandem.http.keys import AdminKey
from tandem.http.services import Services
from tandem.http.settings import ServerSettings
from tandem.storage.atomic import write_json_atomic
from tandem.storage.judgments import save_judgments
from tandem.storage.layout import Layout, Settings

sys.path.insert(0, str(Path(__file__).parents[1] / "reports"))
from small_experiments import SmallExperiments
from small_registry import SmallRegistry
from small_reports import EXPERIMENTS, REPORTS
from small_shop import SmallShop
from small_slots import SmallSlots

BOARD = {
    "source": "leaderboard",
    "dataset": "shop",
    "task": "ranking",
    "chief": "nDCG@10",
    "simulated": True,
    "protocol": "40 judged queries of the workspace",
    "entries": [
        {
            "system": name,
            "measures": {"nDCG@10": {"value": value, "low": value - 0.05, "high": value + 0.04}},
            "p99_ms": 12.0,
            "failed": None,
            "notes": [],
        }
        for name, value in (("ltr", 0.73), ("hybrid", 0.7), ("bm25", 0.66))
    ],
}


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    from dataclasses import replace

    layout = Layout.create(tmp_path_factory.mktemp("lab") / "shop", Settings(simulated=True))
    judged = {"desk lamp": {"P001": 3, "P002": 1}, "speaker": {"P003": 2, "P004": 0}}
    save_judgments(layout, JudgmentList(judged, "team"))
    for verdict, found in EXPERIMENTS.items():
        keep_analysis(layout, replace(found, name=f"Test {verdict}"))
    write_json_atomic(layout.reports / "leaderboard.json", BOARD)
    for name in ("weekly decide", "experiment ship executive"):
        keep(layout, REPORTS[name])
    return layout


@pytest.fixture(scope="module")
def address(layout: Layout) -> Iterator[str]:
    settings = ServerSettings(admin_key=AdminKey.of(KEY), refresh_seconds=0)
    services = Services(
        registry=SmallRegistry(),
        lab=LabDesk(layout),
        experiments=SmallExperiments(),
        slots=SmallSlots(),
    )
    with served(SmallShop(), settings, services) as address:
        yield address


def opened(page: Page) -> None:
    page.open("/lab")
    if not page.js("return sessionStorage.getItem('admin-key')"):
        page.one("#bench-key").send_keys(KEY)
        page.one("#ask-key button").click()
    page.until(lambda: page.one("#experiments .experiment"))


def test_figures_are_for_analysts_and_the_registry_for_all(page: Page) -> None:
    page.open("/lab")
    page.until(lambda: page.all("#models > li"))
    assert not page.one("#ask-key").get_attribute("hidden")
    assert not [e for e in page.all(".keyed") if e.is_displayed()]
    page.one("#bench-key").send_keys("not the key")
    page.one("#ask-key button").click()
    page.until(lambda: "does not open" in page.text("#key-error"))
    page.driver.get_log("browser")  # a browser logs every 401, asked for or not
    page.one("#bench-key").clear()
    page.one("#bench-key").send_keys(KEY)
    page.one("#ask-key button").click()
    page.until(lambda: page.one("#experiments .experiment"))
    assert not page.all("#ask-key")[0].is_displayed()
    assert "team" in page.text("#sets")
    assert "2 queries, 4 judged products" in page.text("#sets")
    ranks = [e.text for e in page.all("#board b")]
    assert ranks == ["1. ltr", "2. hybrid", "3. bm25"]
    assert "Simulated data" in page.text("#board-note")


def test_health_stands_before_effects_and_without_it_there_are_none(page: Page) -> None:
    opened(page)
    kept = page.all("#experiments .experiment")
    cards = {c.find_element(By.TAG_NAME, "h3").text: c for c in kept}
    assert set(cards) == {f"Test {verdict}" for verdict in EXPERIMENTS}
    good = cards["Test ship"]
    assert good.find_element(By.CSS_SELECTOR, "summary .label").text == "Ship"
    good.find_element(By.TAG_NAME, "summary").click()
    page.until(lambda: good.find_elements(By.CSS_SELECTOR, ".effects li"))
    text = good.text
    assert text.index("Can it be trusted?") < text.index("What it showed")
    assert "Simulated" in text
    e = EXPERIMENTS["ship"].effects["revenue"]
    bar = good.find_element(By.CSS_SELECTOR, ".effects .delta.good")
    at, low, high = (
        float(page.js(f"return arguments[0].style.getPropertyValue('--{p}')", bar))
        for p in ("at", "low", "high")
    )
    assert (low - 0.5) / (at - 0.5) == pytest.approx(e.relative_always_low / e.relative, rel=1e-6)
    assert (high - 0.5) / (at - 0.5) == pytest.approx(e.relative_always_high / e.relative, rel=1e-6)
    bad = cards["Test invalid"]
    bad.find_element(By.TAG_NAME, "summary").click()
    page.until(lambda: "not as big as planned" in bad.text)
    assert not bad.find_elements(By.CSS_SELECTOR, ".effects li")


def test_what_runs_in_the_server_is_shown_with_its_health(page: Page) -> None:
    opened(page)
    page.until(lambda: "One runs now" in page.text("#running > h3"))
    page.one("#running summary").click()
    page.until(lambda: "control 50, words 52" in page.text("#running .items"))
    assert "as big as planned" in page.text("#running .items")
    assert page.text("#running .label") == "Running"
    assert "What “words” shows so far" in page.text("#running .experiment")
    assert page.text("#running .effects .num").startswith("+10%")
    assert "[object" not in page.text("main")


def test_a_slot_is_shown_with_its_arms_and_stopped(page: Page) -> None:
    opened(page)
    page.until(lambda: page.all("#slots .slot"))
    assert "What a page shows. 360 showings, 60 of anything but the first" in page.text("#slots")
    assert [e.text for e in page.all("#slots .num")] == ["10%", "20%"]
    assert "chance of 80% now" in page.text("#slots li")
    assert "Simulated" in page.text("#slots .banner")
    page.one("#slots button").click()
    page.one("#why").send_keys("enough")
    page.one("#key").clear()
    page.one("#key").send_keys(KEY, Keys.ENTER)
    page.until(lambda: page.text("#decide-head") == "It is stopped")
    page.one("#cancel").click()
    page.until(lambda: page.text("#slots .label") == "stopped")
    assert not page.all("#slots button")


def test_a_recommender_is_promoted_once_somebody_approved(page: Page) -> None:
    opened(page)
    page.until(lambda: page.all("#others li"))
    assert page.text("#others h3") == "Recommender"
    assert page.text("#others .label") == "candidate"
    assert page.one("#others a").get_attribute("href").endswith("/card")
    buttons = page.all("#others button")
    next(b for b in buttons if b.text.startswith("Promote")).click()
    page.one("#why").send_keys("newer")
    page.one("#key").clear()
    page.one("#key").send_keys(KEY, Keys.ENTER)
    page.until(lambda: page.text("#decide-head") == "Not promoted")
    assert "nobody has approved" in page.text("#gates")
    page.one("#cancel").click()
    buttons = page.all("#others button")
    next(b for b in buttons if b.text.startswith("Promote")).click()
    page.one("#why").send_keys("newer")
    page.one("#approved-by").send_keys("the privacy officer", Keys.ENTER)
    page.until(lambda: page.text("#decide-head") == "It is live")
    page.one("#cancel").click()
    page.until(lambda: page.text("#others .label") == "live")


def test_live_figures_move(page: Page) -> None:
    opened(page)
    assert "–" in page.text("#now li:nth-child(3) b") or "%" in page.text("#now li:nth-child(3) b")
    page.js("fetch('/v1/search?q=zzzzzz'); fetch('/v1/search?q=speaker')")
    page.until(lambda: "2 searches" in page.text("#now li:nth-child(3)"))
    assert page.text("#now li:nth-child(3) b") == "50%"
    # Behind one address a server that has just started may answer next.
    page.js("""
        const plain = window.fetch;
        window.fetch = async (address, options) => {
          const answer = await plain(address, options);
          if (!String(address).includes("/v1/lab/monitor")) return answer;
          const seen = await answer.json();
          const body = JSON.stringify({ ...seen, seconds: 0.1, requests: seen.requests + 500 });
          return new Response(body, { headers: { "Content-Type": "application/json" } });
        };
    """)
    page.until(lambda: float(page.text("#now li:nth-child(1) b")) > 50)


def test_a_report_is_read_in_a_sandbox_and_looks_like_itself(page: Page) -> None:
    opened(page)
    first = page.one("#reports li")
    first.find_element(By.TAG_NAME, "button").click()
    frame = page.one("#viewer iframe")
    assert frame.get_attribute("sandbox") == ""
    saves = [b.text for b in page.all("#viewer .acts button")]
    assert {"Save as HTML", "Save as Markdown", "Save as JSON", "Save as E-mail"} <= set(saves)
    page.driver.switch_to.frame(frame)
    try:
        page.until(lambda: page.text("h1"))
        assert "Simulated data" in page.text(".notice")
        # Its style is there: the notice has its colour.
        colour = page.one(".notice").value_of_css_property("background-color")
        assert colour != "rgba(0, 0, 0, 0)"
    finally:
        page.driver.switch_to.default_content()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_names_labels_and_contrast(page: Page, scheme: str) -> None:
    page.view(scheme=scheme)
    opened(page)
    for summary in page.all("details:not(.menu) > summary"):
        if summary.is_displayed():
            summary.click()
    time.sleep(0.4)  # transitions end
    assert page.js(AUDIT) == []


def test_a_phone_needs_no_sideways_scrolling(page: Page) -> None:
    page.view(PHONE)
    opened(page)
    for summary in page.all(".experiment > summary"):
        summary.click()
    page.one("#reports button").click()
    page.one("#viewer iframe")
    assert page.js("return document.documentElement.scrollWidth") <= PHONE[0]
