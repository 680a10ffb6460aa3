"""Campaigns over HTTP: planned for oneself, and another's does not exist."""

from __future__ import annotations

import pytest
from small_campaigns import SmallCampaigns
from small_shop import SmallShop
from starlette.testclient import TestClient

from tandem.governance.access import Role
from tandem.governance.keys import KeyStore
from tandem.http.app import create_app
from tandem.http.keys import AdminKey
from tandem.http.services import Services
from tandem.http.settings import ServerSettings
from tandem.storage.layout import Layout, Settings

PATH = "/v1/seller/campaigns"
BODY = {
    "merchant_id": "Acme",
    "name": "Spring",
    "budget": {"amount": "500", "currency": "EUR"},
    "starts": "2026-04-01",
    "ends": "2026-04-30",
    "product_ids": ["A-1"],
}
WHO = (
    *((Role.MERCHANT, m) for m in ("Acme", "Borealis")),
    *((role, None) for role in (Role.ADMIN, Role.ANALYST, Role.SHOPPER)),
    (Role.CREATOR, "Acme"),
)


@pytest.fixture
def served(tmp_path):
    store = KeyStore(Layout.create(tmp_path / "shop", Settings()))
    keys = {who: {"X-API-Key": store.create(who[0], tenant=who[1], name="test")[1]} for who in WHO}
    settings = ServerSettings(
        admin_key=AdminKey.of("k"), keys=store, refresh_seconds=0, rate_per_second=0
    )
    office = SmallCampaigns()
    app = create_app(SmallShop(), settings, Services(campaigns=office))
    app.state.office = office
    with TestClient(app) as client:
        yield client, keys


@pytest.mark.parametrize("who", WHO, ids=str)
def test_a_merchant_plans_for_itself_only(served, who):
    client, keys = served
    allowed = who in ((Role.MERCHANT, "Acme"), (Role.ADMIN, None))
    response = client.post(PATH, json=BODY, headers=keys[who])
    assert response.status_code == (200 if allowed else 403), response.text


def test_a_plan_may_be_looked_at_only(served):
    client, keys = served
    acme = keys[Role.MERCHANT, "Acme"]
    tried = client.post(f"{PATH}?keep=false", json=BODY | {"by_region": True}, headers=acme)
    assert tried.status_code == 200
    assert tried.json()["regions"]["shown"]
    assert client.get(PATH, params={"merchant": "Acme"}, headers=acme).json()["campaigns"] == []
    both = client.post(PATH, json=BODY | {"by_region": True, "holdout": 0.3}, headers=acme)
    assert both.status_code == 422
    assert "not both" in both.text


@pytest.mark.parametrize("who", WHO, ids=str)
def test_anothers_campaign_answers_as_one_that_never_was(served, who):
    client, keys = served
    made = client.post(PATH, json=BODY, headers=keys[Role.MERCHANT, "Acme"]).json()["id"]
    owner = who in ((Role.MERCHANT, "Acme"), (Role.ADMIN, None), (Role.ANALYST, None))
    for path in ("", "/report"):
        there = client.get(f"{PATH}/{made}{path}", headers=keys[who])
        if who[0] is Role.SHOPPER:
            assert there.status_code == 403
            continue
        assert there.status_code == (200 if owner else 404)
        if not owner:
            nowhere = client.get(f"{PATH}/nope{path}", headers=keys[who])
            assert nowhere.status_code == 404
            assert nowhere.json()["detail"].replace("nope", made) == there.json()["detail"]
            # A trial is told once, and on record: not because a stranger asked.
            assert client.app.state.office.followed == 0


def test_a_list_is_ones_own(served):
    client, keys = served
    client.post(PATH, json=BODY, headers=keys[Role.MERCHANT, "Acme"])
    own = client.get(f"{PATH}?merchant=Acme", headers=keys[Role.MERCHANT, "Acme"])
    assert len(own.json()["campaigns"]) == 1
    other = client.get(f"{PATH}?merchant=Acme", headers=keys[Role.MERCHANT, "Borealis"])
    assert other.status_code == 403


@pytest.mark.parametrize(
    "changes",
    [{"ends": "2026-03-01"}, {"product_ids": []}, {"budget": {"amount": "-1", "currency": "EUR"}},
     {"exploration": 0.9}, {"name": " "}],
)  # fmt: skip
def test_what_cannot_be_planned_is_said(served, changes):
    client, keys = served
    body = {**BODY, **changes}
    response = client.post(PATH, json=body, headers=keys[Role.ADMIN, None])
    assert response.status_code == 422


def test_the_report_is_one_page(served):
    client, keys = served
    made = client.post(PATH, json=BODY, headers=keys[Role.ADMIN, None]).json()["id"]
    page = client.get(f"{PATH}/{made}/report", headers=keys[Role.ADMIN, None])
    assert page.headers["content-type"].startswith("text/html")
    assert "Campaign: Spring" in page.text
    assert "<script" not in page.text


@pytest.mark.parametrize("who", WHO, ids=str)
def test_only_the_merchant_and_the_team_call_off_and_remove(served, who):
    client, keys = served
    made = client.post(PATH, json=BODY, headers=keys[Role.MERCHANT, "Acme"]).json()["id"]
    allowed = who in ((Role.MERCHANT, "Acme"), (Role.ADMIN, None))
    refused = 404 if who == (Role.MERCHANT, "Borealis") else 403
    early = client.delete(f"{PATH}/{made}", headers=keys[who])
    assert early.status_code == (409 if allowed else refused)
    response = client.post(f"{PATH}/{made}/cancel", headers=keys[who])
    assert response.status_code == (200 if allowed else refused)
    gone = client.delete(f"{PATH}/{made}", headers=keys[who])
    assert gone.status_code == (204 if allowed else refused)
    after = client.get(f"{PATH}/{made}", headers=keys[Role.MERCHANT, "Acme"])
    assert after.status_code == (404 if allowed else 200)
