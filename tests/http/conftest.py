from __future__ import annotations

from collections.abc import Iterator

import pytest
from small_insights import SmallInsights
from small_shop import SmallShop
from starlette.testclient import TestClient

from tandem.http.app import create_app
from tandem.http.keys import AdminKey
from tandem.http.services import Services
from tandem.http.settings import ServerSettings

KEY = "a-key-for-tests-only"


@pytest.fixture
def shop() -> SmallShop:
    return SmallShop()


@pytest.fixture
def settings() -> ServerSettings:
    return ServerSettings(admin_key=AdminKey.of(KEY), refresh_seconds=0, rate_per_second=0)


@pytest.fixture
def insights() -> SmallInsights:
    return SmallInsights()


@pytest.fixture
def client(
    shop: SmallShop, settings: ServerSettings, insights: SmallInsights
) -> Iterator[TestClient]:
    with TestClient(create_app(shop, settings, Services(insights=insights))) as client:
        yield client


@pytest.fixture
def admin() -> dict[str, str]:
    return {"X-API-Key": KEY}
