"""The pages in real headless Chromium on a real workspace with a simulated catalogue."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from test_browser import AUDIT, DESK, KEY, PHONE, Page, option, pytestmark  # noqa: F401 - marks this module too
from test_browser import chromium as chromium
from test_browser import page as page

from live_server import served
from tandem.contracts.parties import Content
from tandem.contracts.recommend import Kind, RecommendRequest, Visit
from tandem.flows.alliance import simulate_alliance
from tandem.flows.import_ import create_workspace, import_simulated
from tandem.flows.index import build_index
from tandem.flows.train_recommender import train_recommender
from tandem.flows.workspace import Workspace, open_workspace
from tandem.http.keys import AdminKey
from tandem.http.settings import ServerSettings
from tandem.storage.events import EventStore
from tandem.storage.parties import write_parties


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    if not os.environ.get("TANDEM_CHROMIUM"):
        pytest.skip("no Chromium here")
    layout = create_workspace(tmp_path_factory.mktemp("shop") / "ws", simulated=True)
    import_simulated(layout, 250)
    build_index(layout)
    with open_workspace(layout.root) as shop:
        yield shop


@pytest.fixture(scope="module")
def address(shop: Workspace) -> Iterator[str]:
    settings = ServerSettings(admin_key=AdminKey.of(KEY))
    with served(shop, settings) as address:
        yield address


def test_from_the_first_letter_to_the_product(page: Page, shop: Workspace) -> None:
    page.searched("/")
    assert "Simulated catalogue" in page.text(".banner")
    page.keys("/")
    page.keys("sho")
    page.until(lambda: any("shoes" in o.text for o in page.all("#suggestions [role=option]")))
    page.keys("es", Keys.ENTER)
    page.until(lambda: "“shoes”" in page.count())
    total = shop.search("shoes").total
    assert page.count().startswith(f"{total} result")
    brand = page.one("[data-facet='brand'] .option")
    name, promised = brand.text.split("\n")
    brand.click()
    page.until(lambda: page.count().startswith(f"{promised} result"))
    assert {b.text for b in page.all("#hits .brand")[: int(promised)]} == {name}
    title = page.text("#hits h3")
    page.one("#hits .card-link").click()
    page.until(lambda: page.text(".product h1") == title)
    page.driver.back()
    page.until(lambda: page.count().startswith(f"{promised} result"))


def test_a_product_has_similar_ones_and_what_goes_with_it(
    page: Page, shop: Workspace, tmp_path: Path
) -> None:
    rows = [
        {"session_id": f"s{i}", "item_id": f"SIM-{n:07d}", "timestamp": i, "action": "purchase"}
        for i in range(3)
        for n in (1, 2, 3)
    ]
    page.open("/p/SIM-0000001")
    page.until(lambda: len(page.all("#similar .card")) == 5)
    assert page.text("#more-head") == "Similar products"
    assert not page.all("#with")[0].is_displayed()
    events = tmp_path / "events.jsonl"
    events.write_text("\n".join(map(json.dumps, rows)))
    train_recommender(shop.layout, events)
    shop.refresh()
    page.open("/p/SIM-0000001")
    page.until(lambda: page.all("#with")[0].is_displayed())
    found = [c.get_attribute("data-id") for c in page.all("#along .card")]
    assert set(found) == {"SIM-0000002", "SIM-0000003"}
    rows_follow_the_shopper(page, shop, str(found[0]))
    page.one("#along .card-link").click()
    page.until(lambda: page.text(".product h1") == shop.product(str(found[0])).title)


def rows_follow_the_shopper(page: Page, shop: Workspace, first: str) -> None:
    """Each row of a product's page is personal when the shopper says so, can be everybody's for
    once, and forgets."""
    assert page.all("#more-choice")[0].text.startswith("The same for everybody")
    press(page, "#complementary-choice")
    page.until(lambda: page.all("#complementary-reset"))
    who = page.js("return localStorage.getItem('tandem.client')")
    press(page, "#along .away")
    page.until(lambda: len(page.all("#along .card")) == 1)
    assert shop.visitors.known(who).hidden == (first,)
    press(page, "#complementary-plain")
    page.until(lambda: len(page.all("#along .card")) == 2)
    assert page.text("#complementary-plain") == "Show mine"
    press(page, "#complementary-plain")
    page.until(lambda: len(page.all("#along .card")) == 1)
    press(page, "#complementary-reset")
    page.until(lambda: len(page.all("#along .card")) == 2)
    assert shop.visitors.known(who).hidden == ()
    press(page, "#complementary-choice")
    page.until(lambda: not page.all("#complementary-reset"))
    assert not shop.visitors.known(who).consent


def test_the_feed_is_everybodys_until_the_shopper_says_so(page: Page, shop: Workspace) -> None:
    def sources() -> list[str]:
        return [e.text for e in page.all("#feed .kind")]

    page.open("/")
    page.until(lambda: len(page.all("#feed .card")) == 10)
    assert page.text("#feed-head") == "From the shop"
    assert page.js("return localStorage.getItem('tandem.personal')") is None
    page.one("#personal-choice").click()
    page.until(lambda: page.all("#personal-reset"))
    assert page.text("#feed-head") == "From the shop"
    page.open("/p/SIM-0000007")
    who = page.js("return localStorage.getItem('tandem.client')")
    page.until(lambda: shop.visitors.known(who).recent == ("SIM-0000007",))
    page.open("/")
    page.until(lambda: page.text("#feed-head") == "For you")
    assert len(sources()) == 10
    page.one("#feed .why button").click()
    page.until(lambda: page.text("#feed .why p").endswith("."))
    first = page.one("#feed .card").get_attribute("data-id")
    page.one("#feed .away").click()
    page.until(lambda: first not in [c.get_attribute("data-id") for c in page.all("#feed .card")])
    page.one("#personal-reset").click()
    page.until(lambda: page.text("#feed-head") == "From the shop")
    page.one("#personal-choice").click()
    page.until(lambda: not page.all("#personal-reset"))
    assert not shop.visitors.known(who).consent


def test_search_is_in_the_shoppers_own_order_once_allowed(page: Page, shop: Workspace) -> None:
    def order() -> list[str]:
        return [str(c.get_attribute("data-id")) for c in page.all("#hits .card")]

    page.searched("/?q=shoes")
    everybodys = order()
    assert not page.all("#personal")
    page.open("/you")
    page.one("#start").click()
    page.until(lambda: page.all("#download"))
    who = page.js("return localStorage.getItem('tandem.client')")
    looked = everybodys[4]
    page.open(f"/p/{looked}")
    page.until(lambda: shop.visitors.known(who).recent == (looked,))
    page.searched("/?q=shoes")
    page.until(lambda: page.all("#personal"))
    own = order()
    assert own == [h.product.id for h in shop.search("shoes", k=24, client_id=who).hits]
    assert own != everybodys
    page.one("#personal a").click()
    page.until(lambda: order() == everybodys)
    assert "plain=1" in page.query()
    page.one("#personal a").click()
    page.until(lambda: order() == own)
    page.one("#hits .away").click()
    page.until(lambda: order() and order()[0] != own[0])
    assert shop.visitors.known(who).hidden == (own[0],)
    page.one("#personal-again").click()
    page.until(lambda: order() == everybodys)
    assert shop.visitors.known(who).recent == ()


def press(page: Page, selector: str) -> None:
    """Press a button wherever the page has scrolled to: not under the header."""
    page.js("arguments[0].scrollIntoView({ block: 'center' })", page.one(selector))
    page.one(selector).click()


def test_a_shopper_sees_corrects_takes_along_and_ends_what_is_kept(
    page: Page, shop: Workspace
) -> None:
    page.open("/you")
    page.until(lambda: "Nothing is kept" in page.text("#standing"))
    assert not page.all("#kept")[0].is_displayed()
    page.one("#start").click()
    page.until(lambda: page.all("#download"))
    who = page.js("return localStorage.getItem('tandem.client')")
    brand = shop.product("SIM-0000001").brand
    same = [h.product.id for h in shop.search(str(brand), k=50).hits if h.product.brand == brand]
    shop.visitors.visit(who, [Visit(product_id=p) for p in same[:2]])
    shop.visitors.visit(who, [Visit(product_id="SIM-0000050", action="not_interested")])
    page.open("/you")
    page.until(lambda: len(page.all("#looked li")) == 2)
    assert "2 products that you looked at" in page.text("#standing")
    assert f"Brand: {brand}" in page.text("#interests")
    assert "Looked at" in page.text("#looked")
    press(page, "#unwanted button")
    page.until(lambda: shop.visitors.known(who).hidden == ())
    page.js(
        "window.saved = null; const made = URL.createObjectURL;"
        "URL.createObjectURL = (b) => {"
        " b.text().then((t) => { window.saved = t; }); return made(b); }"
    )
    press(page, "#download")
    saved = json.loads(str(page.until(lambda: page.js("return window.saved"))))
    assert [v["product_id"] for v in saved["visits"]] == same[:2]
    page.until(lambda: f"Brand: {brand}" in page.text("#interests"))
    press(page, f"#interests button[aria-label*='{brand}']")
    page.until(lambda: shop.visitors.known(who).recent == ())
    page.until(lambda: "nothing is kept yet" in page.text("#standing"))
    shop.visitors.visit(who, [Visit(product_id=p) for p in same[:2]])
    shop.visitors.visit(who, [Visit(product_id="SIM-0000050", action="not_interested")])
    for size, scheme in ((DESK, "dark"), (PHONE, "light")):
        page.view(size, scheme)
        page.open("/you")
        page.until(lambda: len(page.all("#looked li")) == 2)
        time.sleep(0.4)  # transitions end
        assert page.js(AUDIT) == []
        assert page.js("return document.documentElement.scrollWidth") <= size[0]
    page.view()
    press(page, "#stop")
    page.until(lambda: page.all("#start"))
    assert not shop.visitors.known(who).consent


def test_every_count_of_a_facet_is_what_its_filter_finds(page: Page) -> None:
    page.searched("/?q=shoes")
    names = [o.text.split("\n") for o in page.all("[data-facet='colour'] .option")]
    assert names
    for name, promised in names:
        option(page, "colour", name).click()
        page.until(lambda n=promised: page.count().startswith(f"{n} result"))
        option(page, "colour", name).click()
        page.until(lambda: not page.all(".chip"))


def test_why_this_result_is_a_sentence(page: Page) -> None:
    page.searched("/?q=shoes")
    page.one(".why button").click()
    page.until(lambda: page.text(".why p").endswith("."))


def test_workbench_on_the_workspace(page: Page, shop: Workspace) -> None:
    page.open("/workbench?a=bm25&b=hybrid")
    page.until(lambda: len(page.all("#rows .open")) > 10, 30)
    page.until(lambda: page.all(".hit"))
    query = page.one("#rows tr.current .open").text
    page.js("document.querySelector('.hit').focus()")
    product = str(page.one(".hit.at").get_attribute("data-id"))
    verdict = shop.judgments(query).get(product)
    page.keys("0" if verdict else "2")
    page.until(lambda: page.one("#key-dialog").is_displayed())
    page.one("#key").send_keys(KEY, Keys.ENTER)
    page.until(lambda: shop.judgments(query).get(product) == (0 if verdict else 2))
    label = "Irrelevant" if verdict else "Substitute"
    page.until(
        lambda: (
            page.one(f".hit[data-id='{product}']").find_element(By.CLASS_NAME, "grade").text
            == label
        )
    )


def test_a_video_in_the_feed_says_that_it_is_simulated_and_paid_for(
    page: Page, shop: Workspace
) -> None:
    simulate_alliance(shop.layout, creators=40, pieces=200, viewers=10)
    shop.refresh()
    page.open("/")
    page.until(lambda: page.all("#feed .clip"))
    clips = page.all("#feed .clip")
    assert 0 < len(clips) <= 10  # the recommender of this shop knows three products only
    assert all("Simulated video" in c.text for c in clips)
    answer = shop.recommend(RecommendRequest(kind=Kind.FEED, size=10))
    paid = [i for i in answer.items if i.video and i.video.paid]
    assert sum("Paid partnership" in c.text for c in clips) == len(paid)
    title = clips[0].find_element(By.CSS_SELECTOR, "h3").text
    clips[0].find_element(By.CSS_SELECTOR, ".card-link").click()
    page.until(lambda: page.text(".product h1") == title)


PLAYED = """
HTMLMediaElement.prototype.play = function () { return Promise.resolve(); };
document.querySelector('#feed button.play').click();
const player = document.querySelector('#feed video');
for (const at of [0.5, 1.5, 2.5, 9, 9.5]) {
  Object.defineProperty(player, 'currentTime', { value: at, configurable: true });
  player.dispatchEvent(new Event('timeupdate'));
}
player.dispatchEvent(new Event('pause'));
return [player.getAttribute('src'), player.controls, player.preload];
"""


def test_an_imported_video_is_played_where_it_is_asked_for(page: Page, shop: Workspace) -> None:
    """Nothing is fetched before the shopper plays it, and how long it was watched is an event:
    three seconds of these, as a jump is not watched. Chromium itself plays nothing here."""
    video = Content(
        id="v1", creator_id="maker", kind="video", published=datetime(2026, 1, 1, tzinfo=UTC),
        caption="See it move", product_ids=("SIM-0000007",), duration=30,
        media_url="https://videos.example/see-it-move.mp4",
    )  # fmt: skip
    with shop.layout.writing():
        write_parties(shop.layout, "content", [video], {})
    shop.refresh()
    page.open("/")
    page.until(lambda: page.all("#feed button.play"))
    assert page.text("#feed button.play") == "Play 0:30"
    assert not page.all("#feed video")
    played = page.js(PLAYED)
    assert played == [video.media_url, True, "none"]

    def watched() -> list[dict[str, Any]]:
        with EventStore(shop.layout).reading() as snapshot:
            rows = snapshot.table().to_pylist()
        return [r for r in rows if (r["action_name"], r["object_id"]) == ("watch", "v1")]

    page.until(watched)
    (row,) = watched()
    assert (row["seconds"], row["duration"]) == (3.0, 30.0)
