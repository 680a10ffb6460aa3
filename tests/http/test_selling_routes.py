"""Why don't I rank, over HTTP."""

from __future__ import annotations

from typing import NoReturn

from small_shop import SmallShop
from starlette.testclient import TestClient

from tandem.contracts.errors import InvalidInput
from tandem.http.app import create_app
from tandem.http.settings import ServerSettings

WHY = "/v1/seller/why"


def test_a_merchant_learns_place_reasons_and_changes(client: TestClient) -> None:
    response = client.get(WHY, params={"q": "speaker", "product_id": "P003"})
    assert response.status_code == 200
    answer = response.json()
    standing = answer["standing"]
    assert standing["product_id"] == "P003"
    assert standing["position"] == len(standing["above"]) + 1
    assert standing["edits"][0]["claim"]
    assert 0 <= standing["quality"]["score"] <= 100
    assert answer["query_id"] == response.headers["Tandem-Query-Id"]
    assert answer["timings_ms"]["total"] >= 0


def test_without_trying_nothing_is_tried(client: TestClient) -> None:
    found = client.get(WHY, params={"q": "speaker", "product_id": "P003", "trying": False})
    assert found.json()["standing"]["edits"] == []


def test_bad_questions_name_field_and_remedy(client: TestClient) -> None:
    missing = client.get(WHY, params={"q": "speaker", "product_id": "nothing"})
    assert missing.status_code == 404
    assert missing.json()["remedy"]
    assert client.get(WHY, params={"product_id": "P003"}).status_code == 422
    assert client.get(WHY, params={"q": "x", "product_id": "P003", "k": 1}).status_code == 422
    assert client.get(WHY, params={"q": "  ", "product_id": "P003"}).status_code == 422


def test_where_a_file_of_the_server_lies_is_not_told() -> None:
    class Torn(SmallShop):
        def standing(self, *_: object, **__: object) -> NoReturn:
            raise InvalidInput("is torn", file="/srv/secret/models/g1/manifest.json", field="k")

    settings = ServerSettings(rate_per_second=0, refresh_seconds=0)
    with TestClient(create_app(Torn(), settings)) as client:
        problem = client.get(WHY, params={"q": "speaker", "product_id": "P003"}).json()
    assert problem["detail"] == "manifest.json: field 'k': is torn"
    assert "secret" not in str(problem)
