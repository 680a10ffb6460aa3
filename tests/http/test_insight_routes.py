"""Where search fails, over HTTP."""

from __future__ import annotations

from small_insights import SmallInsights
from starlette.testclient import TestClient


def test_an_analyst_reads_the_report_and_tries_a_fix(
    client: TestClient, admin: dict[str, str], insights: SmallInsights
) -> None:
    response = client.get("/v1/insights", headers=admin)
    (finding,) = response.json()["insights"]["findings"]
    assert response.json()["query_id"] == response.headers["Tandem-Query-Id"]
    tried = client.post("/v1/insights/try", json={"id": finding["id"]}, headers=admin)
    assert tried.json()["trial"]["verdict"] == "cannot be tried offline"
    assert insights.tried_by == "key:admin"  # the audit log names who read what shoppers did


def test_without_a_key_and_with_a_wrong_id_it_says_so(
    client: TestClient, admin: dict[str, str]
) -> None:
    assert client.get("/v1/insights").status_code == 401
    assert client.post("/v1/insights/try", json={"id": "slow-1"}).status_code == 401
    missing = client.post("/v1/insights/try", json={"id": "nothing"}, headers=admin)
    assert missing.status_code == 404
    assert missing.json()["remedy"]
    wrong = client.post("/v1/insights/try", json={"name": "x"}, headers=admin)
    assert wrong.status_code == 422
