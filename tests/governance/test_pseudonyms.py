"""Pseudonyms and the keys behind them."""

from __future__ import annotations

import hmac
import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.contracts.errors import Conflict, InvalidInput, NotFound
from tandem.governance.pseudonyms import (
    VARIABLE,
    KeyRing,
    Pseudonyms,
    key_folder,
    keyed_digest,
    open_ring,
    retire,
    rotate,
)
from tandem.storage.layout import Layout, Settings


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "shop", Settings())


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {VARIABLE: str(tmp_path / "keys")}


def key_file(environment: dict[str, str]) -> Path:
    (path,) = Path(environment[VARIABLE]).iterdir()
    return path


def test_the_keys_lie_outside_the_workspace_and_only_their_owner_reads_them(layout, environment):
    ring = open_ring(layout, environment)
    path = key_file(environment)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    secrets = [key.hex().encode() for key in (*ring.keys.values(), ring.event_key)]
    for file in layout.root.rglob("*"):
        if file.is_file():
            assert not [s for s in secrets if s in file.read_bytes()], file
    assert not any(s.decode() in repr(ring) for s in secrets)
    assert open_ring(layout, environment) == ring


def test_the_key_folder_is_named_or_the_configuration_folder(tmp_path):
    assert key_folder({VARIABLE: "/k"}) == Path("/k")
    assert key_folder({"XDG_CONFIG_HOME": str(tmp_path)}) == tmp_path / "tandem" / "keys"
    assert key_folder({}).parts[-3:] == (".config", "tandem", "keys")


def test_keys_inside_the_workspace_are_refused(layout):
    with pytest.raises(InvalidInput, match="inside the workspace"):
        open_ring(layout, {VARIABLE: str(layout.root / "keys")})
    assert not (layout.root / "keys").exists()


def test_a_lost_key_file_is_never_replaced_by_a_new_one(layout, environment):
    open_ring(layout, environment)
    path = key_file(environment)
    kept = path.rename(path.with_suffix(".away"))
    with pytest.raises(NotFound, match="not there"):
        open_ring(layout, environment)
    assert list(kept.parent.iterdir()) == [kept]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_may_read_is_refused(layout, environment, mode):
    open_ring(layout, environment)
    key_file(environment).chmod(mode)
    with pytest.raises(InvalidInput, match="others") as raised:
        open_ring(layout, environment)
    assert "chmod 600" in raised.value.remedy


@pytest.mark.parametrize(
    "change",
    [
        lambda v: {},
        lambda v: [],
        lambda v: {**v, "current": "k9"},
        lambda v: {**v, "keys": {"k1": "zz"}},
        lambda v: {**v, "keys": {"k1": "00"}},
        lambda v: {**v, "keys": {"other": v["event_key"]}, "current": "other"},
        lambda v: {**v, "ring": "../../etc"},
    ],
)
def test_a_damaged_key_file_is_refused_without_quoting_it(layout, environment, change):
    open_ring(layout, environment)
    path = key_file(environment)
    value = json.loads(path.read_text())
    path.write_text(json.dumps(change(value)))
    with pytest.raises(InvalidInput, match="not a key ring") as raised:
        open_ring(layout, environment)
    assert value["event_key"] not in str(raised.value)


def test_keys_of_another_workspace_are_refused(tmp_path, layout, environment):
    open_ring(layout, environment)
    other = Layout.create(tmp_path / "other", Settings())
    open_ring(other, environment)
    ours = Path(environment[VARIABLE]) / f"{(layout.events / 'ring').read_text().strip()}.json"
    theirs = Path(environment[VARIABLE]) / f"{(other.events / 'ring').read_text().strip()}.json"
    theirs.write_bytes(ours.read_bytes())
    with pytest.raises(InvalidInput, match="another workspace"):
        open_ring(other, environment)


def test_rotation_changes_pseudonyms_keeps_event_keys_and_finds_the_old_ones(layout, environment):
    old = Pseudonyms(open_ring(layout, environment))
    new = Pseudonyms(rotate(layout, environment))
    assert new.of("client", "anna") != old.of("client", "anna")
    assert new.of("client", "anna").startswith("k2.")
    assert new.event_key("e1") == old.event_key("e1")
    assert set(new.every("client", "anna")) == {old.of("client", "anna"), new.of("client", "anna")}


def test_a_retired_key_is_gone_for_good(layout, environment):
    old = Pseudonyms(open_ring(layout, environment))
    with pytest.raises(Conflict):
        retire(layout, "k1", environment)
    rotate(layout, environment)
    before = key_file(environment).read_text()
    ring = retire(layout, "k1", environment)
    with pytest.raises(NotFound):
        retire(layout, "k1", environment)
    assert list(ring.keys) == ["k2"]
    assert json.loads(before)["keys"]["k1"] not in key_file(environment).read_text()
    assert old.of("client", "anna") not in Pseudonyms(ring).every("client", "anna")
    # The number of a retired key is not given to another one.
    assert rotate(layout, environment).current == "k3"


@given(st.text(), st.text())
def test_pseudonyms_tell_identifiers_and_roles_apart(one, other):
    ring = KeyRing.generate("0" * 16)
    names = Pseudonyms(ring)
    assert (names.of("client", one) == names.of("client", other)) == (one == other)
    assert names.of("client", one) != names.of("session", one)
    assert names.of("client", one) != Pseudonyms(KeyRing.generate("0" * 16)).of("client", one)
    assert len(names.of("client", one)) == 25
    assert len(one) < 4 or one not in names.of("client", one)


def test_the_environment_of_the_process_is_what_counts_by_default(layout, monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "elsewhere"))
    open_ring(layout)
    assert os.listdir(tmp_path / "elsewhere")  # noqa: PTH208 - names only


@given(st.binary(min_size=1, max_size=64), st.lists(st.binary(max_size=200), max_size=4))
def test_a_key_taken_in_once_gives_the_hmac_of_every_message(key, messages):
    digest = keyed_digest(key)
    assert [digest(m) for m in messages] == [hmac.digest(key, m, "sha256") for m in messages]
