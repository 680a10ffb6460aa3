"""The model registry over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from small_registry import SmallRegistry
from small_shop import SmallShop
from starlette.testclient import TestClient

from tandem.http.app import create_app
from tandem.http.keys import AdminKey
from tandem.http.services import Services
from tandem.http.settings import ServerSettings

KEY = {"X-API-Key": "a-key-for-tests-only"}
CANDIDATE = "g000003-20260301T120000"


@pytest.fixture
def client() -> Iterator[TestClient]:
    settings = ServerSettings(admin_key=AdminKey.of(KEY["X-API-Key"]), refresh_seconds=0)
    services = Services(registry=SmallRegistry())
    with TestClient(create_app(SmallShop(), settings, services)) as client:
        yield client


def test_models_are_listed_with_stage_and_lineage(client: TestClient) -> None:
    models = client.get("/v1/models").json()["models"]
    assert [m["stage"] for m in models] == ["candidate", "live", "retired"]
    assert client.get(f"/v1/models/{CANDIDATE}").json() == models[0]
    assert CANDIDATE in client.get(f"/v1/models/{CANDIDATE}/card").text
    assert client.get("/v1/models/nothing").status_code == 404


def test_promotion_needs_a_key_is_refused_overruled_and_undone(client: TestClient) -> None:
    path, body = f"/v1/models/{CANDIDATE}/promote", {"why": "better"}
    assert client.post(path, json=body).status_code == 401
    refused = client.post(path, json=body, headers=KEY).json()
    assert refused["stage"] == "candidate"
    assert refused["who"] == "key:admin"
    live = client.post(path, json={**body, "override": ["latency"]}, headers=KEY).json()
    assert live["stage"] == "live"
    assert client.post(path, json=body, headers=KEY).status_code == 409
    back = client.post("/v1/models/rollback", json={"why": "clicks fell"}, headers=KEY)
    assert back.json()["generation"] == "g000001-20260101T120000"
    decisions = client.get(f"/v1/models/{CANDIDATE}").json()["decisions"]
    assert [d["stage"] for d in decisions] == ["candidate", "live"]


def test_a_decision_needs_a_reason(client: TestClient) -> None:
    assert client.post("/v1/models/rollback", json={"why": ""}, headers=KEY).status_code == 422
    assert client.post("/v1/models/rollback", json={}, headers=KEY).status_code == 422


def test_a_result_is_traced(client: TestClient) -> None:
    found = client.get("/v1/trace/known").json()
    assert found["served"]["products"] == ["P001", "P002"]
    assert found["model"]["stage"] == "live"
    assert client.get("/v1/trace/unknown").status_code == 404


def test_a_server_without_a_registry_says_so() -> None:
    with TestClient(create_app(SmallShop(), ServerSettings(refresh_seconds=0))) as client:
        response = client.get("/v1/models")
    assert response.status_code == 404
    assert "registry" in response.json()["detail"]
