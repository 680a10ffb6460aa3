"""What the relevance workbench asks for."""

from __future__ import annotations

import pytest
from small_shop import SmallShop
from starlette.testclient import TestClient


def test_all_queries_and_measures_come_in_one_answer(client: TestClient) -> None:
    answer = client.get("/v1/judgments/queries", params={"rankers": "bm25,ltr"}).json()
    assert answer["measure"] == "nDCG@10"
    by_query = {q["q"]: q for q in answer["queries"]}
    assert set(by_query) == {"bluetooth speaker", "desk lamp", "nothing relevant"}
    assert by_query["desk lamp"]["judged"] == 2
    assert 0 < by_query["desk lamp"]["measures"]["ltr"] <= 1
    # Nobody judged anything relevant there: that is not the same as a measure of 0.
    assert by_query["nothing relevant"]["measures"] == {"bm25": None, "ltr": None}


def test_compare_agrees_with_the_list(client: TestClient) -> None:
    answer = client.post(
        "/v1/compare", json={"q": "bluetooth speaker", "rankers": ["bm25", "ltr"]}
    ).json()
    listed = client.get("/v1/judgments/queries", params={"rankers": "bm25,ltr"}).json()
    row = next(q for q in listed["queries"] if q["q"] == "bluetooth speaker")
    assert answer["measures"] == pytest.approx(row["measures"])
    assert answer["measures"]["bm25"] != answer["measures"]["ltr"]
    assert answer["judgments"] == {"P000": 3, "P001": 0, "P002": 2, "P005": 1}
    assert set(answer["results"]) == {"bm25", "ltr"}
    assert answer["results"]["ltr"]["hits"][0]["explanation"]["contributions"]
    assert answer["results"]["ltr"]["understanding"]["steps"]


def test_an_unjudged_query_has_no_measure(client: TestClient) -> None:
    answer = client.post("/v1/compare", json={"q": "shoes", "rankers": ["ltr"]}).json()
    assert answer["measures"] == {"ltr": None}
    assert answer["judgments"] == {}
    assert answer["results"]["ltr"]["hits"]


def test_a_verdict_is_recorded_and_replaced(
    client: TestClient, shop: SmallShop, admin: dict[str, str]
) -> None:
    for relevance in (1, 3):
        body = {"q": "shoes", "product_id": "P040", "relevance": relevance}
        assert client.put("/v1/judgments", json=body, headers=admin).status_code == 200
    assert shop.verdicts["shoes"] == {"P040": 3}
    assert client.get("/v1/judgments", params={"q": "shoes"}).json()["judgments"] == {"P040": 3}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"relevance": 4}, 422),
        ({"relevance": -1}, 422),
        ({"relevance": True}, 422),
        ({"q": "  "}, 422),
        ({"product_id": "no such"}, 404),
    ],
)
def test_bad_verdicts_are_turned_away(
    client: TestClient, shop: SmallShop, admin: dict[str, str], change: dict, status: int
) -> None:
    body = {"q": "shoes", "product_id": "P040", "relevance": 2, **change}
    assert client.put("/v1/judgments", json=body, headers=admin).status_code == status
    assert "shoes" not in shop.verdicts


def test_unknown_rankers_and_measures_are_named(client: TestClient) -> None:
    wrong = client.get("/v1/judgments/queries", params={"rankers": "best"})
    assert wrong.status_code == 422
    assert "bm25" in wrong.json()["remedy"]
    wrong = client.post("/v1/compare", json={"q": "x", "rankers": ["ltr"], "measure": "Wow@3"})
    assert wrong.status_code == 422
    assert wrong.json()["remedy"]


def test_rankings_are_kept_until_the_catalogue_or_a_generation_changes(
    client: TestClient, shop: SmallShop, admin: dict[str, str]
) -> None:
    def ran() -> int:
        before = shop.ran
        client.get("/v1/judgments/queries", params={"rankers": "bm25,ltr"})
        return shop.ran - before

    assert ran() == 6
    assert ran() == 0
    # Judging needs no new ranking of the queries that are judged already.
    body = {"q": "lamp", "product_id": "P048", "relevance": 3}
    client.put("/v1/judgments", json=body, headers=admin)
    assert ran() == 2
    client.delete("/v1/products/P001", headers=admin)
    assert ran() == 8
    shop.pending = 1
    client.post("/v1/admin/refresh", headers=admin)
    assert ran() == 8


def test_the_next_pairs_to_judge_come_with_their_products(client: TestClient) -> None:
    answer = client.get("/v1/judgments/next", params={"a": "bm25", "b": "ltr", "size": 5}).json()
    assert 0 < len(answer["pairs"]) <= 5
    judged = client.get("/v1/judgments", params={"q": "bluetooth speaker"}).json()["judgments"]
    for pair in answer["pairs"]:
        assert pair["product"]["title"]
        assert set(pair["places"]) == {"bm25", "ltr"}
        assert pair["q"] != "bluetooth speaker" or pair["product"]["id"] not in judged
    assert answer["pool"] >= answer["judged"] + len(answer["pairs"])
    assert 0.5 <= answer["confidence"] <= 1
    assert answer["told_apart"] is (answer["confidence"] >= 0.95)


@pytest.mark.parametrize("rankers", [("bm25", "bm25"), ("bm25", "oracle")])
def test_the_next_pairs_need_two_rankers(client: TestClient, rankers: tuple[str, str]) -> None:
    answer = client.get("/v1/judgments/next", params=dict(zip("ab", rankers, strict=True)))
    assert answer.status_code == 422
    assert "different" in answer.json()["remedy"]
