"""The pages in real headless Chromium: storefront, product page and workbench.

Needs TANDEM_CHROMIUM and TANDEM_CHROMEDRIVER, which tests/with_browser.sh sets.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from live_server import served
from tandem.contracts.consent import Purpose
from tandem.contracts.product import Product
from tandem.http.keys import AdminKey
from tandem.http.services import Services
from tandem.http.settings import ServerSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "http"))
from small_office import SmallOffice
from small_registry import SmallRegistry
from small_shop import SmallShop, made_up_products

BROWSER, DRIVER = os.environ.get("TANDEM_CHROMIUM"), os.environ.get("TANDEM_CHROMEDRIVER")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (BROWSER and DRIVER), reason="no Chromium here; run tests/with_browser.sh pytest …"
    ),
]
KEY = "a-key-for-tests-only"
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync --lang=en-US"
)
NASTY = '<img src=x onerror="document.title=1/0"><b>Kaboom</b>'
PHONE, DESK = (390, 844), (1440, 900)


@pytest.fixture(scope="module")
def shop() -> SmallShop:
    nasty = Product(
        id="nasty/1 ?&#",
        title=f"Kaboom {NASTY}",
        brand=NASTY,
        category=(NASTY, "Odd > things"),
        attributes={"color": NASTY},
        description=NASTY,
    )
    arabic = Product(id="ar", title="سماعة لاسلكية", language="ar", brand="Acme")
    return SmallShop([*made_up_products(), nasty, arabic])


@pytest.fixture(scope="module")
def address(shop: SmallShop) -> Iterator[str]:
    settings = ServerSettings(admin_key=AdminKey.of(KEY), refresh_seconds=0)
    services = Services(registry=SmallRegistry(), privacy=SmallOffice())
    with served(shop, settings, services) as address:
        yield address


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


class Page:
    """A browser on this shop, with words for what a shopper does."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self.driver = driver
        self.address = address

    def view(self, size: tuple[int, int] = DESK, scheme: str = "light") -> None:
        width, height = size
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE},
        )
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
        )

    def open(self, path: str) -> None:
        self.driver.get(self.address + path)

    def until(self, true: Callable[[], Any], seconds: float = 30) -> Any:
        return WebDriverWait(self.driver, seconds, 0.05, [Exception]).until(lambda _: true())

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.until(lambda: next(e for e in self.all(selector) if e.is_displayed()))

    def text(self, selector: str) -> str:
        return self.one(selector).text

    def count(self) -> str:
        return self.text("#count")

    def searched(self, path: str) -> None:
        """Open a storefront address and wait for its results."""
        self.open(path)
        self.until(
            lambda: (
                self.all("#hits .card-link")
                or [e for e in self.all("#empty h3") if e.is_displayed()]
            )
        )

    def keys(self, *keys: str) -> None:
        self.driver.switch_to.active_element.send_keys(*keys)

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def query(self) -> str:
        return str(self.js("return decodeURIComponent(location.search)"))


@pytest.fixture
def page(chromium: webdriver.Chrome, address: str) -> Iterator[Page]:
    page = Page(chromium, address)
    page.view()
    page.open("/healthz")
    page.js("localStorage.clear(); sessionStorage.clear()")
    chromium.get_log("browser")
    yield page
    said = [
        line["message"]
        for line in chromium.get_log("browser")
        if "/v1/judgments - Failed to load resource: the server responded with a status of 401"
        not in line["message"]
    ]
    assert not said, "the console holds errors"


def test_typing_shows_results_and_suggestions_that_keys_can_take(page: Page) -> None:
    page.searched("/")
    assert "62 products" in page.count()
    page.keys("/")
    box = page.one("#q")
    assert page.driver.switch_to.active_element == box
    box.send_keys("spea")
    options = page.until(lambda: [o.text for o in page.all("#suggestions [role=option]")])
    assert options[0].startswith("bluetooth speaker")
    assert box.get_attribute("aria-expanded") == "true"
    page.until(lambda: "12 results for “spea”" in page.count())
    box.send_keys(Keys.ARROW_DOWN)
    chosen = page.one("[role=option][aria-selected=true]")
    assert box.get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    assert box.get_attribute("value") == "bluetooth speaker"
    box.send_keys(Keys.ENTER)
    page.until(lambda: "12 results for “bluetooth speaker”" in page.count())
    assert box.get_attribute("aria-expanded") == "false"
    assert "q=bluetooth+speaker" in page.query()
    page.until(
        lambda: "12 results" in page.js("return document.getElementById('live').textContent")
    )


def test_escape_gives_back_what_was_typed(page: Page) -> None:
    page.searched("/")
    box = page.one("#q")
    box.send_keys("lam")
    page.one("#suggestions [role=option]")
    box.send_keys(Keys.ARROW_DOWN)
    box.send_keys(Keys.ESCAPE)
    assert box.get_attribute("value") == "lam"
    assert not page.one("#q").get_attribute("aria-activedescendant")
    page.until(lambda: not page.all("#suggestions:not([hidden])"))


def option(page: Page, facet: str, text: str) -> WebElement:
    """The label of one value of a facet."""
    return page.until(
        lambda: next(
            o
            for o in page.all(f"[data-facet='{facet}'] .option")
            if o.find_element(By.CSS_SELECTOR, ".label").text == text
        )
    )


def test_counts_agree_with_what_a_filter_finds_and_filters_can_be_taken_back(page: Page) -> None:
    page.searched("/?q=speaker")
    promised = option(page, "brand", "Acme").find_element(By.CSS_SELECTOR, ".n").text
    option(page, "brand", "Acme").click()
    page.until(lambda: page.count().startswith(f"{promised} results"))
    assert len(page.all("#hits .card")) == int(promised)
    # A second value of one facet widens: the first facet still shows what it could add.
    more = option(page, "brand", "Delphi").find_element(By.CSS_SELECTOR, ".n").text
    option(page, "brand", "Delphi").click()
    total = int(promised) + int(more)
    page.until(lambda: page.count().startswith(f"{total} results"))
    assert [c.text for c in page.all(".chip")] == ["Brand: Acme", "Brand: Delphi"]
    page.all(".chip")[0].click()
    page.until(lambda: page.count().startswith(f"{more} results"))
    assert "brand=Delphi" in page.query()
    assert "Acme" not in page.query()
    page.driver.back()
    page.until(lambda: page.count().startswith(f"{total} results"))
    assert page.one("[data-key='brand:Acme']").is_selected()
    page.one("#clear-all").click()
    page.until(lambda: page.count().startswith("12 results"))


def test_two_quick_choices_both_count(page: Page) -> None:
    page.searched("/?q=speaker")
    page.js(
        "for (const key of ['brand:Acme', 'brand:Delphi', 'color:Teal'])"
        " document.querySelector(`[data-key='${key}']`).click()"
    )
    page.until(lambda: page.count().startswith("2 results"))
    assert [c.text for c in page.all(".chip")] == ["Brand: Acme", "Brand: Delphi", "Color: Teal"]


def test_price_rating_sort_and_pages_are_in_the_address(page: Page) -> None:
    page.searched("/")
    page.one("[data-key='price:price_max']").send_keys("200")
    page.until(lambda: "price_max=200" in page.query())
    page.one("[data-facet='rating'] .option").click()
    page.until(lambda: "rating_min=4" in page.query())
    page.one("#sort option[value=price_desc]").click()
    page.until(lambda: "sort=price_desc" in page.query())
    prices = page.until(lambda: [p.text for p in page.all("#hits .price")])
    amounts = [float(p.strip("€").replace(",", "")) for p in prices]
    assert amounts == sorted(amounts, reverse=True)
    assert max(amounts) <= 200
    address = page.driver.current_url
    page.driver.get(address)
    page.until(lambda: [p.text for p in page.all("#hits .price")] == prices)
    page.searched("/")
    first = page.text("#hits h3")
    page.one("#pages a[aria-label='Page 2']").click()
    page.until(lambda: "page=2" in page.query() and page.text("#hits h3") != first)
    assert page.one("#pages a[aria-current=page]").text == "2"
    page.driver.back()
    page.until(lambda: page.text("#hits h3") == first)


def test_a_misspelt_query_is_corrected_and_can_be_searched_as_typed(page: Page) -> None:
    page.searched("/?q=bluetoth")
    assert "Showing results for bluetooth" in page.text("#corrected")
    page.one("#corrected a").click()
    page.until(lambda: "Nothing matches “bluetoth”" in page.text("#empty"))
    assert "exact=1" in page.query()
    assert page.all("#empty .idea") or page.one("#empty .idea")
    page.driver.back()
    page.until(lambda: "12 results for “bluetooth”" in page.count())


def test_relaxation_is_said_and_an_empty_result_helps(page: Page) -> None:
    page.searched("/?q=lamp+qqqqqq")
    assert "left out “qqqqqq”" in page.text("#relaxed")
    page.searched("/?q=lamp&price_max=0.01")
    assert "with these filters" in page.text("#empty h3")
    page.one("#empty button").click()
    page.until(lambda: page.count().startswith("12 results"))


def test_why_this_result(page: Page) -> None:
    page.searched("/?q=lamp")
    button = page.one(".why button")
    button.click()
    page.until(lambda: "the words of the query" in page.text(".why p"))
    assert button.get_attribute("aria-expanded") == "true"
    button.click()
    page.until(lambda: not page.one(".card").find_element(By.CSS_SELECTOR, ".why p").is_displayed())


def test_product_page_and_back(page: Page) -> None:
    page.searched("/?q=espresso")
    title = page.text("#hits h3")
    page.one("#hits .card-link").send_keys(Keys.ARROW_RIGHT)
    assert page.driver.switch_to.active_element.text != title
    page.keys(Keys.ARROW_LEFT)
    page.keys(Keys.ENTER)
    page.until(lambda: page.text(".product h1") == title)
    assert page.text(".crumbs").split("\n")[-1].endswith("Coffee")
    assert "Color" in page.text(".properties")
    page.one("#more .card")
    page.one("#back").click()
    page.until(lambda: page.count().startswith("12 results"))
    page.open("/p/nothing-here")
    page.until(lambda: "not here" in page.text(".product h1"))
    page.driver.get_log("browser")  # the browser itself reports the 404


def test_nothing_in_a_product_becomes_markup(page: Page) -> None:
    page.searched("/?q=kaboom")
    assert NASTY in page.text("#hits h3 a")
    page.one("#hits .card-link").click()
    page.until(lambda: NASTY in page.text(".product h1"))
    assert page.text(".description") == NASTY
    assert not page.all("main b:not([aria-hidden]), main img")
    page.open("/workbench?q=kaboom")
    page.until(lambda: NASTY in page.text(".hit .what a"))
    assert not page.all(".hit img")


def test_the_simulated_catalogue_is_named_on_top_of_every_page(page: Page) -> None:
    shoppers = ("/", "/?q=lamp", "/p/P001", "/you")
    for path in (*shoppers, "/workbench", "/seller", "/studio", "/lab"):
        page.open(path)
        banner = page.one(".banner")
        assert "Simulated catalogue" in banner.text
        assert banner.rect["y"] == 0


def test_dark_follows_the_system_and_the_switch_is_kept(page: Page) -> None:
    def luminance() -> float:
        colour = page.js("return getComputedStyle(document.body).backgroundColor")
        return sum(int(c) for c in colour.strip("rgb()").split(",")[:3]) / 3

    page.view(scheme="dark")
    page.searched("/")
    assert luminance() < 60
    page.one("#theme").click()
    assert luminance() > 200
    page.searched("/?q=lamp")
    assert luminance() > 200
    page.view(scheme="light")
    page.js("localStorage.clear()")
    page.searched("/")
    assert luminance() > 200


SELLER = "/seller?product=P003&q=speaker"


@pytest.mark.parametrize(
    "path",
    ["/", "/?q=speaker", "/?q=zzzz&exact=1", "/p/P001", "/you", "/workbench", SELLER, "/lab"],
)
def test_a_phone_needs_no_sideways_scrolling(page: Page, path: str) -> None:
    page.view(PHONE)
    page.open(path)
    page.one(".card, .hit, #empty h3, .product h1, .summary, .measures, #start")
    assert page.js("return document.documentElement.scrollWidth") <= PHONE[0]
    small = page.js(
        """return [...document.querySelectorAll("button, select, input:not([type=checkbox])")]
        .filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 24)
        .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert not small


def test_filters_are_a_sheet_on_a_phone(page: Page) -> None:
    page.view(PHONE)
    page.searched("/?q=speaker")
    assert page.one("#open-filters").get_attribute("aria-expanded") == "false"
    page.one("#open-filters").click()
    option(page, "brand", "Acme").click()
    page.until(lambda: "3 results" in page.text("#show-results"))
    page.one("#show-results").click()
    page.until(lambda: page.count().startswith("3 results"))
    assert "(1)" in page.text("#open-filters")


AUDIT = (Path(__file__).parent / "test_browser_audit.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "path",
    ["/", "/?q=speaker&brand=Acme", "/p/P001", "/you", "/workbench?q=desk+lamp", SELLER, "/lab"],
)
def test_names_labels_and_contrast(page: Page, path: str, scheme: str) -> None:
    page.view(scheme=scheme)
    page.open(path)
    page.one(".card, .hit, .product h1, .summary, .measures, #start")
    if path.startswith("/workbench"):
        page.one("#rows .open")
    time.sleep(0.4)  # transitions end
    assert page.js(AUDIT) == []


def test_a_seller_finds_a_product_and_learns_why(page: Page) -> None:
    page.open("/")
    page.one(".menu summary").click()
    page.one(".menu a[href='/seller']").click()
    page.one("#tab-why").click()
    page.one("#product").send_keys("speaker")
    choices = page.until(lambda: page.all("#products button") or None)
    name = choices[-1].text.split("\n")[0]
    choices[-1].click()
    page.one("#q").send_keys("speaker", Keys.ENTER)
    page.until(lambda: page.text(".chosen a") == name)
    place = int(page.text(".figure b").lstrip("#"))
    assert place > 1
    assert len(page.all(".above li")) == min(10, place - 1)
    assert f"#{place} → #1" in page.text(".move")
    assert page.text(".label.ask") == "Only if true"
    assert "product=" in page.driver.current_url
    page.driver.refresh()
    page.until(lambda: page.text(".chosen a") == name)


def test_a_candidate_is_refused_in_the_lab_and_a_result_traced(page: Page) -> None:
    page.open("/lab")
    page.until(lambda: len(page.all("#models > li")) == 3)
    assert "candidate" in page.text("#models > li .label")
    next(b for b in page.all("#models button") if b.text.startswith("Promote")).click()
    page.one("#why").send_keys("better")
    page.one("#key").send_keys(KEY, Keys.ENTER)
    page.until(lambda: page.text("#decide-head") == "Not promoted")
    assert [g.text.split()[0].lower() for g in page.all("#gates b")] == ["quality", "latency"]
    page.one("#cancel").click()
    page.until(lambda: "better" in page.text("#decisions"))
    page.one("#query-id").send_keys("known", Keys.ENTER)
    page.until(lambda: "P001, P002" in page.text("#traced"))


def test_the_privacy_office_decides_and_erases(page: Page) -> None:
    page.open("/privacy")
    page.one("#key").send_keys(KEY, Keys.ENTER)
    page.one("#identifier").send_keys("anna", Keys.ENTER)
    page.until(lambda: len(page.all("#answer li")) == len(Purpose))
    at = list(Purpose).index(Purpose.ANALYTICS)
    page.all("#answer li button")[at].click()
    page.until(lambda: page.all("#answer li button")[at].text == "Withdraw")
    assert "1.0 of 4.0 spent" in page.text("#budgets")
    page.one("#stored summary").click()
    assert "behavior › search history" in page.text("#stored")
    page.all("#answer .acts button")[1].click()
    page.one("#correct-event").send_keys("e1")
    page.one("#correct-reason").send_keys("typo", Keys.ENTER)
    page.until(lambda: not page.js("return document.getElementById('correct').open"))
    page.until(lambda: "rights.correct" in page.text("#audit"))
    page.one("#answer .danger").click()
    page.one("#sure").send_keys("erase", Keys.ENTER)
    assert page.one("#erase").is_displayed(), "only ERASE erases"
    page.one("#sure").send_keys(Keys.BACKSPACE * 5, "ERASE", Keys.ENTER)
    page.until(lambda: "Erased. Certificate" in page.text("#answer"))
    assert "finished" in page.text("#requests")
    assert "rights.erase" in page.text("#audit")
    page.view(PHONE)
    assert page.js("return document.documentElement.scrollWidth") <= PHONE[0]
    time.sleep(0.4)
    assert page.js(AUDIT) == []


def test_a_seller_is_told_of_a_wrong_id(page: Page) -> None:
    page.open("/seller?product=nothing&q=speaker")
    assert "No product 'nothing'" in page.text("[role=alert]")
    # A browser logs every 404, asked for or not.
    said = page.driver.get_log("browser")
    assert all("nothing" in line["message"] and "404" in line["message"] for line in said)


def test_the_workbench_ranks_queries_worst_first_and_sorts(page: Page) -> None:
    page.open("/workbench")
    queries = page.until(lambda: [e.text for e in page.all("#rows .open")])
    values = [r.find_elements(By.CSS_SELECTOR, ".num")[1].text for r in page.all("#rows tr")]
    known = [float(v) for v in values if v != "–"]
    assert known == sorted(known)
    assert queries[-1] == "nothing relevant"  # cannot be measured: last, and not 0
    assert values[-1] == "–"
    page.one("thead button[data-by=q]").click()
    assert [e.text for e in page.all("#rows .open")] == sorted(queries)
    page.one("#filter").send_keys("desk")
    page.until(lambda: [e.text for e in page.all("#rows .open")] == ["desk lamp"])
    requests = page.js(
        "return performance.getEntriesByType('resource').map((e) => e.name)"
        ".filter((n) => n.includes('/v1/'))"
    )
    assert len(requests) == 2  # the list, and the comparison of the worst query


def test_judging_by_keys(page: Page, shop: SmallShop) -> None:
    shop.verdicts.pop("running shoes", None)
    page.open("/workbench?q=running+shoes")
    page.until(lambda: len(page.all(".hit")) == 24)
    assert page.text(".side-list .value").startswith("–")
    page.js("document.querySelector('.hit').focus()")
    page.keys(Keys.ARROW_DOWN)
    page.keys("e")
    page.until(lambda: "Title bm25" in page.text(".hit.at .shares"))
    target = page.one(".hit.at").get_attribute("data-id")
    page.keys("3")
    page.until(lambda: page.one("#key-dialog").is_displayed())
    page.keys("not-the-key-not-the-key", Keys.ENTER)
    page.until(lambda: "not the admin key" in page.text("#key-error"))
    page.one("#key").send_keys(KEY, Keys.ENTER)
    page.until(lambda: shop.verdicts.get("running shoes") == {target: 3})
    page.until(lambda: "Exact" in page.text(f".hit[data-id='{target}'] .grade"))
    # The key is asked for once; without an open explanation the next product comes by itself.
    page.until(lambda: page.one(".hit.at .detail"))
    page.keys("e")
    page.keys(Keys.ARROW_UP)
    first = page.one(".hit.at").get_attribute("data-id")
    page.keys("0")
    page.until(lambda: shop.verdicts["running shoes"].get(str(first)) == 0)
    page.until(lambda: page.one(".hit.at").get_attribute("data-id") == target)
    page.until(lambda: "running shoes" in [e.text for e in page.all("#rows .open")])
    assert 0 < float(page.text(".side-list .value b")) < 1
    page.keys(Keys.ARROW_RIGHT)
    page.until(lambda: page.one(".hit.at").get_attribute("data-side") == "b")


def test_rank_changes_are_marked(page: Page) -> None:
    page.open("/workbench?q=bluetooth+speaker")
    page.until(lambda: len(page.all(".hit")) == 24)
    places = page.js(
        """return ["a", "b"].map((side) => [...document.querySelectorAll(`[data-side=${side}]`)])
        .map((hits) => Object.fromEntries(hits.map((hit, i) => [hit.dataset.id, i])))"""
    )
    assert places[0] != places[1]
    for hit in page.all(".hit[data-side=b]"):
        name = hit.get_attribute("data-id")
        rise = places[0][name] - places[1][name]
        moved = hit.find_element(By.CSS_SELECTOR, ".moved").text.split("\n")[0]
        assert moved.startswith(f"▲ {rise}" if rise > 0 else f"▼ {-rise}" if rise < 0 else "=")


def test_the_next_pairs_are_judged_by_keys_with_few_requests(page: Page, shop: SmallShop) -> None:
    page.open("/workbench")
    page.until(lambda: len(page.all(".hit")) > 0)
    before = sum(len(v) for v in shop.verdicts.values())
    page.one("#queue-open").click()
    page.until(lambda: page.text("#queue .asked"))
    assert "pairs among the first ten are judged" in page.text("#queue-standing")
    assert not page.all("#sides")[0].is_displayed()
    asked, product = page.text("#queue .asked"), page.one("#queue article").get_attribute("data-id")
    page.keys("2")
    page.until(lambda: page.one("#key-dialog").is_displayed())
    page.one("#key").send_keys(KEY, Keys.ENTER)
    page.until(lambda: shop.verdicts[asked].get(str(product)) == 2)
    for key in ("0", "s", "3", "1"):
        shown = page.one("#queue article").get_attribute("data-id"), page.text("#queue .asked")
        page.keys(key)
        page.until(
            lambda shown=shown: (
                page.one("#queue article").get_attribute("data-id"), page.text("#queue .asked")
            ) != shown
        )  # fmt: skip
    assert sum(len(v) for v in shop.verdicts.values()) == before + 4
    requests = page.js(
        "return performance.getEntriesByType('resource').map((e) => e.name)"
        ".filter((n) => n.includes('/v1/judgments/next'))"
    )
    assert len(requests) == 1
    page.view(PHONE)
    assert page.js("return document.documentElement.scrollWidth") <= PHONE[0]
    time.sleep(0.4)
    assert page.js(AUDIT) == []
    page.keys(Keys.ESCAPE)
    page.until(lambda: page.all("#sides")[0].is_displayed())
