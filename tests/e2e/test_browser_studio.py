"""The creator studio in real headless Chromium, at desktop and phone size."""

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
from tandem.contracts.collaboration import Invite, Party
from tandem.contracts.matching import ProductMatches
from tandem.contracts.product import Money
from tandem.flows.collaborate import OrderNames
from tandem.governance.access import Role
from tandem.governance.keys import KeyStore
from tandem.http.keys import AdminKey
from tandem.http.services import Collaborations, Services
from tandem.http.settings import ServerSettings
from tandem.storage.collaborations import CollaborationStore
from tandem.storage.layout import Layout, Settings

sys.path.insert(0, str(Path(__file__).parents[1] / "http"))
sys.path.insert(0, str(Path(__file__).parents[1] / "content"))
from made_videos import make, rolling
from small_matching import SmallMatching
from small_shop import SmallShop
from small_studio import SmallStudio

TABS = ("make", "check", "deals", "worked")


class Matching(SmallMatching):
    """Two products of the shop for the creator; what the second brings is not known."""

    def products_for_creator(self, creator_id: str, k: int = 20) -> ProductMatches:
        found = super().products_for_creator(creator_id, k)
        price = Money(amount="9.90", currency="EUR")
        first = found.matches[0].model_copy(update={"product_id": "P000", "price": price})
        second = first.model_copy(update={"product_id": "P001", "commission": None})
        return found.model_copy(update={"matches": (first, second)})


class Studio:
    """A server with a creator's and a merchant's key, and one invitation to the creator."""

    def __init__(self, folder: Path) -> None:
        self.layout = Layout.create(folder / "shop", Settings())
        self.store = CollaborationStore(self.layout.collaborations)
        self.desk = Desk(self.store)
        keys = KeyStore(self.layout)
        self.creator = keys.create(Role.CREATOR, tenant="mia", name="test")[1]
        self.merchant = keys.create(Role.MERCHANT, tenant="Acme", name="test")[1]
        invite = Invite(creator_id="mia", product_ids=("P000",), commission_rate=1500)
        self.desk.open(Party(role="merchant", id="Acme"), invite)
        self.settings = ServerSettings(
            admin_key=AdminKey.of(KEY), keys=keys, refresh_seconds=0, rate_per_second=0
        )
        self.services = Services(
            studio=SmallStudio(),
            matching=Matching(),
            collaborations=Collaborations(self.desk, OrderNames(self.layout)),
        )


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    studio = Studio(tmp_path_factory.mktemp("studio"))
    yield studio
    studio.store.close()


@pytest.fixture(scope="module")
def address(studio: Studio) -> Iterator[str]:
    with served(SmallShop(), studio.settings, studio.services) as address:
        yield address


def entered(page: Page, key: str) -> None:
    page.open("/studio")
    page.one("#key").send_keys(key)
    page.one("#enter .primary").click()


def idle(page: Page) -> None:
    waits = "[...document.querySelectorAll('.busy, .skeleton')].some((e) => e.checkVisibility())"
    page.until(lambda: not page.js(f"return {waits}"))


def test_from_opening_the_studio_to_a_ready_brief_is_one_click(page: Page, studio: Studio) -> None:
    entered(page, studio.creator)
    page.until(lambda: page.all(".fit"))
    page.open("/studio")  # from here on: as on any other day, signed in
    began = time.monotonic()
    page.js("window.clicks = 0; addEventListener('click', () => { window.clicks += 1; }, true)")
    page.until(lambda: page.all(".fit .primary"))
    assert page.text(".fit .earn").startswith("About €")
    assert "Up to €12, or nothing, 8 times of 10" in page.text(".fit .earn")
    page.one(".fit .primary").click()
    page.until(lambda: page.all(".brief .scenes li"))
    assert page.js("return window.clicks") == 1
    assert time.monotonic() - began < 60
    assert "Acme Bluetooth speaker black 100" in page.text(".brief-head")
    assert len(page.all(".brief .hooks label")) == 3
    assert len(page.all(".brief .scenes li")) == 5
    assert "#ad" in page.text(".brief .caption")
    assert "€9.90 · Acme" in page.text(".fit")
    # What a second product's earnings are is not known: no figure is made up.
    assert page.all(".fit .earn")[1].text.startswith("–")


def test_a_gap_leads_to_a_brief_and_a_caption_to_its_check(page: Page, studio: Studio) -> None:
    entered(page, studio.creator)
    page.until(lambda: "desk lamp" in page.text(".gaps"))
    assert "230 searches, 1 video" in page.text(".gaps")
    page.one(".gaps button").click()
    page.until(lambda: page.all(".brief .caption"))
    page.one(".brief .caption .quiet").click()
    page.one("#check-text .primary").click()
    page.until(lambda: page.text("#text-report .verdict") == "Ready to post")
    words = page.one("#check-words")
    words.send_keys(" It is waterproof.")
    page.one("#check-text .primary").click()
    page.until(lambda: page.text("#text-report .verdict") == "Not ready yet")
    assert "waterproof" in page.text("#text-report")


def test_a_video_is_checked(page: Page, studio: Studio, tmp_path: Path) -> None:
    pytest.importorskip("av")
    clip = make(tmp_path / "clip.mp4", 3.2, rolling)
    entered(page, studio.creator)
    page.one("#tab-check").click()
    page.one("#video").send_keys(str(clip))
    assert "clip.mp4" in page.text("#video-name")
    page.one("#check-video .primary").click()
    page.until(lambda: page.text("#video-report .verdict") == "Ready to post", 60)
    assert "540 × 960 pixels" in page.text("#video-report")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video")
    page.one("#video").send_keys(str(broken))
    page.one("#check-video .primary").click()
    page.until(lambda: "is no video" in page.text("#video-report [role=alert]"))
    page.driver.get_log("browser")  # a browser logs every 422, asked for or not


def test_a_creator_accepts_and_reports_content(page: Page, studio: Studio) -> None:
    entered(page, studio.creator)
    page.one("#tab-deals").click()
    page.until(lambda: "Acme" in page.text(".deal"))
    page.one(".deal summary").click()
    page.one(".deal [data-action=accept]").click()
    page.until(lambda: "Content due" in page.text(".deal summary"))
    page.one(".deal summary").click()
    page.one(".deal [data-action=publish]").click()
    page.one("dialog input[name=content_id]").send_keys("v9")
    page.one("dialog .primary").click()
    page.until(lambda: page.all(".chips button"))
    page.until(lambda: "Live" in page.text(".deal summary"))
    (deal,) = studio.desk.find(Party(role="creator", id="mia"))
    assert deal.status == "CONTENT_LIVE"
    assert deal.content[0].content_id == "v9"


def test_a_product_that_fits_leads_to_an_application(page: Page, studio: Studio) -> None:
    entered(page, studio.creator)
    page.until(lambda: page.all(".fit .secondary"))
    page.one(".fit .secondary").click()
    assert page.one("dialog input[name=other]").get_attribute("value") == "Acme"
    assert "speaker" in page.text("dialog .picked")
    page.one("dialog .quiet").click()


def test_a_creator_whom_nobody_declared_yet_is_told_in_plain_words(
    page: Page, studio: Studio
) -> None:
    key = KeyStore(studio.layout).create(Role.CREATOR, tenant="new", name="test")[1]
    entered(page, key)
    page.until(lambda: "Your profile is not here yet" in page.text("#home"))
    assert page.one("#any").is_displayed()
    page.one("#tab-worked").click()
    page.until(lambda: "Nothing posted yet" in page.text("#worked"))
    page.driver.get_log("browser")  # a browser logs every 404, asked for or not


def test_another_keys_studio_stays_closed(page: Page, studio: Studio) -> None:
    entered(page, studio.merchant)
    page.until(lambda: "takes a creator’s" in page.text("#sign-error"))
    assert not page.all(".fit")


@pytest.mark.parametrize("size", [DESK, PHONE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_tab_is_accessible_and_fits(page: Page, studio: Studio, size, scheme) -> None:
    page.view(size, scheme)
    entered(page, studio.creator)
    page.until(lambda: page.all(".fit .primary"))
    page.js("document.querySelector('.fit .primary').click()")
    page.until(lambda: page.all(".brief .scenes li"))
    for tab in TABS:
        page.js("document.getElementById(arguments[0]).click()", f"tab-{tab}")
        idle(page)
        time.sleep(0.3)
        assert page.js(AUDIT) == [], tab
        assert page.js("return document.documentElement.scrollWidth") <= size[0], tab
