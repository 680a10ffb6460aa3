"""The studio's texts over HTTP."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_shop import SmallShop
from starlette.testclient import TestClient

from tandem.contracts.query_log import QueryCount
from tandem.governance.access import Role
from tandem.governance.keys import KeyStore
from tandem.http.app import create_app
from tandem.http.keys import AdminKey
from tandem.http.services import Services
from tandem.http.settings import ServerSettings
from tandem.storage.layout import Layout, Settings

sys.path.insert(0, str(Path(__file__).parents[1] / "content"))
from made_videos import make, rolling

ADMIN = {"X-API-Key": "a-key-for-tests-only"}
PRODUCT = {"product_id": "P000"}  # Acme Bluetooth speaker black 100


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    settings = ServerSettings(
        admin_key=AdminKey.of(ADMIN["X-API-Key"]),
        keys=KeyStore(Layout.create(tmp_path / "shop", Settings())),
        refresh_seconds=0,
        rate_per_second=0,
    )
    services = Services(asked=(QueryCount("bluetooth speaker", 70),))
    with TestClient(create_app(SmallShop(), settings, services)) as client:
        client.app.state.keys = settings.keys  # type: ignore[attr-defined]
        yield client


def test_brief_captions_and_check(client: TestClient):
    brief = client.get("/v1/studio/brief", params=PRODUCT, headers=ADMIN).json()
    assert brief["keywords"] == [{"text": "bluetooth speaker", "asked": 70}]
    assert len(brief["hooks"]) == 3
    captions = client.get("/v1/studio/captions", params=PRODUCT, headers=ADMIN).json()["captions"]
    assert len(captions) == 3
    body = {**PRODUCT, "text": captions[0]["text"]}
    report = client.post("/v1/studio/check", json=body, headers=ADMIN).json()
    assert report["ready"], report
    body["text"] += " It is waterproof."
    report = client.post("/v1/studio/check", json=body, headers=ADMIN).json()
    assert not report["ready"]
    assert report["claims"][-1]["verdict"] == "unsupported"
    body["product_id"] = "none"
    assert client.post("/v1/studio/check", json=body, headers=ADMIN).status_code == 404


@pytest.mark.parametrize(
    ("role", "tenant", "status"),
    [
        (Role.CREATOR, "mia", 200),
        (Role.MERCHANT, "acme", 200),
        (Role.SHOPPER, None, 403),
        (None, None, 401),
    ],
)
def test_who_may_ask(client: TestClient, role: Role | None, tenant: str | None, status: int):
    headers = {}
    if role is not None:
        keys: KeyStore = client.app.state.keys  # type: ignore[attr-defined]
        headers = {"X-API-Key": keys.create(role, tenant=tenant, name="test")[1]}
    response = client.get("/v1/studio/brief", params=PRODUCT, headers=headers)
    assert response.status_code == status


def test_a_video_is_looked_at_and_not_kept(client: TestClient, tmp_path: Path):
    pytest.importorskip("av")
    clip = make(tmp_path / "clip.mp4", 3.2, rolling)
    before = set(Path(tempfile.gettempdir()).glob("tandem-video-*"))
    sent = client.post("/v1/studio/video", content=clip.read_bytes(), headers=ADMIN)
    assert sent.status_code == 200, sent.text
    assert sent.json()["ready"]
    assert sent.json()["facts"]["width"] == 540
    assert set(Path(tempfile.gettempdir()).glob("tandem-video-*")) <= before
    refused = client.post("/v1/studio/video", content=b"#EXTM3U", headers=ADMIN)
    assert refused.status_code == 422
    assert "MP4" in refused.json()["remedy"]
    assert refused.json()["detail"] == "the video: is no video"  # and not a temporary file's name
    assert client.post("/v1/studio/video", content=b"x").status_code == 401


def test_videos_may_be_larger_than_other_bodies_and_have_a_limit(tmp_path: Path):
    settings = ServerSettings(
        admin_key=AdminKey.of(ADMIN["X-API-Key"]), max_body_bytes=2048, max_video_bytes=4096
    )
    with TestClient(create_app(SmallShop(), settings)) as client:
        for size, status in ((3000, 422), (5000, 413)):
            sent = client.post("/v1/studio/video", content=b"x" * size, headers=ADMIN)
            assert sent.status_code == status
        sent = client.post("/v1/studio/check", content=b"x" * 3000, headers=ADMIN)
        assert sent.status_code == 413
        parts = client.post(
            "/v1/studio/video", content=(b"x" * 1000 for _ in range(5)), headers=ADMIN
        )
        assert parts.status_code == 413
