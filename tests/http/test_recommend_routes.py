"""`/v1/recommend/…`: the same standards as search."""

from __future__ import annotations

import pytest
from small_shop import SmallShop
from starlette.testclient import TestClient


@pytest.mark.parametrize("kind", ["similar", "complementary"])
def test_from_a_product(client: TestClient, shop: SmallShop, kind: str) -> None:
    response = client.get(f"/v1/recommend/{kind}", params={"product_id": "P000", "size": 3})
    body = response.json()
    assert response.status_code == 200
    assert body["kind"] == kind
    assert [i["position"] for i in body["items"]] == [1, 2, 3]
    assert all(i["from_product"] == "P000" for i in body["items"])
    assert response.headers["Tandem-Query-Id"] == body["query_id"]
    assert response.headers["Tandem-Index-Generation"] == body["index_generation"]
    assert {"queue", "total"} <= set(body["timings_ms"])
    assert "total;dur=" in response.headers["Server-Timing"]


@pytest.mark.parametrize("kind", ["next", "feed"])
def test_from_a_session_by_address_and_by_body(client: TestClient, kind: str) -> None:
    path = f"/v1/recommend/{kind}"
    first = client.get(path, params={"recent": ["P001", "P002"], "size": 5}).json()
    context = {"recent_products": ["P001", "P002"]}
    second = client.post(path, json={"context": context, "size": 5}).json()
    assert first["items"] == second["items"]
    assert first["personal"]
    assert not {"P001", "P002"} & {i["product"]["id"] for i in first["items"]}
    brand = {"filters": {"brand": ["Acme"]}}
    only = client.post(path, json=brand).json()["items"]
    assert {i["product"]["brand"] for i in only} == {"Acme"}


def test_what_is_wrong_is_said(client: TestClient) -> None:
    assert client.get("/v1/recommend/similar?product_id=none").status_code == 404
    assert client.get("/v1/recommend/similar").status_code == 422
    assert client.get("/v1/recommend/feed?size=101").status_code == 422
    assert client.get("/v1/recommend/feed?sise=10").status_code == 422
    many = {"context": {"recent_products": ["x"] * 51}}
    assert client.post("/v1/recommend/next", json=many).status_code == 422
    assert client.get("/v1/recommend/feed?in_stock=true&size=5").status_code == 200


def test_a_visitor_decides_is_known_and_is_forgotten(client: TestClient) -> None:
    who = {"client_id": "c1"}
    seen = {**who, "events": [{"product_id": "P001"}]}
    path = "/v1/recommend/visitor"
    assert client.post(f"{path}/events", json=seen).json()["recorded"] == 0
    granted = client.put(f"{path}/consent", json={**who, "granted": True}).json()
    nothing = {"recent": [], "hidden": [], "visits": [], "shown": {}}
    assert granted["visitor"] == {"consent": True, **nothing, "kept_days": 30}
    assert client.post(f"{path}/events", json=seen).json()["recorded"] == 1
    assert client.post(path, json=who).json()["visitor"]["recent"] == ["P001"]
    feed = client.post("/v1/recommend/feed", json={"context": who}).json()
    assert feed["personal"]
    assert client.post(f"{path}/reset", json=who).json()["visitor"]["recent"] == []
    assert not client.post("/v1/recommend/feed", json={"context": who}).json()["personal"]
    assert client.put(f"{path}/consent", json={**who, "granted": "yes"}).status_code == 422
    assert client.post(f"{path}/events", json={**who, "events": []}).status_code == 422


def test_who_asks_reaches_the_search_unless_the_browser_objects(client: TestClient, shop) -> None:
    asked = {"q": "lamp", "context": {"client_id": "c1", "recent_products": ["P001"]}}
    assert client.post("/v1/search", json=asked).status_code == 200
    assert shop.asked == ("c1", ("P001",))
    for headers in ({"Sec-GPC": "1"}, {"DNT": "1"}):
        client.post("/v1/search", json=asked, headers=headers)
        assert shop.asked == (None, ())
    asked["context"]["personal"] = False
    client.post("/v1/search", json=asked)
    assert shop.asked == (None, ())


def test_similar_and_complementary_by_body(client: TestClient) -> None:
    for kind in ("similar", "complementary"):
        path = f"/v1/recommend/{kind}"
        plain = client.get(path, params={"product_id": "P000", "size": 5}).json()
        body = {"product_id": "P000", "size": 5, "context": {"client_id": "c9"}}
        assert client.post(path, json=body).json()["items"] == plain["items"]
        assert client.post(path, json={"size": 5}).status_code == 422
        assert client.post(path, json={"product_id": "none"}).status_code == 404


def test_a_visitor_sees_interests_and_removes_what_is_behind_them(client: TestClient) -> None:
    who, path = {"client_id": "c2"}, "/v1/recommend/visitor"
    client.put(f"{path}/consent", json={**who, "granted": True})
    client.post(f"{path}/events", json={**who, "events": [{"product_id": "P001"}]})
    found = client.post(f"{path}/interests", json=who).json()
    assert found["interests"] == [{"kind": "brand", "value": "Acme", "products": ["P001"]}]
    assert [p["id"] for p in found["products"]] == ["P001"]
    removed = client.post(f"{path}/remove", json={**who, "product_ids": ["P001"]}).json()
    assert removed["visitor"]["recent"] == []
    assert client.post(f"{path}/remove", json={**who, "product_ids": []}).status_code == 422
