"""Roles, keys, and tenants that cannot see each other."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import Forbidden, InvalidInput, NotFound
from tandem.governance.access import (
    PERMISSIONS,
    PURPOSES,
    TENANT_ROLES,
    Permission,
    Principal,
    Role,
)
from tandem.governance.keys import KeyStore
from tandem.storage.layout import Layout, Settings


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(Layout.create(tmp_path / "shop", Settings()))


def tenant_of(role: Role) -> str | None:
    return "Acme" if role in TENANT_ROLES else None


@pytest.mark.parametrize("role", Role)
def test_a_key_opens_as_its_role_until_it_is_revoked(store, role):
    key, text = store.create(role, tenant=tenant_of(role), name="test")
    found = store.find(text)
    assert found == key
    assert found.principal == Principal(role, tenant_of(role), f"key:{key.id}")
    other = KeyStore.__new__(KeyStore)  # another process
    other.__init__(Layout(store.file.parents[1]))
    assert other.find(text) == key
    store.revoke(key.id)
    assert store.find(text) is None
    assert other.find(text) is None
    assert [k.revoked is not None for k in store.all()] == [True]


def test_the_file_holds_no_secret_and_is_its_owners_alone(store):
    _, text = store.create(Role.ADMIN, tenant=None, name="test")
    stored = store.file.read_text()
    assert text not in stored
    assert text.split("_", 2)[2] not in stored
    assert store.file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[:-1] + ("A" if t[-1] != "A" else "B"),
        lambda t: t[:4] + "00000000" + t[12:],
        lambda t: t.upper(),
        lambda t: t + " ",
        lambda t: t[:-1],
        lambda t: "",
        lambda t: t[4:],
        lambda t: "é" * 60,
    ],
)
def test_nothing_but_the_key_opens(store, change):
    _, text = store.create(Role.ADMIN, tenant=None, name="test")
    assert store.find(change(text)) is None


def test_a_key_expires(store):
    _, text = store.create(Role.ANALYST, tenant=None, name="test", days=1)
    assert store.find(text) is not None
    value = json.loads(store.file.read_text())
    value["keys"][0]["expires"] = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    store.file.write_text(json.dumps(value))
    assert store.find(text) is None


@pytest.mark.parametrize(
    "arguments",
    [
        {"role": Role.MERCHANT, "tenant": None},
        {"role": Role.ADMIN, "tenant": "Acme"},
        {"role": Role.CREATOR, "tenant": " "},
        {"role": Role.ADMIN, "tenant": None, "name": ""},
        {"role": Role.ADMIN, "tenant": None, "days": 0},
    ],
)
def test_keys_that_make_no_sense_are_refused(store, arguments):
    with pytest.raises(InvalidInput):
        store.create(**{"name": "test", **arguments})
    with pytest.raises(NotFound):
        store.revoke("00000000")


def test_a_damaged_file_is_told_and_opens_nothing(store):
    _, text = store.create(Role.ADMIN, tenant=None, name="test")
    store.file.write_text(store.file.read_text().replace("admin", "root"))
    with pytest.raises(InvalidInput, match=r"keys\.json"):
        store.find(text)


def test_every_role_says_what_it_may_and_no_tenant_reads_rows():
    assert set(PERMISSIONS) == set(PURPOSES) == set(Role)
    for role in (Role.SHOPPER, *TENANT_ROLES):
        assert not PURPOSES[role]
        assert not {Permission.PRIVACY, Permission.OPERATE, Permission.INSIGHT} & PERMISSIONS[role]
    assert Permission.OPERATE not in PERMISSIONS[Role.PRIVACY_OFFICER]
    assert Purpose.CREATOR_MARKETING not in PURPOSES[Role.SCIENTIST]


@pytest.mark.parametrize("role", Role)
def test_what_a_role_may_not_is_forbidden(role):
    who = Principal(role, tenant_of(role), "key:x")
    for permission in Permission:
        if permission in PERMISSIONS[role]:
            who.require(permission)
        else:
            with pytest.raises(Forbidden, match=role):
                who.require(permission)
    for purpose in Purpose:
        if purpose in PURPOSES[role]:
            who.require_purpose(purpose)
        else:
            with pytest.raises(Forbidden, match=purpose):
                who.require_purpose(purpose)


names = st.text(min_size=1, max_size=4)
tenants = st.tuples(st.sampled_from(sorted(TENANT_ROLES)), names)


@given(me=tenants, other=tenants)
def test_a_tenant_owns_its_own_alone(me, other):
    who = Principal(*me, "key:x")
    assert who.owns(*other) == (me == other)
    assert not who.owns(other[0], None)
