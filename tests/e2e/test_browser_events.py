"""What the storefront sends of a shopper, in real headless Chromium, and when it sends nothing."""

from __future__ import annotations

import time
from typing import Any

import pytest
from test_browser import (  # noqa: F401 - fixtures
    Page,
    SmallShop,
    address,
    chromium,
    page,
    pytestmark,
    shop,
)

from tandem.storage.events import EventStore

VISIT = """
Object.defineProperty(Navigator.prototype, 'doNotTrack', {get: () => %s});
Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {get: () => %s});
"""


def stored(shop: SmallShop) -> list[dict[str, Any]]:  # noqa: F811
    if shop.intake is None:
        return []
    with EventStore(shop.layout).reading() as snapshot:
        return snapshot.table().sort_by("timestamp").to_pylist()


def look_and_click(page: Page) -> None:  # noqa: F811
    page.open("/?q=speaker")
    page.until(lambda: page.all("#hits .card-link"), 60)
    time.sleep(1.3)  # results that stand for a second count
    page.one("#hits .card-link").click()
    page.until(lambda: page.all(".product-text h1"), 60)


@pytest.mark.usefixtures("page")
def test_a_search_what_was_seen_of_it_and_a_click_arrive(page: Page, shop: SmallShop) -> None:  # noqa: F811
    before = len(stored(shop))
    look_and_click(page)
    page.until(lambda: any(row["action_name"] == "click" for row in stored(shop)[before:]), 60)
    rows = stored(shop)[before:]
    actions = [row["action_name"] for row in rows]
    assert actions.count("search") == 1
    assert actions.count("click") == 1
    assert 1 <= actions.count("impression") <= 12
    search = next(row for row in rows if row["action_name"] == "search")
    click = next(row for row in rows if row["action_name"] == "click")
    assert (search["user_query"], search["total"], len(search["object_ids"])) == ("speaker", 12, 12)
    assert (search["device"], search["language"]) == ("desktop", "en")
    assert search["latency_ms"] > 0
    assert (click["object_id"], click["position"]) == (search["object_ids"][0], 1)
    assert len({row["query_id"] for row in rows}) == 1
    assert len({row["client"] for row in rows}) == len({row["session"] for row in rows}) == 1
    seen = [row["object_id"] for row in rows if row["action_name"] == "impression"]
    assert len(seen) == len(set(seen))
    assert set(seen) <= set(search["object_ids"])
    raw = page.js("return localStorage.getItem('tandem.client')")
    assert raw
    assert raw not in str(rows)


def test_letters_typed_through_are_no_searches(page: Page, shop: SmallShop) -> None:  # noqa: F811
    before = len(stored(shop))
    page.searched("/")
    page.one("#q").send_keys("sp")
    time.sleep(0.4)
    page.one("#q").send_keys("eaker")
    page.until(lambda: "“speaker”" in page.count(), 60)
    page.until(lambda: [row for row in stored(shop)[before:] if row["action_name"] == "search"], 60)
    texts = [r["user_query"] for r in stored(shop)[before:] if r["action_name"] == "search"]
    assert texts == ["speaker"]


@pytest.mark.parametrize(("dnt", "gpc"), [("'1'", "false"), ("null", "true")])
def test_a_browser_that_objects_sends_and_keeps_nothing(
    page: Page,  # noqa: F811
    shop: SmallShop,  # noqa: F811
    dnt: str,
    gpc: str,
) -> None:
    command = page.driver.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": VISIT % (dnt, gpc)}
    )
    try:
        before = len(stored(shop))
        look_and_click(page)
        time.sleep(2.2)  # the time between two sendings
        assert len(stored(shop)) == before
        assert page.js("return Object.keys(localStorage).filter((k) => k != 'theme')") == []
        assert "as your browser asks" in page.text("#recording")
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", command)


def test_a_shopper_can_switch_it_off_and_on(page: Page, shop: SmallShop) -> None:  # noqa: F811
    page.searched("/")
    page.one("#recording-choice").click()
    assert "are not recorded" in page.text("#recording")
    before = len(stored(shop))
    look_and_click(page)
    time.sleep(2.2)
    assert len(stored(shop)) == before
    assert page.js("return localStorage.getItem('tandem.client')") is None
    page.one("#recording-choice").click()
    assert "recorded under a random id" in page.text("#recording")
    look_and_click(page)
    page.until(lambda: len(stored(shop)) > before, 60)
