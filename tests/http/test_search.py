"""Search, suggest and products over HTTP."""

from __future__ import annotations

import pytest
from small_shop import SmallShop
from starlette.testclient import TestClient

from tandem.contracts.search import SearchResponse
from tandem.http.app import create_app
from tandem.http.settings import ServerSettings


def test_get_and_post_ask_the_same(client: TestClient) -> None:
    by_query = client.get(
        "/v1/search",
        params={
            "q": "speaker",
            "brand": ["Acme", "Delphi"],
            "attribute": ["color:Black", "color:Teal"],
            "price_max": "80",
            "rating_min": 2.5,
            "facets": "brand,color",
            "sort": "price_desc",
            "size": 5,
        },
    )
    by_body = client.post(
        "/v1/search",
        json={
            "q": "speaker",
            "filters": {
                "brand": ["Acme", "Delphi"],
                "attributes": {"color": ["Black", "Teal"]},
                "price_max": "80",
                "rating_min": 2.5,
            },
            "facets": ["brand", "color"],
            "sort": "price_desc",
            "size": 5,
        },
    )
    assert by_query.status_code == by_body.status_code == 200
    for changing in ("query_id", "timings_ms"):
        assert by_query.json()[changing]
        assert by_body.json()[changing]
    left, right = by_query.json(), by_body.json()
    assert left["hits"]
    assert {k: v for k, v in left.items() if k not in ("query_id", "timings_ms")} == {
        k: v for k, v in right.items() if k not in ("query_id", "timings_ms")
    }


def test_an_answer_says_what_produced_it_in_body_and_headers(client: TestClient) -> None:
    response = client.get("/v1/search", params={"q": "lamp"})
    answer = SearchResponse.model_validate_json(response.content)
    assert response.headers["Tandem-Query-Id"] == answer.query_id
    assert response.headers["Tandem-Index-Generation"] == answer.index_generation
    assert response.headers["Tandem-Model-Generation"] == answer.model_generation
    assert {"queue", "lexical"} <= set(answer.timings_ms)
    assert "lexical;dur=" in response.headers["Server-Timing"]


@pytest.mark.parametrize("path", ["/v1/suggest?q=blu", "/v1/products/P001", "/v1/status"])
def test_every_other_answer_does_so_too(client: TestClient, path: str) -> None:
    response = client.get(path)
    body = response.json()
    assert response.status_code == 200
    assert body["query_id"] == response.headers["Tandem-Query-Id"]
    assert body["index_generation"] == "g000001-20260101T000000"
    assert body["model_generation"] == "g000001-20260101T000000"
    assert body["timings_ms"]["total"] >= 0


def test_pages_do_not_overlap(client: TestClient) -> None:
    seen = [
        hit["position"]
        for page in (1, 2, 3)
        for hit in client.get("/v1/search", params={"page": page, "size": 7}).json()["hits"]
    ]
    assert seen == list(range(1, 22))


def test_explain_is_only_given_when_asked(client: TestClient) -> None:
    plain = client.get("/v1/search", params={"q": "lamp"}).json()
    explained = client.get("/v1/search", params={"q": "lamp", "explain": True}).json()
    assert plain["hits"][0]["explanation"] is None
    assert explained["hits"][0]["explanation"]["contributions"]


def test_the_personalisation_context_is_checked_and_goes_no_further(
    client: TestClient, shop: SmallShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    search = shop.search
    monkeypatch.setattr(
        shop, "search", lambda query, **who: asked.append(query) or search(query, **who)
    )
    body = {"q": "lamp", "context": {"client_id": "c-1", "recent_products": ["P001"]}}
    assert client.post("/v1/search", json=body).status_code == 200
    assert "c-1" not in repr(asked)
    body["context"]["age"] = 7  # type: ignore[index]
    assert client.post("/v1/search", json=body).status_code == 422


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("nope=1", "nope"),
        ("size=201", "size"),
        ("page=0", "page"),
        ("page=9999&size=200", "page"),
        ("sort=cheapest", "sort"),
        ("q=" + "a" * 513, "q"),
        ("ranker=none", "ranker"),
        ("facets=none", "facets"),
        ("attribute=color", "attribute"),
        ("price_max=1e400", "price_max"),
        ("price_max=nan", "price_max"),
        ("&".join(f"brand=b{i}" for i in range(300)), "filters"),
    ],
)
def test_a_bad_parameter_is_named_with_a_remedy(client: TestClient, query: str, field: str) -> None:
    response = client.get(f"/v1/search?{query}")
    problem = response.json()
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["status"] == 422
    assert problem["title"]
    assert problem["remedy"]
    assert problem["query_id"] == response.headers["Tandem-Query-Id"]
    assert field in " ".join(e["field"] for e in problem["errors"])


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"q": NaN}',
        b'{"q": "\\ud800"}',
        b'{"filters": {"price_max": 1e999}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_json_that_is_none_gets_400(client: TestClient, body: bytes) -> None:
    response = client.post("/v1/search", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["remedy"]


def test_unknown_addresses_and_methods_are_problems_too(client: TestClient) -> None:
    assert client.get("/v1/nothing").json()["status"] == 404
    wrong = client.patch("/v1/search")
    assert wrong.status_code == 405
    assert "Allow" in wrong.headers
    assert wrong.json()["status"] == 405


def test_an_unforeseen_error_is_a_problem_without_its_cause(
    client: TestClient, shop: SmallShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(query: object) -> None:
        raise RuntimeError("the password is 1234")

    monkeypatch.setattr(shop, "search", broken)
    response = client.get("/v1/search")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "1234" not in response.text
    assert "query_id" in response.json()["remedy"]


def test_a_product_id_may_hold_a_slash(client: TestClient, admin: dict[str, str]) -> None:
    product = {"id": "a/b c?d", "title": "Odd id"}
    put = client.put("/v1/products", json={"products": [product]}, headers=admin)
    assert put.json()["upserted"] == 1
    read = client.get("/v1/products/a%2Fb%20c%3Fd")
    assert read.json()["product"]["title"] == "Odd id"
    assert client.delete("/v1/products/a%2Fb%20c%3Fd", headers=admin).json()["deleted"] == 1
    assert client.get("/v1/products/a%2Fb%20c%3Fd").status_code == 404
    assert client.delete("/v1/products/a%2Fb%20c%3Fd", headers=admin).status_code == 404


def test_suggestions_are_limited(client: TestClient) -> None:
    answer = client.get("/v1/suggest", params={"q": "blu", "limit": 2}).json()
    assert len(answer["suggestions"]) == 2
    assert client.get("/v1/suggest", params={"q": "blu", "limit": 21}).status_code == 422
    assert client.get("/v1/suggest").status_code == 422


def test_what_is_served_is_noted_unless_that_is_off(shop: SmallShop, client: TestClient) -> None:
    answer = client.get("/v1/search", params={"q": "lamp"}).json()
    assert shop.recorded == [answer["query_id"]]
    with TestClient(create_app(shop, ServerSettings(log_served=False))) as quiet:
        quiet.get("/v1/search", params={"q": "lamp"})
    assert len(shop.recorded) == 1
