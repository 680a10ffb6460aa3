"""Health, metrics, headers, logs, pages."""

from __future__ import annotations

import dataclasses
import logging
import re
from pathlib import Path

import pytest
from small_shop import SmallShop
from starlette.testclient import TestClient

from tandem.http.app import create_app
from tandem.http.services import Services
from tandem.http.settings import ServerSettings


def test_health_and_readiness(client: TestClient, shop: SmallShop) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").status_code == 200
    client.app.state.stopping = True  # type: ignore[attr-defined]
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503


def test_metrics_count_by_route_and_stage(client: TestClient) -> None:
    client.get("/v1/search?q=lamp")
    client.get("/v1/search?q=xyzzyx")
    client.get("/v1/products/P001")
    client.get("/v1/products/P002")
    text = client.get("/metrics").text
    assert 'tandem_http_requests_total{method="GET",route="/v1/search",status="200"} 2.0' in text
    assert 'route="/v1/products/{product_id:path}",status="200"} 2.0' in text
    assert 'tandem_http_request_seconds_count{route="/v1/search"} 2.0' in text
    assert 'tandem_search_stage_seconds_count{stage="lexical"} 2.0' in text
    assert "tandem_searches_without_results_total 1.0" in text
    assert "tandem_products 60.0" in text
    assert 'tandem_generation_info{index="g000001-' in text
    assert "P001" not in text


@pytest.mark.parametrize(
    "path", ["/", "/p/P001", "/workbench", "/v1/search", "/nothing", "/metrics"]
)
def test_security_headers_are_on_every_answer(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe-inline" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_neither_client_nor_query_is_logged(
    shop: SmallShop, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(shop, ServerSettings(refresh_seconds=0))
    with (
        caplog.at_level(logging.DEBUG, logger="tandem"),
        TestClient(app, client=("203.0.113.77", 4242)) as client,
    ):
        client.get("/v1/search?q=secretwish")
        client.get("/v1/products/secretwish")
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("tandem")]
    assert len(ours) == 2
    assert re.fullmatch(r"GET /v1/search 200 [\d.]+ ms query_id=\w{32}", ours[0])
    assert "203.0.113.77" not in caplog.text.replace("testserver", "")
    assert not any("secretwish" in line for line in ours)


@pytest.mark.parametrize("path", ["/", "/p/P001", "/workbench"])
def test_pages_say_so_when_the_catalogue_is_simulated(path: str) -> None:
    for simulated in (True, False):
        shop = SmallShop(simulated=simulated)
        with TestClient(create_app(shop, ServerSettings(refresh_seconds=0))) as client:
            page = client.get(path).text
        assert ("Simulated catalogue" in page) is simulated


def test_the_name_of_a_shop_cannot_be_markup(
    shop: SmallShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = {**shop.status(), "name": "</script><script>alert(1)</script>"}
    monkeypatch.setattr(shop, "status", lambda: status)
    with TestClient(create_app(shop, ServerSettings(refresh_seconds=0))) as client:
        assert "<script>alert" not in client.get("/").text


def test_pages_hold_no_inline_script_or_style_and_load_nothing_from_elsewhere(
    client: TestClient,
) -> None:
    for path in ("/", "/p/P001", "/workbench"):
        page = client.get(path).text
        scripts = re.findall(r"<script(?![^>]*\bsrc=)([^>]*)>", page)
        assert all('type="application/json"' in attributes for attributes in scripts)
        assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", page)
        for address in re.findall(r'(?:src|href)="([^"]+)"', page):
            assert address.startswith(("/", "#"))
        for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
            assert client.get(address).status_code == 200


def test_scripts_never_write_markup(client: TestClient) -> None:
    page = "".join(client.get(p).text for p in ("/", "/p/P001", "/workbench"))
    names = set(re.findall(r"/static/([\w.]+\.js)", page))
    seen = set()
    while names - seen:
        name = (names - seen).pop()
        seen.add(name)
        text = client.get(f"/static/{name}").text
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
        names |= set(re.findall(r'from "\./([\w.]+)"', text))
    assert len(seen) >= 8


def test_static_files_are_a_closed_list_and_revalidate(client: TestClient) -> None:
    for path in (
        "/static/nothing.js",
        "/static/store.html",
        "/static/..%2Fapp.py",
        "/static/%2e%2e",
    ):
        assert client.get(path).status_code == 404
    first = client.get("/static/store.js")
    assert first.headers["content-type"].startswith("text/javascript")
    again = client.get("/static/store.js", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert not again.content


def test_openapi_shows_problems_examples_and_the_key(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    assert "HTTPValidationError" not in schema["components"]["schemas"]
    search = schema["paths"]["/v1/search"]
    assert "application/problem+json" in search["post"]["responses"]["422"]["content"]
    assert schema["components"]["schemas"]["SearchBody"]["examples"]
    assert schema["paths"]["/v1/products"]["put"]["security"] == [{"APIKeyHeader": []}]
    assert "security" not in search["get"]


def test_every_route_setting_and_metric_is_documented(client: TestClient) -> None:
    docs = Path(__file__).parents[2] / "docs"
    pages = ("http.md", "collaborations.md")
    text = "\n".join((docs / page).read_text(encoding="utf-8") for page in pages)
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method in methods:
            route = f"{method.upper()} {re.sub('{(product_id|id_)}', '{id}', path)}"
            assert re.search(re.escape(route) + r"[`?]", text), route
    for field in (*dataclasses.fields(ServerSettings), *dataclasses.fields(Services)):
        assert f"`{field.name}`" in text, field.name
    for name in re.findall(
        r"# TYPE (tandem_\w+) (?:counter|histogram|gauge)", client.get("/metrics").text
    ):
        if not name.endswith("_created"):
            assert name in text, name
