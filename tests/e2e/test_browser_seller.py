"""The seller center in real headless Chromium, at desktop and phone size."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_browser import AUDIT, DESK, KEY, PHONE, Page, pytestmark  # noqa: F401 - marks this too
from test_browser import chromium as chromium
from test_browser import page as page

from live_server import served
from tandem.collaboration.desk import Desk
from tandem.contracts.collaboration import Apply, Party
from tandem.contracts.matching import CreatorMatches
from tandem.flows.collaborate import OrderNames
from tandem.governance.access import Role
from tandem.governance.keys import KeyStore
from tandem.http.keys import AdminKey
from tandem.http.services import Collaborations, Services
from tandem.http.settings import ServerSettings
from tandem.storage.collaborations import CollaborationStore
from tandem.storage.layout import Layout, Settings

sys.path.insert(0, str(Path(__file__).parents[1] / "http"))
from small_matching import SmallMatching
from small_seller import SmallSeller
from small_shop import SmallShop

TABS = ("overview", "why", "search", "products", "deals")


class Matching(SmallMatching):
    """One creator, for a product of the shop."""

    def creators_for_brand(self, merchant: str, k: int = 20) -> CreatorMatches:
        found = super().creators_for_brand(merchant, k)
        mia = found.matches[0].model_copy(update={"product_id": "P000"})
        return found.model_copy(update={"matches": (mia,)})


class House:
    """A server with a merchant's and a creator's key, and one application to the merchant."""

    def __init__(self, folder: Path) -> None:
        self.layout = Layout.create(folder / "shop", Settings())
        self.store = CollaborationStore(self.layout.collaborations)
        self.desk = Desk(self.store)
        keys = KeyStore(self.layout)
        self.merchant = keys.create(Role.MERCHANT, tenant="Acme", name="test")[1]
        self.creator = keys.create(Role.CREATOR, tenant="mia", name="test")[1]
        apply = Apply(merchant_id="Acme", product_ids=("P000",), commission_rate=1500)
        self.desk.open(Party(role="creator", id="mia"), apply)
        self.settings = ServerSettings(
            admin_key=AdminKey.of(KEY), keys=keys, refresh_seconds=0, rate_per_second=0
        )
        self.services = Services(
            seller=SmallSeller(),
            matching=Matching(),
            collaborations=Collaborations(self.desk, OrderNames(self.layout)),
        )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("center"))
    yield house
    house.store.close()


@pytest.fixture(scope="module")
def address(house: House) -> Iterator[str]:
    with served(SmallShop(), house.settings, house.services) as address:
        yield address


def entered(page: Page, key: str) -> None:
    page.open("/seller")
    page.one("#key").send_keys(key)
    page.one("#enter .primary").click()


def idle(page: Page) -> None:
    waits = "[...document.querySelectorAll('.busy, .skeleton')].some((e) => e.checkVisibility())"
    page.until(lambda: not page.js(f"return {waits}"))


def test_a_merchant_sees_the_month_and_sets_a_target(page: Page) -> None:
    entered(page, KEY)
    page.until(lambda: page.one("#merchant-field").is_displayed())
    page.one("#merchant").send_keys("Acme")
    page.one("#enter .primary").click()
    card = "[data-indicator='gmv']"
    page.until(lambda: "€1,685.00" in page.text(card))
    assert "+12.3%" in page.text(card)
    assert page.all(f"{card} .spark path")
    # The ninth day is not known: the line is broken there, and does not fall to zero.
    assert len(page.all(f"{card} .spark path:not(.fill)")) == 2
    returns = page.text("[data-indicator='return_rate']")
    assert "–" in returns
    assert "not known" in returns
    page.one(f"{card} .quiet").click()
    page.one("dialog input[name=value]").send_keys("2000")
    page.one("dialog .primary").click()
    page.until(lambda: "84% reached" in page.text(card))
    page.until(lambda: "+€185" in page.text("#moved"))
    assert "−€15" in page.text("#moved")
    page.until(lambda: "€1,400" in page.text("#ahead"))
    assert "8 times of 10 between €1,260 and €1,540" in page.text("#ahead")
    assert page.all("#ahead .band")


def test_queries_lead_to_why_and_prices_stand_beside_others(page: Page, house: House) -> None:
    entered(page, house.merchant)
    page.one("#tab-search").click()
    page.until(lambda: len(page.all("#queries tbody tr")) == 2)
    assert "10%" in page.text("#queries tbody tr")
    page.all("#queries .chips button")[3].click()
    page.until(lambda: len(page.all("#queries tbody tr")) == 1)
    assert "zzzz" in page.text("#queries tbody tr")
    page.all("#queries .chips button")[0].click()
    page.one("#queries .grid-table button").click()
    page.until(lambda: page.one("#q").get_attribute("value") == "speaker" and page.all(".summary"))
    page.one("#tab-products").click()
    page.until(lambda: "color" in page.text("#assortment tbody tr"))
    assert page.one(".rangebar").get_attribute("aria-label").startswith("30% of 9")


def test_a_merchant_accepts_an_application_and_invites(page: Page, house: House) -> None:
    entered(page, house.merchant)
    page.one("#tab-deals").click()
    page.until(lambda: "mia" in page.text(".deal"))
    assert "15% commission" in page.text(".deal .terms")
    assert "Bluetooth speaker" in page.text(".deal .terms")
    page.one(".deal summary").click()
    page.one(".deal [data-action=accept]").click()
    page.until(lambda: "Content due" in page.text(".deal"))
    (deal,) = house.desk.find(Party(role="merchant", id="Acme"))
    assert deal.status == "CONTENT_DUE"
    page.until(lambda: "Mia" in page.text("#find li"))
    assert "best with Acme Bluetooth speaker" in page.text("#find li")
    page.one("#find button").click()
    assert page.one("dialog input[name=other]").get_attribute("value") == "mia"
    page.one("dialog .quiet").click()
    page.one("#begin").click()
    page.one("dialog input[name=other]").send_keys("noa")
    page.one("dialog input[name=products]").send_keys("P001, P002")
    page.one("dialog .primary").click()
    page.until(lambda: any("noa" in d.text for d in page.all(".deal")))
    invited = house.desk.find(Party(role="creator", id="noa"))
    assert [c.product_ids for c in invited] == [("P001", "P002")]


def test_another_keys_center_stays_closed(page: Page, house: House) -> None:
    entered(page, house.creator)
    page.until(lambda: "takes a merchant’s" in page.text("#sign-error"))
    page.one("#key").clear()
    page.one("#key").send_keys("not a key")
    page.one("#enter .primary").click()
    page.until(lambda: "does not open" in page.text("#sign-error"))
    page.driver.get_log("browser")  # a browser logs every 401, asked for or not


@pytest.mark.parametrize("size", [DESK, PHONE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_tab_is_accessible_and_fits(page: Page, house: House, size, scheme) -> None:
    page.view(size, scheme)
    entered(page, house.merchant)
    for tab in TABS:
        page.js("document.getElementById(arguments[0]).click()", f"tab-{tab}")
        idle(page)
        if tab == "deals":
            page.until(lambda: page.all(".deal"))
            page.js("document.querySelector('.deal summary').click()")
            idle(page)
        time.sleep(0.3)
        assert page.js(AUDIT) == [], tab
        assert page.js("return document.documentElement.scrollWidth") <= size[0], tab
