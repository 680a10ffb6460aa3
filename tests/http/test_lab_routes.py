"""The lab over HTTP: what it shows, to whom, and that reports come in a sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from small_lab import SmallLab
from small_shop import SmallShop
from starlette.testclient import TestClient

from tandem.http.app import create_app
from tandem.http.metrics import Metrics
from tandem.http.services import Services
from tandem.http.settings import ServerSettings


@pytest.fixture
def lab(shop: SmallShop, settings: ServerSettings) -> Iterator[TestClient]:
    with TestClient(create_app(shop, settings, Services(lab=SmallLab()))) as client:
        yield client


def test_a_report_comes_in_a_sandbox_and_no_other_file_does(
    lab: TestClient, admin: dict[str, str]
) -> None:
    (report,) = lab.get("/v1/lab/reports", headers=admin).json()["reports"]
    found = lab.get(f"/v1/lab/reports/{report['name']}/html", headers=admin)
    assert found.headers["content-type"].startswith("text/html")
    policies = found.headers.get_list("content-security-policy")
    assert any(p.startswith("sandbox") for p in policies)
    assert lab.get(f"/v1/lab/reports/{report['name']}/pdf", headers=admin).status_code == 404
    assert lab.get(f"/v1/lab/reports/{report['name']}/exe", headers=admin).status_code == 422
    assert lab.get("/v1/lab/reports/..%2Ftandem/html", headers=admin).status_code == 404
    assert lab.get(f"/v1/lab/reports/{report['name']}/html").status_code == 401


def test_the_monitor_counts_what_was_asked(lab: TestClient, admin: dict[str, str]) -> None:
    before = lab.get("/v1/lab/monitor", headers=admin).json()
    for q in ("speaker", "zzzzzz"):
        assert lab.post("/v1/search", json={"q": q}).is_success
    after = lab.get("/v1/lab/monitor", headers=admin).json()
    assert after["searches"] - before["searches"] == 2
    assert after["without_results"] - before["without_results"] == 1
    assert after["requests"] - before["requests"] == 3
    assert after["search"]["requests"] == 2
    assert 0 < after["search"]["p50_ms"] <= after["search"]["p95_ms"]
    assert after["seconds"] >= before["seconds"]


def test_times_are_read_from_the_histogram() -> None:
    metrics = Metrics()
    for milliseconds in (*[3] * 50, *[30] * 45, *[700] * 5):
        metrics.started()
        metrics.finished("/x", "GET", 200, milliseconds / 1000)
    (route,) = metrics.monitor().routes
    assert route.p50_ms == pytest.approx(5.0)
    assert route.p95_ms == pytest.approx(50.0)
    metrics.started()
    metrics.finished("/x", "GET", 503, 99.0)
    assert metrics.monitor().errors == 1
