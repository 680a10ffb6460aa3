"""Collaborations over HTTP: roles, tenants apart, the way from invitation to settlement."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_shop import SmallShop
from starlette.testclient import TestClient

from tandem.collaboration.desk import Desk
from tandem.flows.collaborate import OrderNames
from tandem.governance.access import Role
from tandem.governance.keys import KeyStore
from tandem.http.app import create_app
from tandem.http.keys import AdminKey
from tandem.http.services import Collaborations, Services
from tandem.http.settings import ServerSettings
from tandem.storage.collaborations import CollaborationStore
from tandem.storage.layout import Layout, Settings

ADMIN = {"X-API-Key": "a-key-for-tests-only"}
INVITE = {"action": "invite", "product_ids": ["p1"], "commission_rate": 1500}


class Alliance:
    """A server with two merchants, two creators and a clock that can be moved."""

    def __init__(self, folder: Path, handles=lambda _: {}) -> None:
        layout = Layout.create(folder / "shop", Settings())
        keys = KeyStore(layout)
        self.late = timedelta(0)
        self.desk = Desk(
            CollaborationStore(layout.collaborations),
            clock=lambda: datetime.now(UTC) + self.late,
        )
        self.keys = {
            name: {"X-API-Key": keys.create(role, tenant=name, name="test")[1]}
            for role, name in (
                (Role.MERCHANT, "acme"),
                (Role.MERCHANT, "Other & Sons"),
                (Role.CREATOR, "mia"),
                (Role.CREATOR, "eve"),
            )
        }
        _, analyst = keys.create(Role.ANALYST, tenant=None, name="test")
        self.keys["analyst"] = {"X-API-Key": analyst}
        self.client = TestClient(
            create_app(
                SmallShop(),
                ServerSettings(
                    admin_key=AdminKey.of(ADMIN["X-API-Key"]),
                    keys=keys,
                    refresh_seconds=0,
                    rate_per_second=0,
                ),
                Services(collaborations=Collaborations(self.desk, OrderNames(layout), handles)),
            )
        )

    def ask(self, who: str, method: str, path: str, body: object = None, **headers: str):
        key = ADMIN if who == "admin" else self.keys.get(who, {})
        return self.client.request(
            method, f"/v1/collaborations{path}", json=body, headers={**key, **headers}
        )


@pytest.fixture
def alliance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Alliance]:
    monkeypatch.setenv("TANDEM_PSEUDONYM_KEYS", str(tmp_path / "keys"))
    alliance = Alliance(tmp_path)
    with alliance.client:
        yield alliance


def invited(alliance: Alliance) -> str:
    response = alliance.ask("acme", "POST", "", {**INVITE, "creator_id": "mia"})
    assert response.status_code == 200, response.text
    return response.json()["id"]


def live(alliance: Alliance) -> str:
    id_ = invited(alliance)
    for body in (
        {"action": "accept"},
        {"action": "publish", "content_id": "v", "disclosure": {"by": "platform_label"}},
    ):
        response = alliance.ask("mia", "POST", f"/{id_}/actions", body)
        assert response.status_code == 200, response.text
    return id_


def order(number: str, amount: str = "20.00") -> dict[str, object]:
    return {
        "order": number,
        "line": "1",
        "product_id": "p1",
        "ordered": datetime.now(UTC).isoformat(),
        "amount": {"amount": amount, "currency": "EUR"},
    }


def test_from_invitation_to_settlement(alliance: Alliance):
    body = {**INVITE, "creator_id": "mia"}
    first, again = (
        alliance.ask("acme", "POST", "", body, **{"Idempotency-Key": "k"}) for _ in range(2)
    )
    assert first.json() == again.json()
    id_ = first.json()["id"]
    detail = alliance.ask("mia", "GET", f"/{id_}").json()
    assert detail["possible"] == ["accept", "decline"]
    assert alliance.ask("mia", "POST", f"/{id_}/actions", {"action": "accept"}).status_code == 200
    hidden = {
        "action": "publish",
        "content_id": "v",
        "caption": "nice",
        "disclosure": {"by": "hashtag", "hashtag": "ad"},
    }
    refused = alliance.ask("mia", "POST", f"/{id_}/actions", hidden)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "caption"
    shown = {**hidden, "caption": "nice #ad"}
    assert alliance.ask("mia", "POST", f"/{id_}/actions", shown).json()["status"] == "CONTENT_LIVE"

    orders = {"orders": [order("A-1"), order("A-2", "10.00")]}
    for _ in range(2):
        taken = alliance.ask("admin", "POST", f"/{id_}/orders", orders)
        assert taken.status_code == 200, taken.text
    refund = {"refund": "R", "order": "A-2", "line": "1", "amount": order("", "10.00")["amount"]}
    for _ in range(2):
        assert alliance.ask("admin", "POST", "/refunds", refund).status_code == 200
    assert alliance.ask("admin", "POST", "/settlements", {}).json()["settlements"] == []
    alliance.late = timedelta(days=15)
    (settlement,) = alliance.ask("admin", "POST", "/settlements", {}).json()["settlements"]
    assert settlement["amount"] == {"amount": "3.00", "currency": "EUR"}
    own = alliance.ask("mia", "GET", "/settlements").json()
    assert own["settlements"] == [settlement]
    verified = alliance.ask("admin", "GET", "/verify").json()
    assert (verified["sound"], verified["order_lines"]) == (True, 2)
    assert b"A-1" not in alliance.desk.store.path.read_bytes()


def test_what_is_not_possible_says_what_is(alliance: Alliance):
    id_ = invited(alliance)
    response = alliance.ask("acme", "POST", f"/{id_}/actions", {"action": "accept"})
    assert response.status_code == 409
    assert "withdraw" in response.json()["remedy"]
    assert alliance.ask("acme", "POST", f"/{id_}/actions", {"action": "fly"}).status_code == 422


@pytest.mark.parametrize(
    ("who", "method", "path", "body", "status"),
    [
        ("nobody", "GET", "", None, 401),
        ("analyst", "GET", "", None, 403),
        ("mia", "POST", "/settlements", {}, 403),
        ("acme", "POST", "/{id}/orders", {"orders": [order("1")]}, 403),
        ("acme", "POST", "/expire", None, 403),
        ("mia", "GET", "/verify", None, 403),
        ("mia", "POST", "", {**INVITE, "creator_id": "eve"}, 409),
        ("admin", "POST", "/expire", None, 200),
    ],
)
def test_roles(alliance: Alliance, who, method, path, body, status):
    id_ = invited(alliance)
    assert alliance.ask(who, method, path.format(id=id_), body).status_code == status


STRANGERS = st.sampled_from(["Other & Sons", "eve"])
REQUESTS = st.sampled_from(
    [
        ("GET", "/{id}", None),
        ("GET", "/{id}/orders", None),
        *(
            ("POST", "/{id}/actions", {"action": name})
            for name in ("accept", "end", "withdraw", "ship_sample", "grant_extension")
        ),
        ("POST", "/{id}/actions", {"action": "open_dispute", "reason": "mine"}),
    ]
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(who=STRANGERS, request=REQUESTS, running=st.booleans())
def test_tenants_cannot_tell_that_others_exist(alliance: Alliance, who, request, running):
    """What another has answers to the letter as what never was, and stays as it is."""
    mine = alliance.desk.find(_platform())
    id_ = mine[0].id if mine else live(alliance)
    before = alliance.ask("admin", "GET", f"/{id_}").json()
    method, path, body = request
    there = alliance.ask(who, method, path.format(id=id_), body)
    never = alliance.ask(who, method, path.format(id="0" * 32), body)
    assert there.status_code == never.status_code == 404
    hide = {"query_id"}
    same = [{k: v for k, v in r.json().items() if k not in hide} for r in (there, never)]
    assert str(same[0]).replace(id_, "") == str(same[1]).replace("0" * 32, "")
    assert alliance.ask(who, "GET", "").json() == {"collaborations": [], "handles": {}}
    assert alliance.ask(who, "GET", "/settlements").json() == {"settlements": [], "balances": []}
    assert alliance.ask("admin", "GET", f"/{id_}").json() == before


def test_a_list_tells_the_handles_of_those_in_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TANDEM_PSEUDONYM_KEYS", str(tmp_path / "keys"))
    known = {"mia": "mia.makes", "eve": "eve.eats"}
    alliance = Alliance(tmp_path, lambda ids: {i: known[i] for i in ids if i in known})
    with alliance.client:
        invited(alliance)
        assert alliance.ask("acme", "GET", "").json()["handles"] == {"mia": "mia.makes"}
        assert alliance.ask("eve", "GET", "").json()["handles"] == {}


def _platform():
    from tandem.contracts.collaboration import Party

    return Party(role="platform", id="operator")


def test_a_server_without_collaborations_says_so():
    with TestClient(
        create_app(
            SmallShop(),
            ServerSettings(admin_key=AdminKey.of(ADMIN["X-API-Key"]), refresh_seconds=0),
        )
    ) as client:
        response = client.get("/v1/collaborations", headers=ADMIN)
    assert response.status_code == 404
    assert "tandem serve" in response.json()["remedy"]
