"""The lab over HTTP: what it shows, to whom, and that reports come in a sandbox."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from small_lab import SmallLab
from small_shop import SmallShop
from starlette.testclient import TestClient

from tandem.flows.lab import LabDesk
from tandem.http.app import create_app
from tandem.http.metrics import Metrics
from tandem.http.services import Services
from tandem.http.settings import ServerSettings
from tandem.storage.layout import Layout, Settings


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


def test_servers_of_one_workspace_are_summed(
    shop: SmallShop, settings: ServerSettings, admin: dict[str, str], tmp_path: Path
) -> None:
    lab = LabDesk(Layout.create(tmp_path / "shop", Settings()))
    watched = replace(settings, refresh_seconds=0.05)
    with TestClient(create_app(shop, watched, Services(lab=lab))) as first:
        with TestClient(create_app(shop, watched, Services(lab=lab))) as second:
            for client, n in ((first, 2), (second, 3)):
                for _ in range(n):
                    client.post("/v1/search", json={"q": "speaker"})
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                found = first.get("/v1/lab/monitor", headers=admin).json()
                if (found["servers"], found["searches"]) == (2, 5):
                    break
                time.sleep(0.05)
            assert (found["servers"], found["searches"]) == (2, 5)
            assert found["search"]["requests"] == 5
            assert {load["every"] for load in lab.loads("nobody")} == {0.05}
        alone = first.get("/v1/lab/monitor", headers=admin).json()
        assert (alone["servers"], alone["searches"]) == (1, 2), "a server that stops says so"
    assert not list(lab.loads("nobody"))


def test_a_server_that_died_is_left_out(tmp_path: Path) -> None:
    layout = Layout.create(tmp_path / "shop", Settings())
    lab = LabDesk(layout)
    load = Metrics().load()
    for name, age in (("here", 0), ("silent", 60), ("gone", 100_000)):
        lab.tell_load(name, load)
        then = time.time() - age
        os.utime(layout.servers / f"{name}.json", (then, then))
    (layout.servers / "broken.json").write_text("{")
    assert lab.loads("me") == [load]
    seldom = {**load, "every": 30.0}
    lab.tell_load("silent", seldom)
    then = time.time() - 60
    os.utime(layout.servers / "silent.json", (then, then))
    assert lab.loads("me") == [load, seldom], "it tells every thirty seconds"
    (layout.servers / "silent.json").unlink()
    assert lab.loads("here") == []
    assert not (layout.servers / "gone.json").exists()
