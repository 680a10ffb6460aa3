"""Parties in a workspace: imports all or nothing, a simulated alliance apart from real people."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tandem.collaboration.desk import Desk
from tandem.collaboration.verify import verify
from tandem.contracts.consent import Purpose
from tandem.contracts.errors import Conflict, InvalidInput
from tandem.contracts.parties import Creator
from tandem.flows import rights
from tandem.flows.alliance import alliance_truth, simulate_alliance
from tandem.flows.alliance_books import ID
from tandem.flows.collaborate import OPERATOR
from tandem.flows.consent import decide, subjects_of
from tandem.flows.import_ import create_workspace, import_simulated
from tandem.flows.parties import import_parties
from tandem.governance.creators import DOMAIN, CreatorConsent, band, money_band
from tandem.governance.pseudonyms import Pseudonyms, open_ring
from tandem.governance.reading import EventReader
from tandem.storage.collaborations import CollaborationStore
from tandem.storage.layout import Layout
from tandem.storage.parties import party_manifest, read_content, read_creators


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A workspace with simulated products and no index."""
    made = create_workspace(tmp_path / "shop", simulated=True)
    import_simulated(made, 300)
    return made


def written(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_import_merge_roll_back_and_quarantine(tmp_path, layout):
    file = written(tmp_path / "c.jsonl", {"id": "a", "handle": "A"}, {"id": "b"})
    report = import_parties(layout, "creators", [file])
    assert (report.imported, report.quarantined, report.by_reason) == (1, 1, {"missing-handle": 1})
    assert json.loads(report.quarantine_file.read_text())["line"] == 2
    file = written(tmp_path / "d.jsonl", {"id": "b", "handle": "B"})
    assert import_parties(layout, "creators", [file], mode="merge").rows == 2
    assert {c.id for c in read_creators(layout)} == {"a", "b"}
    file = written(tmp_path / "e.jsonl", {"id": "c", "handle": None})
    with pytest.raises(InvalidInput, match="no handle"):
        import_parties(layout, "creators", [file], strict=True)
    with pytest.raises(InvalidInput, match="no row could be imported"):
        import_parties(layout, "creators", [tmp_path / "e.jsonl"])
    assert {c.id for c in read_creators(layout)} == {"a", "b"}
    assert not list(layout.creators.root.glob(".building-*"))


def test_content_says_whom_and_what_it_names_that_nobody_knows(tmp_path, layout):
    import_parties(layout, "creators", [written(tmp_path / "c.jsonl", {"id": "a", "handle": "A"})])
    piece = {"kind": "video", "published": "2026-05-01T10:00:00Z", "product_ids": ["nowhere"]}
    file = written(
        tmp_path / "v.jsonl",
        {**piece, "id": "v1", "creator_id": "a"},
        {**piece, "id": "v2", "creator_id": "b"},
    )
    report = import_parties(layout, "content", [file])
    assert (report.unknown_creators, report.unknown_products) == (1, 2)
    assert len(read_content(layout)) == 2


def test_an_alliance_is_simulated_over_the_catalogue_and_its_truth_can_be_had_again(layout):
    report = simulate_alliance(layout, 30, 200, 20)
    assert (report.creators, report.content, report.simulated) == (30, 200, True)
    assert party_manifest(layout, "content").simulated
    truth = alliance_truth(layout)
    assert truth.content == read_content(layout)
    reader = EventReader(layout, Purpose.CREATOR_MARKETING, actor="test")
    with reader.reading() as events:
        released = events.table(["action_name", "creator_id", "client"])
        assert 0 < released.table.num_rows < events.stored == report.events
    assert released.withheld["no_consent"] > 0


def test_nothing_is_simulated_beside_real_creators(tmp_path, layout):
    import_parties(layout, "creators", [written(tmp_path / "c.jsonl", {"id": "a", "handle": "A"})])
    with pytest.raises(Conflict, match="real creators"):
        simulate_alliance(layout, 10, 20, 0)


def test_exact_values_are_shown_with_consent_only(layout):
    creators = [
        Creator.model_validate(
            {"id": name, "handle": name, "follower_count": {"minimum": 1234, "maximum": 1234},
             "gmv": {"minimum_amount": "99.50", "maximum_amount": "99.50", "currency": "EUR"}}
        )
        for name in ("agreed", "silent", "withdrew")
    ]  # fmt: skip
    silent = CreatorConsent.of(layout).shown(creators)
    assert [c.follower_count.exact for c in silent] == [False] * 3
    pseudonyms = Pseudonyms(open_ring(layout))
    for name, decision in (("agreed", "granted"), ("withdrew", "withdrawn")):
        decide(layout, [pseudonyms.of(DOMAIN, name)], [Purpose.CREATOR_MARKETING], decision)
    shown = {c.id: c for c in CreatorConsent.of(layout).shown(creators)}
    assert shown["agreed"] == creators[0]
    assert (shown["silent"].follower_count.minimum, shown["silent"].follower_count.maximum) == (
        1000,
        3000,
    )
    assert (shown["silent"].gmv.minimum_amount, shown["silent"].gmv.maximum_amount) == (30, 100)
    assert "withdrew" not in shown


@pytest.mark.parametrize("count", [0, 1, 2, 3, 9, 10, 31, 999, 10**6, 123_456_789])
def test_a_band_holds_its_count_and_names_no_other_than_round_ones(count):
    found = band(count)
    assert found.minimum <= count <= found.maximum
    assert str(found.minimum).strip("0") in ("", "1", "3")
    amount = money_band(count, "EUR")
    assert amount.minimum_amount <= count <= amount.maximum_amount


def test_a_creator_is_given_a_copy_and_erased_everywhere(layout):
    simulate_alliance(layout, 20, 120, 30)
    name = read_content(layout)[0].creator_id
    simulate_alliance(layout, 20, 120, 0)  # a second generation has the creator too
    subjects = subjects_of(layout, name, "creator")
    copy = rights.export(layout, subjects)
    assert [c["id"] for c in copy["creator"]] == [name]
    assert {c["creator_id"] for c in copy["content"]} == {name}
    assert find_in_files(layout, name)

    request = rights.erase(layout, subjects)
    assert request.state == "finished"
    assert request.counts["creator_profiles"] == 1
    assert request.counts["content"] == len(copy["content"])
    assert all(c.id != name for c in read_creators(layout))
    assert all(c.creator_id != name for c in read_content(layout))
    assert find_in_files(layout, name) == []
    with EventReader(layout, Purpose.CREATOR_MARKETING, actor="test").reading() as events:
        watched = events.table(["creator_id", "action_name"]).table.to_pylist()
    assert all(row["creator_id"] != name for row in watched)
    assert any(row["action_name"] == "watch" and row["creator_id"] is None for row in watched)
    assert rights.export(layout, subjects)["creator"] == []
    assert rights.replay(layout)[0].state == "finished"


def find_in_files(layout: Layout, name: str) -> list[str]:
    """Files that hold the name anywhere, whatever their format."""
    found = []
    for path in sorted(p for p in layout.root.rglob("*") if p.is_file()):
        if path.suffix == ".parquet":
            said = name in str(pq.read_table(path).to_pylist())
        else:
            said = name.encode() in path.read_bytes()
        if said:
            found.append(str(path.relative_to(layout.root)))
    return found


def test_simulated_books_are_sound_and_hold_every_stage(layout):
    report = simulate_alliance(layout, 30, 300, 0, collaborations=40)
    assert report.collaborations == 40
    desk = Desk(CollaborationStore(layout.collaborations))
    assert verify(desk.store).sound
    found = desk.find(OPERATOR, limit=100)
    assert all(c.id.startswith(ID) for c in found)
    assert {c.status for c in found} >= {"CONTENT_LIVE", "DECLINED", "INVITED"}
    orders = [o for c in found for o in desk.attributions(OPERATOR, c.id)]
    assert {o.status for o in orders} >= {"SETTLED", "PENDING"}
    assert desk.settlements(OPERATOR)
    live = {c.id: c for c in read_content(layout)}
    assert all(live[c.content[0].content_id].paid for c in found if c.content)
    assert simulate_alliance(layout, 30, 300, 0, collaborations=40).collaborations == 0
