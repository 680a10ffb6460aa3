"""The insight page in real headless Chromium, on a shop whose search is known to be broken."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from test_browser import AUDIT, KEY, PHONE, Page, pytestmark  # noqa: F401 - marks this module too
from test_browser import chromium as chromium
from test_browser import page as page

from live_server import served
from tandem.flows.insights import InsightDesk, report_insights, simulate_shop
from tandem.flows.workspace import Workspace, open_workspace
from tandem.http.keys import AdminKey
from tandem.http.services import Services
from tandem.http.settings import ServerSettings
from tandem.storage.layout import Layout


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    if not os.environ.get("TANDEM_CHROMIUM"):
        pytest.skip("no Chromium here")
    path = tmp_path_factory.mktemp("insight") / "shop"
    broken = ("vocabulary_gap", "out_of_stock", "device", "missing_product")
    simulate_shop(path, 8_000, seed=5, broken=broken, products=2_000)
    report_insights(Layout.open(path))
    with open_workspace(path) as shop:
        yield shop


@pytest.fixture(scope="module")
def address(shop: Workspace) -> Iterator[str]:
    settings = ServerSettings(admin_key=AdminKey.of(KEY), refresh_seconds=0)
    services = Services(insights=InsightDesk(shop.layout))
    with served(shop, settings, services) as address:
        yield address


def opened(page: Page) -> None:
    page.open("/insight")
    if not page.all(".finding"):
        page.one("#key").send_keys(KEY)
        page.one("#ask-key button").click()
    page.until(lambda: page.all(".finding") or None)


def test_an_analyst_reads_the_findings_and_tries_a_fix(page: Page, shop: Workspace) -> None:
    page.open("/")
    page.one(".menu summary").click()
    page.one(".menu a[href='/insight']").click()
    page.one("#key").send_keys("not the key")
    page.one("#ask-key button").click()
    page.until(lambda: "does not open" in page.text("#key-error"))
    assert not page.all(".finding")
    page.driver.get_log("browser")  # a browser logs every 401, asked for or not
    page.one("#key").clear()
    page.one("#key").send_keys(KEY)
    page.one("#ask-key button").click()
    page.until(lambda: page.all(".finding") or None)

    findings = InsightDesk(shop.layout).report()["findings"]
    titles = [e.text for e in page.all(".finding h3")]
    assert titles == [f["title"] for f in findings]
    assert "lost" in page.text(".cost")
    assert "searches without results" in page.text(".figures")

    gap = next(f for f in findings if f["cause"] == "vocabulary_gap")
    card = f"[id='{gap['id']}']"
    page.one(f"{card} > summary").click()
    assert gap["fix"]["payload"]["rule"] in page.text(f"{card} .change")
    assert f"“{gap['examples'][0][0]['text']}”" in page.text(f"{card} .visits")
    page.one(f"{card} .primary").click()
    page.until(lambda: page.text(f"{card} .trial .label") == "Helps.", 20)
    assert "have a result" in page.text(f"{card} .trial table")

    many = next(f for f in findings if len(f["queries"]) > 1)
    card = f"[id='{many['id']}']"
    if not page.all(f"{card}[open]"):
        page.one(f"{card} > summary").click()
    page.one(f"{card} .typed > summary").click()
    assert many["queries"][0]["text"] in page.text(f"{card} .typed table")

    supply = next(f for f in findings if f["cause"] == "missing_product")
    page.one(f"[id='{supply['id']}'] > summary").click()
    assert not page.all(f"[id='{supply['id']}'] .primary")  # nothing to try


def test_it_says_that_it_is_simulated(page: Page) -> None:
    opened(page)
    assert "imulated" in page.one(".banner").text
    assert len([e for e in page.all(".banner") if e.is_displayed()]) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_names_labels_and_contrast(page: Page, scheme: str) -> None:
    page.view(scheme=scheme)
    opened(page)
    for summary in page.all(".finding > summary"):
        summary.click()
    time.sleep(0.4)  # transitions end
    assert page.js(AUDIT) == []


def test_a_phone_needs_no_sideways_scrolling(page: Page) -> None:
    page.view(PHONE)
    opened(page)
    for summary in page.all(".finding > summary"):
        summary.click()
    assert page.js("return document.documentElement.scrollWidth") <= PHONE[0]
