"""Keys with roles at the door of the server: what opens, what does not, whose products change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_experiments import SmallExperiments
from small_insights import SmallInsights
from small_lab import SmallLab
from small_office import SmallOffice
from small_registry import SmallRegistry
from small_seller import SmallSeller
from small_shop import SmallShop
from small_slots import SmallSlots
from small_studio import SmallStudio
from starlette.testclient import TestClient

from tandem.governance.access import TENANT_ROLES, Role
from tandem.governance.keys import KeyStore
from tandem.http.app import create_app
from tandem.http.keys import AdminKey
from tandem.http.services import Services
from tandem.http.settings import ServerSettings
from tandem.storage.layout import Layout, Settings

MERCHANTS = ("Acme", "Borealis", "Caldera")


class House:
    """A server with a key for each role and merchant."""

    def __init__(self, folder: Path) -> None:
        self.shop = SmallShop()
        self.store = KeyStore(Layout.create(folder / "shop", Settings()))
        self.keys: dict[tuple[Role, str | None], dict[str, str]] = {}
        for role in Role:
            for tenant in MERCHANTS if role in TENANT_ROLES else (None,):
                _, text = self.store.create(role, tenant=tenant, name="test")
                self.keys[role, tenant] = {"X-API-Key": text}
        self.client = TestClient(
            create_app(
                self.shop,
                ServerSettings(
                    admin_key=AdminKey.of("a-key-for-tests-only"),
                    keys=self.store,
                    refresh_seconds=0,
                    rate_per_second=0,
                ),
                Services(
                    registry=SmallRegistry(),
                    experiments=SmallExperiments(),
                    slots=SmallSlots(),
                    insights=SmallInsights(),
                    lab=SmallLab(),
                    privacy=SmallOffice(),
                    seller=SmallSeller(),
                    studio=SmallStudio(),
                ),
            )
        )


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    with house.client:
        yield house


OPENS = {
    ("POST", "/v1/admin/refresh"): {Role.ADMIN},
    ("PUT", "/v1/judgments"): {Role.ADMIN, Role.ANALYST, Role.SCIENTIST},
    ("PUT", "/v1/products"): {Role.ADMIN, Role.MERCHANT},
    ("GET", "/v1/insights"): {Role.ADMIN, Role.ANALYST, Role.SCIENTIST},
    ("POST", "/v1/insights/try"): {Role.ADMIN, Role.ANALYST, Role.SCIENTIST},
    ("GET", "/v1/lab/experiments"): {Role.ADMIN, Role.ANALYST, Role.SCIENTIST},
    ("GET", "/v1/lab/monitor"): {Role.ADMIN, Role.ANALYST, Role.SCIENTIST},
    ("POST", "/v1/models/rollback"): {Role.ADMIN, Role.SCIENTIST},
    ("GET", "/v1/experiments"): {Role.ADMIN, Role.ANALYST, Role.SCIENTIST},
    ("POST", "/v1/experiments/more-judgments/stop"): {Role.ADMIN, Role.SCIENTIST},
    ("POST", "/v1/artefacts/recommenders/g000002-20260215T120000/canary"): {
        Role.ADMIN,
        Role.SCIENTIST,
    },
    ("GET", "/v1/slots"): {Role.ADMIN, Role.ANALYST, Role.SCIENTIST},
    ("POST", "/v1/slots/front-banner/stop"): {Role.ADMIN, Role.SCIENTIST},
    ("POST", "/v1/models/g000003-20260301T120000/shadow"): {Role.ADMIN, Role.SCIENTIST},
    ("GET", "/v1/privacy"): {Role.ADMIN, Role.PRIVACY_OFFICER},
    ("POST", "/v1/privacy/erasures"): {Role.ADMIN, Role.PRIVACY_OFFICER},
    **{
        (method, f"/v1/seller/{report}"): {
            Role.ADMIN,
            Role.ANALYST,
            Role.SCIENTIST,
            Role.MERCHANT,
        }
        for method, report in (
            ("GET", "queries?merchant=Acme&period=2026-03"),
            ("GET", "indicators?merchant=Acme"),
            ("GET", "movement?merchant=Acme&period=2026-03"),
            ("GET", "forecast?merchant=Acme"),
            ("GET", "assortment?merchant=Acme"),
            ("PUT", "targets"),
        )
    },
}
BODIES = {
    "/v1/insights/try": {"id": "slow-1"},
    "/v1/models/rollback": {"why": "clicks fell"},
    "/v1/experiments/more-judgments/stop": {"why": "enough seen"},
    "/v1/artefacts/recommenders/g000002-20260215T120000/canary": {"why": "is it better?"},
    "/v1/slots/front-banner/stop": {"why": "enough seen"},
    "/v1/models/g000003-20260301T120000/shadow": {"why": "is it quick?"},
    "/v1/privacy/erasures": {"identifier": "anna"},
    "/v1/seller/targets": {
        "merchant": "Acme",
        "period": "2026-03",
        "indicator": "gmv",
        "value": 2_000,
    },
    "/v1/judgments": {"q": "lamp", "product_id": "P001", "relevance": 3},
    "/v1/products": {"products": [{"id": "X", "title": "x", "merchant": "Acme"}]},
}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(("method", "path"), OPENS)
def test_a_role_opens_what_it_may_and_nothing_else(house, role, method, path):
    key = house.keys[role, "Acme" if role in TENANT_ROLES else None]
    response = house.client.request(method, path, json=BODIES.get(path), headers=key)
    assert response.status_code == (200 if role in OPENS[method, path] else 403)
    if response.status_code == 403:
        assert response.json()["remedy"]
    admin = {"X-API-Key": "a-key-for-tests-only"}
    assert house.client.request(method, path, json=BODIES.get(path), headers=admin).is_success


def test_a_revoked_key_is_refused_from_the_next_request_on(house):
    key = house.keys[Role.ADMIN, None]
    assert house.client.post("/v1/admin/refresh", headers=key).is_success
    house.store.revoke(house.store.find(key["X-API-Key"]).id)
    assert house.client.post("/v1/admin/refresh", headers=key).status_code == 401


acts = st.lists(
    st.tuples(
        st.sampled_from(["put", "delete"]),
        st.sampled_from(MERCHANTS),
        st.sampled_from(["A", "B"]),
        st.sampled_from([None, *MERCHANTS]),
    ),
    max_size=8,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(acts=acts)
def test_no_merchant_touches_what_is_anothers(house, acts):
    for known in ("A", "B"):
        house.shop.products.pop(known, None)
    for act, me, product, named in acts:
        before = dict(house.shop.products)
        key = house.keys[Role.MERCHANT, me]
        if act == "put":
            body = {"products": [{"id": product, "title": me, "merchant": named}]}
            response = house.client.put("/v1/products", json=body, headers=key)
        else:
            response = house.client.delete(f"/v1/products/{product}", headers=key)
        after = house.shop.products
        for other in MERCHANTS:
            if other != me:
                assert {i: p for i, p in before.items() if p.merchant == other} == {
                    i: p for i, p in after.items() if p.merchant == other
                }
        if act == "put":
            mine = named == me and (product not in before or before[product].merchant == me)
            assert response.status_code == (200 if mine else 403)


def test_one_foreign_product_turns_the_whole_batch_away(house):
    before = dict(house.shop.products)
    body = {"products": [{"id": f"N{m}", "title": "x", "merchant": m} for m in MERCHANTS]}
    key = house.keys[Role.MERCHANT, "Acme"]
    assert house.client.put("/v1/products", json=body, headers=key).status_code == 403
    assert house.shop.products == before


REPORTS = ("queries", "indicators", "movement", "forecast", "assortment")


@pytest.mark.parametrize("report", REPORTS)
def test_a_merchant_reads_their_own_report_only(house, report):
    asked = {"period": "2026-03"} if report in ("queries", "indicators", "movement") else {}
    for me in MERCHANTS:
        for other in MERCHANTS:
            response = house.client.get(
                f"/v1/seller/{report}",
                params={"merchant": other, **asked},
                headers=house.keys[Role.MERCHANT, me],
            )
            assert response.status_code == (200 if me == other else 403)
    creator = house.keys[Role.CREATOR, "Acme"]
    params = {"merchant": "Acme", **asked}
    refused = house.client.get(f"/v1/seller/{report}", params=params, headers=creator)
    assert refused.status_code == 403


def test_a_merchant_sets_their_own_targets_only(house):
    for me in MERCHANTS:
        for other in MERCHANTS:
            body = {**BODIES["/v1/seller/targets"], "merchant": other}
            response = house.client.put(
                "/v1/seller/targets", json=body, headers=house.keys[Role.MERCHANT, me]
            )
            assert response.status_code == (200 if me == other else 403)
    asked = {"merchant": "Acme", "period": "2026-03"}
    key = house.keys[Role.MERCHANT, "Acme"]
    shown = house.client.get("/v1/seller/indicators", params=asked, headers=key).json()
    assert shown["indicators"][0]["target"] == 2_000
    assert shown["indicators"][1]["value"] is None


@pytest.mark.parametrize("report", ["home", "worked"])
def test_a_creator_opens_their_own_studio_only(house, report):
    keys = {
        name: house.store.create(Role.CREATOR, tenant=name, name="t")[1] for name in ("mia", "noa")
    }
    for me, key in keys.items():
        for other in keys:
            response = house.client.get(
                f"/v1/studio/{report}", params={"creator": other}, headers={"X-API-Key": key}
            )
            assert response.status_code == (200 if me == other else 403)
    for role, tenant in (
        (Role.MERCHANT, "Acme"),
        (Role.PRIVACY_OFFICER, None),
        (Role.SHOPPER, None),
    ):
        refused = house.client.get(
            f"/v1/studio/{report}", params={"creator": "mia"}, headers=house.keys[role, tenant]
        )
        assert refused.status_code == 403


def test_a_key_says_whose_it_is(house):
    found = house.client.get("/v1/me", headers=house.keys[Role.MERCHANT, "Acme"]).json()
    assert (found["role"], found["tenant"]) == ("merchant", "Acme")
    assert "own_reports" in found["permissions"]
    assert house.client.get("/v1/me").status_code == 401
