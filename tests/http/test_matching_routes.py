"""Matching over HTTP: whose question it is decides who is answered."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_matching import SmallMatching
from small_shop import SmallShop
from starlette.testclient import TestClient

from tandem.governance.access import Role
from tandem.governance.keys import KeyStore
from tandem.http.app import create_app
from tandem.http.keys import AdminKey
from tandem.http.services import Services
from tandem.http.settings import ServerSettings
from tandem.storage.layout import Layout, Settings

WHO = (
    *((Role.MERCHANT, m) for m in ("Acme", "Borealis")),
    *((Role.CREATOR, c) for c in ("Acme", "mia")),
    *((role, None) for role in (Role.ANALYST, Role.ADMIN, Role.SHOPPER, Role.PRIVACY_OFFICER)),
)
ALL = {(Role.ANALYST, None), (Role.ADMIN, None)}
OPENS = {
    "creators?product_id=A-1": {(Role.MERCHANT, "Acme"), *ALL},
    "creators?product_id=N-1": ALL,
    "creators?merchant=Borealis": {(Role.MERCHANT, "Borealis"), *ALL},
    "products?creator_id=Acme": {(Role.CREATOR, "Acme"), *ALL},
    "products?creator_id=mia": {(Role.CREATOR, "mia"), *ALL},
    "brands?creator_id=mia": {(Role.CREATOR, "mia"), *ALL},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("served")
    store = KeyStore(Layout.create(folder / "shop", Settings()))
    keys = {
        (role, tenant): {"X-API-Key": store.create(role, tenant=tenant, name="test")[1]}
        for role, tenant in WHO
    }
    settings = ServerSettings(
        admin_key=AdminKey.of("k"), keys=store, refresh_seconds=0, rate_per_second=0
    )
    app = create_app(SmallShop(), settings, Services(matching=SmallMatching()))
    with TestClient(app) as client:
        yield client, keys


@pytest.mark.parametrize("who", WHO, ids=str)
@pytest.mark.parametrize("path", OPENS)
def test_one_asks_for_what_is_ones_own(served, path, who):
    client, keys = served
    response = client.get(f"/v1/match/{path}", headers=keys[who])
    assert response.status_code == (200 if who in OPENS[path] else 403), response.text


def test_without_a_key_nobody_is_answered(served):
    client, _ = served
    assert client.get("/v1/match/products?creator_id=mia").status_code == 401


def test_what_is_anothers_is_refused_whether_it_is_there_or_not(served):
    client, keys = served
    mia = keys[Role.CREATOR, "mia"]
    there, nowhere = (
        client.get(f"/v1/match/brands?creator_id={c}", headers=mia) for c in ("Acme", "nobody")
    )
    assert there.status_code == nowhere.status_code == 403
    assert there.json()["detail"] == nowhere.json()["detail"]


def test_either_a_product_or_a_merchant(served):
    client, keys = served
    admin = keys[Role.ADMIN, None]
    for query in ("", "?product_id=A-1&merchant=Acme"):
        response = client.get(f"/v1/match/creators{query}", headers=admin)
        assert response.status_code == 422
        assert response.json()["remedy"]


def test_a_server_without_matching_says_so():
    with TestClient(create_app(SmallShop(), ServerSettings(admin_key=AdminKey.of("k")))) as client:
        response = client.get("/v1/match/products?creator_id=mia", headers={"X-API-Key": "k"})
        assert response.status_code == 404
