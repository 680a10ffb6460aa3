"""A real workspace behind the server: updates and generation switches under load."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

import httpx
import pytest
from test_server import KEY

from live_server import served
from tandem.flows.import_ import create_workspace, import_simulated
from tandem.flows.index import build_index
from tandem.flows.online import Online
from tandem.flows.slots import SlotDesk
from tandem.flows.workspace import Workspace, open_workspace
from tandem.http.keys import AdminKey
from tandem.http.services import Services
from tandem.http.settings import ServerSettings
from tandem.storage.layout import Layout

ADMIN = {"X-API-Key": KEY}


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    folder = tmp_path_factory.mktemp("shop") / "ws"
    layout = create_workspace(folder, encoder=None, simulated=True)
    import_simulated(layout, 300)
    build_index(layout)
    return layout


def test_real_generations_switch_under_load_without_one_failed_request(layout: Layout) -> None:
    statuses: list[int] = []
    generations: set[str] = set()
    done = threading.Event()
    settings = ServerSettings(admin_key=AdminKey.of(KEY), threads=2, refresh_seconds=0.1)
    with open_workspace(layout.root) as shop, served(shop, settings) as address:

        def hammer(path: str) -> None:
            with httpx.Client(base_url=address) as client:
                while not done.is_set():
                    response = client.get(path)
                    statuses.append(response.status_code)
                    generations.add(response.json()["index_generation"])

        paths = (
            "/v1/search?q=shoes&facets=brand,category",
            "/v1/search?q=blak+tablet&explain=true&sort=price_asc",
            "/v1/suggest?q=sh",
            "/v1/products/SIM-0000051",
        )
        threads = [threading.Thread(target=hammer, args=(p,)) for p in paths]
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                build_index(layout)
            for name in (*layout.index.names(), *layout.index.names()):
                layout.index.switch(name)
                httpx.post(f"{address}/v1/admin/refresh", headers=ADMIN).raise_for_status()
                time.sleep(0.1)
        finally:
            done.set()
            for thread in threads:
                thread.join()
    assert set(statuses) == {200}
    assert len(generations) >= 3


def test_a_product_is_found_when_its_upsert_is_answered(layout: Layout) -> None:
    settings = ServerSettings(admin_key=AdminKey.of(KEY))
    shop: Workspace
    with open_workspace(layout.root) as shop, served(shop, settings) as address:

        def titles() -> list[str]:
            answer = httpx.get(f"{address}/v1/search?q=zorbulator").json()
            return [h["product"]["title"] for h in answer["hits"]]

        assert "Zorbulator deluxe" not in titles()
        body = {"products": [{"id": "Z/1", "title": "Zorbulator deluxe"}]}
        put = httpx.put(f"{address}/v1/products", json=body, headers=ADMIN)
        assert put.json()["upserted"] == 1
        assert titles()[0] == "Zorbulator deluxe"
        httpx.delete(f"{address}/v1/products/Z%2F1", headers=ADMIN).raise_for_status()
        assert "Zorbulator deluxe" not in titles()


def test_judging_reaches_the_measures(layout: Layout) -> None:
    settings = ServerSettings(admin_key=AdminKey.of(KEY))
    with open_workspace(layout.root) as shop, served(shop, settings) as address:
        compared = httpx.post(
            f"{address}/v1/compare", json={"q": "red sofa now", "rankers": ["bm25"]}, timeout=30
        ).json()
        best = compared["results"]["bm25"]["hits"][0]["product"]["id"]
        assert compared["measures"] == {"bm25": None}
        body = {"q": "red sofa now", "product_id": best, "relevance": 3}
        httpx.put(f"{address}/v1/judgments", json=body, headers=ADMIN).raise_for_status()
        listed = httpx.get(f"{address}/v1/judgments/queries?rankers=bm25", timeout=60).json()
        row = next(q for q in listed["queries"] if q["q"] == "red sofa now")
        assert row == {"q": "red sofa now", "judged": 1, "measures": {"bm25": 1.0}}


def test_a_slot_is_shown_learned_and_stopped_over_http(layout: Layout) -> None:
    settings = ServerSettings(admin_key=AdminKey.of(KEY), refresh_seconds=0.1)
    arms = [{"name": "plain"}, {"name": "summer", "value": "/summer"}]
    body = {"name": "banner", "where": "page", "arms": arms, "why": "a drill"}
    with open_workspace(layout.root) as shop:
        services = Services(online=Online(shop, seed=1), slots=SlotDesk(layout))
        with served(shop, settings, services) as address:
            # An agent that says what it is would be taken for a bot, on which nothing is tried.
            client = httpx.Client(base_url=address, headers={"User-Agent": "Mozilla/5.0"})
            assert client.post("/v1/slots/banner/show", json={}).status_code == 404
            client.post("/v1/slots", json=body, headers=ADMIN).raise_for_status()
            time.sleep(1.1)  # how long a server believes the book
            who = {"context": {"client_id": "c1"}}
            shown = client.post("/v1/slots/banner/show", json=who).json()
            assert shown["arm"] in ("plain", "summer")
            assert 0 < shown["pscore"] <= 1
            again = client.post("/v1/slots/banner/show", json=who).json()
            assert again["arm"] == shown["arm"]
            shy = client.post("/v1/slots/banner/show", json=who, headers={"Sec-GPC": "1"}).json()
            assert (shy["arm"], shy["pscore"]) == ("plain", None)
            event = {"kind": "event", "event_id": "k1", "client_id": "c1", "action_name": "click"}
            event |= {"timestamp": datetime.now(UTC).isoformat(), "object_id": "/summer"}
            event["query_id"] = shown["query_id"]
            client.post("/v1/events", json={"records": [event]}).raise_for_status()
            (found,) = client.get("/v1/slots", headers=ADMIN).json()["slots"]
            assert sum(a["rewards"] for a in found["arms"]) == 1
            client.post("/v1/slots/banner/stop", json={"why": "enough"}, headers=ADMIN)
            time.sleep(1.1)
            assert client.post("/v1/slots/banner/show", json=who).json()["pscore"] is None
