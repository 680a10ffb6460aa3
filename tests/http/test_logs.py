"""What the server writes into its log: no key, no query."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient


def test_no_log_holds_a_key_or_what_was_searched(
    client: TestClient, admin: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    wrong = {"X-API-Key": admin["X-API-Key"] + "-but-not-quite"}
    for headers in (admin, wrong):
        client.get("/v1/search", params={"q": "very private words"}, headers=headers)
        client.post("/v1/admin/refresh", headers=headers)
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("tandem")]
    assert any("/v1/admin/refresh" in line for line in ours)
    for secret in (admin["X-API-Key"], "not-quite", "private"):
        assert secret not in "\n".join(ours)
