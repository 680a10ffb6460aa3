"""What needs the key, and the key itself."""

from __future__ import annotations

import hashlib

import pytest
from small_shop import SmallShop
from starlette.testclient import TestClient

from tandem.contracts.errors import InvalidInput
from tandem.http.app import create_app
from tandem.http.keys import VARIABLE, AdminKey
from tandem.http.settings import ServerSettings

CHANGING = [
    ("PUT", "/v1/products", {"products": [{"id": "X", "title": "x"}]}),
    ("DELETE", "/v1/products/P001", None),
    ("POST", "/v1/admin/refresh", None),
    ("PUT", "/v1/judgments", {"q": "lamp", "product_id": "P001", "relevance": 3}),
]


@pytest.mark.parametrize(("method", "path", "body"), CHANGING)
@pytest.mark.parametrize("key", [None, "", "wrong-key-wrong-key"])
def test_changing_anything_without_the_key_is_refused(
    client: TestClient, shop: SmallShop, method: str, path: str, body: object, key: str | None
) -> None:
    before = (dict(shop.products), {q: dict(v) for q, v in shop.verdicts.items()})
    headers = {} if key is None else {"X-API-Key": key}
    response = client.request(method, path, json=body, headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"]
    assert "X-API-Key" in response.json()["remedy"]
    assert before == (shop.products, shop.verdicts)


@pytest.mark.parametrize(("method", "path", "body"), CHANGING)
def test_a_server_without_a_key_opens_to_nobody(method: str, path: str, body: object) -> None:
    with TestClient(create_app(SmallShop(), ServerSettings(refresh_seconds=0))) as client:
        response = client.request(method, path, json=body, headers={"X-API-Key": ""})
        assert response.status_code == 401


@pytest.mark.parametrize(("method", "path", "body"), CHANGING)
def test_the_key_opens(
    client: TestClient, admin: dict[str, str], method: str, path: str, body: object
) -> None:
    assert client.request(method, path, json=body, headers=admin).status_code == 200


def test_upserted_products_are_found_and_replaced(
    client: TestClient, admin: dict[str, str]
) -> None:
    for title in ("Zeppelin kite", "Zeppelin balloon"):
        body = {"products": [{"id": "Z", "title": title}]}
        assert client.put("/v1/products", json=body, headers=admin).status_code == 200
    hits = client.get("/v1/search", params={"q": "zeppelin"}).json()["hits"]
    assert [h["product"]["title"] for h in hits] == ["Zeppelin balloon"]


def test_a_batch_is_taken_whole_or_not_at_all(
    client: TestClient, shop: SmallShop, admin: dict[str, str]
) -> None:
    good, bad = {"id": "G", "title": "good"}, {"id": "B", "title": ""}
    response = client.put("/v1/products", json={"products": [good, bad]}, headers=admin)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "body.products.1.title"
    assert "G" not in shop.products


def test_batches_are_limited(admin: dict[str, str]) -> None:
    key = AdminKey.of(admin["X-API-Key"])
    settings = ServerSettings(admin_key=key, max_batch=2, refresh_seconds=0)
    with TestClient(create_app(SmallShop(), settings)) as client:
        body = {"products": [{"id": str(i), "title": "t"} for i in range(3)]}
        response = client.put("/v1/products", json=body, headers=admin)
        assert response.status_code == 422
        assert "at most 2" in response.json()["remedy"]


def test_refresh_says_whether_it_switched(
    client: TestClient, shop: SmallShop, admin: dict[str, str]
) -> None:
    assert client.post("/v1/admin/refresh", headers=admin).json()["switched"] is False
    shop.pending = 1
    answer = client.post("/v1/admin/refresh", headers=admin).json()
    assert answer["switched"] is True
    assert answer["index_generation"].startswith("g000002")
    assert "tandem_generation_switches_total 1.0" in client.get("/metrics").text


def test_keys_come_from_the_environment_plain_or_hashed() -> None:
    plain = "correct horse battery"
    hashed = "sha256:" + hashlib.sha256(plain.encode()).hexdigest()
    for value in (plain, hashed):
        key = AdminKey.from_environment({VARIABLE: value})
        assert key is not None
        assert key.opens_with(plain)
        assert not key.opens_with(value + "x")
        assert plain not in repr(key)
    assert AdminKey.from_environment({}) is None
    with pytest.raises(InvalidInput) as error:
        AdminKey.from_environment({VARIABLE: "short"})
    assert error.value.remedy


def test_generated_keys_open_and_differ() -> None:
    (first, text), (second, _) = AdminKey.generate(), AdminKey.generate()
    assert first.opens_with(text)
    assert not second.opens_with(text)
