"""The privacy office over HTTP: for its officers only, and no identifier comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from small_office import SmallOffice
from small_shop import SmallShop
from starlette.testclient import TestClient

from tandem.http.app import create_app
from tandem.http.keys import AdminKey
from tandem.http.services import Services
from tandem.http.settings import ServerSettings

KEY = {"X-API-Key": "a-key-for-tests-only"}
ANNA = {"identifier": "anna@example.com", "role": "user"}


@pytest.fixture
def office() -> SmallOffice:
    return SmallOffice()


@pytest.fixture
def client(office: SmallOffice) -> Iterator[TestClient]:
    settings = ServerSettings(admin_key=AdminKey.of(KEY["X-API-Key"]), refresh_seconds=0)
    with TestClient(create_app(SmallShop(), settings, Services(privacy=office))) as client:
        yield client


def test_nothing_without_a_key(client: TestClient) -> None:
    assert client.get("/v1/privacy").status_code == 401
    for path in ("person", "consent", "export", "corrections", "erasures"):
        assert client.post(f"/v1/privacy/{path}", json=ANNA).status_code == 401
    assert client.get("/v1/privacy/data-map").status_code == 401


def test_a_person_is_looked_up_decides_is_copied_and_erased(
    client: TestClient, office: SmallOffice
) -> None:
    found = client.post("/v1/privacy/person", json=ANNA, headers=KEY)
    assert found.json()["allowed"]["analytics"] is False
    assert "anna" not in found.text
    body = {**ANNA, "purpose": "analytics", "decision": "granted"}
    assert client.post("/v1/privacy/consent", json=body, headers=KEY).json()["allowed"]["analytics"]
    assert client.post("/v1/privacy/export", json=ANNA, headers=KEY).json()["events"] == []
    erased = client.post("/v1/privacy/erasures", json=ANNA, headers=KEY).json()
    assert erased["state"] == "finished"
    path = f"/v1/privacy/erasures/{erased['id']}"
    assert client.get(path, headers=KEY).json()["found"] == 0
    assert client.get("/v1/privacy/erasures/none", headers=KEY).status_code == 404
    assert {who for who, _ in office.acts} == {"key:admin"}
    overview = client.get("/v1/privacy", headers=KEY)
    assert overview.json()["requests"][0]["id"] == erased["id"]
    assert "anna" not in overview.text


def test_an_event_is_corrected(client: TestClient, office: SmallOffice) -> None:
    body = {**ANNA, "event": "e1", "changes": {"quantity": "1"}, "reason": "typo"}
    after = client.post("/v1/privacy/corrections", json=body, headers=KEY)
    assert after.json() == {"event_key": "e1", "quantity": "1"}
    assert office.acts == [("key:admin", "rights.correct")]
    other = client.post("/v1/privacy/corrections", json={**body, "event": "e2"}, headers=KEY)
    assert other.status_code == 404
    assert client.post(
        "/v1/privacy/corrections", json={**body, "changes": {}}, headers=KEY
    ).status_code in (400, 422)


def test_the_data_map_and_the_budgets_are_told(client: TestClient) -> None:
    assert client.get("/v1/privacy/data-map", headers=KEY).json()["dataset"]
    overview = client.get("/v1/privacy", headers=KEY).json()
    assert overview["budgets"][0] == {"tenant": "Acme", "reports": 3, "spent": 1.0, "total": 4.0}
    assert overview["stored"][0]["fields"][0]["categories"] == ["user.unique_id.pseudonymous"]


def test_a_server_without_an_office_says_so() -> None:
    settings = ServerSettings(admin_key=AdminKey.of(KEY["X-API-Key"]), refresh_seconds=0)
    with TestClient(create_app(SmallShop(), settings)) as client:
        assert client.get("/v1/privacy", headers=KEY).status_code == 404
