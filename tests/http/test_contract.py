"""The API against its own OpenAPI description: generated requests, well-formed and malformed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi_checks
from small_campaigns import SmallCampaigns
from small_experiments import SmallExperiments
from small_insights import SmallInsights
from small_lab import SmallLab
from small_matching import SmallMatching
from small_office import SmallOffice
from small_registry import SmallRegistry
from small_seller import SmallSeller
from small_shop import SmallShop
from small_slots import SmallSlots
from small_studio import SmallStudio

from tandem.collaboration.desk import Desk
from tandem.flows.collaborate import OrderNames
from tandem.http.app import create_app
from tandem.http.keys import AdminKey
from tandem.http.services import Collaborations, Services
from tandem.http.settings import ServerSettings
from tandem.storage.collaborations import CollaborationStore
from tandem.storage.layout import Layout, Settings

KEY = "a-key-for-tests-only"

# One server for all cases: what a case leaves behind must not break the next one either.
_folder = tempfile.TemporaryDirectory()
_layout = Layout.create(Path(_folder.name) / "shop", Settings())
os.environ.setdefault("TANDEM_PSEUDONYM_KEYS", str(Path(_folder.name) / "keys"))
_app = create_app(
    SmallShop(),
    ServerSettings(
        admin_key=AdminKey.of(KEY),
        rate_per_second=0,
        refresh_seconds=0,
        threads=1,
    ),
    Services(
        registry=SmallRegistry(),
        experiments=SmallExperiments(),
        slots=SmallSlots(),
        insights=SmallInsights(),
        lab=SmallLab(),
        privacy=SmallOffice(),
        seller=SmallSeller(),
        matching=SmallMatching(),
        campaigns=SmallCampaigns(),
        studio=SmallStudio(),
        collaborations=Collaborations(
            Desk(CollaborationStore(_layout.collaborations)), OrderNames(_layout)
        ),
    ),
)
schema = schemathesis.openapi.from_asgi("/openapi.json", _app)
CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.ignored_auth,
]


@schema.parametrize()
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_breaks_the_contract(case: schemathesis.Case) -> None:
    response = case.call(headers={"X-API-Key": KEY})
    case.validate_response(response, checks=CHECKS)


@pytest.mark.parametrize("path", ["/v1/search", "/v1/compare", "/v1/products", "/v1/judgments"])
def test_examples_in_the_description_work(path: str) -> None:
    from starlette.testclient import TestClient

    with TestClient(_app) as client:
        description = client.get("/openapi.json").json()
        for method in ("post", "put"):
            operation = description["paths"][path].get(method)
            if operation is None:
                continue
            name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            model = description["components"]["schemas"][name.rsplit("/", 1)[1]]
            bodies = model.get("examples") or [
                {k: p["examples"][0] for k, p in model["properties"].items() if "examples" in p}
            ]
            for body in bodies:
                response = client.request(method, path, json=body, headers={"X-API-Key": KEY})
                # 404: the example names a product that this shop need not have.
                assert response.status_code in (200, 404), response.text
