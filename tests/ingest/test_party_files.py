"""Files of creators and content at the door: shapes that are read, rows that are turned away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tandem.contracts.errors import InvalidInput
from tandem.contracts.parties import Content, Creator, Kind
from tandem.ingest.parties import PartyDoor
from tandem.ingest.party_mapping import PartyMapping, find_party_mapping
from tandem.ingest.problem import Rejected

PIECE = {"id": "v1", "creator_id": "c1", "kind": "video", "published": "2026-05-01T10:00:00Z"}


def through(tmp_path: Path, kind: Kind, rows: list[dict], mapping: PartyMapping | None = None):
    file = tmp_path / f"{kind}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(PartyDoor([file], kind, find_party_mapping(kind, mapping), currency="EUR"))


@pytest.mark.parametrize(
    ("given", "low", "high"),
    [(12000, 12000, 12000), ("12000", 12000, 12000), ("10000-50000", 10000, 50000),
     ("10000+", 10000, None), ({"minimum": 1, "maximum": 9}, 1, 9)],
)  # fmt: skip
def test_counts_are_values_or_ranges(tmp_path, given, low, high):
    (found,) = through(
        tmp_path, "creators", [{"id": "c", "handle": "mia", "follower_count": given}]
    )
    assert isinstance(found, Creator)
    assert found.follower_count is not None
    assert (found.follower_count.minimum, found.follower_count.maximum) == (low, high)


def test_amounts_are_in_the_rows_currency_else_in_the_shops(tmp_path):
    rows = [
        {**PIECE, "gmv": "12.50"},
        {**PIECE, "id": "v2", "gmv": "1-20", "currency": "USD"},
        {**PIECE, "id": "v3", "gmv": {"amount": "5", "currency": "GBP"}},
    ]
    found = through(tmp_path, "content", rows)
    assert all(isinstance(piece, Content) for piece in found)
    assert [piece.gmv.currency for piece in found] == ["EUR", "USD", "GBP"]
    assert [str(piece.gmv.maximum_amount) for piece in found] == ["12.50", "20", "5"]


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"creator_id": None}, "missing-creator_id", "creator_id"),
        ({"kind": "film"}, "contract", "kind"),
        ({"published": "2026-05-01T10:00:00"}, "contract", "published"),
        ({"id": "mia@example.org"}, "contract", "id"),
        ({"views": -1}, "contract", "views"),
        ({"gmv": "5", "currency": "XXY"}, "currency-unknown", "gmv"),
        ({"gmv": "much"}, "contract", "gmv.minimum_amount"),
        ({"caption": "a\x00b"}, "control-character", "caption"),
        ({"hashtags": ["two words"]}, "contract", "hashtags.0"),
    ],
)
def test_a_bad_row_is_turned_away_with_its_reason(tmp_path, changes, code, field):
    good, bad = through(tmp_path, "content", [{**PIECE, "id": "good"}, {**PIECE, **changes}])
    assert isinstance(good, Content)
    assert isinstance(bad, Rejected)
    assert (bad.line, bad.code, bad.field) == (2, code, field)
    assert bad.remedy


def test_the_second_row_of_an_id_is_turned_away(tmp_path):
    _, second = through(tmp_path, "content", [PIECE, PIECE])
    assert isinstance(second, Rejected)
    assert second.code == "duplicate-id"


def test_addresses_and_numbers_in_texts_are_masked(tmp_path):
    row = {"id": "c", "handle": "mia", "bio": "Mail mia@example.org or call +49 30 901820"}
    (found,) = through(tmp_path, "creators", [row])
    assert isinstance(found, Creator)
    assert found.bio == "Mail <email> or call <phone>"


def test_a_mapping_names_the_columns_and_nothing_else_is_stored(tmp_path):
    file = tmp_path / "affiliate.toml"
    file.write_text(
        '[fields]\nid = "open_id"\nhandle = "username"\n'
        'topics = { from = "categories", split = ";" }\nfollower_count = "followers"\n'
    )
    row = {"open_id": 7, "username": "mia", "categories": "a;b", "followers": "5+", "secret": "x"}
    (found,) = through(tmp_path, "creators", [row], file)
    assert isinstance(found, Creator)
    assert (found.id, found.topics) == ("7", ("a", "b"))
    assert "secret" not in found.model_dump_json()


@pytest.mark.parametrize(
    ("text", "message"),
    [('[fields]\nid = "a"\n', "'handle' must be mapped"),
     ('[fields]\nid = "a"\nhandle = "b"\nshoe = "c"\n', "'shoe' is no field of creators"),
     ("fields = 3\n", "fields")],
)  # fmt: skip
def test_a_mapping_that_cannot_work_is_one_error(tmp_path, text, message):
    file = tmp_path / "m.toml"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=message) as caught:
        find_party_mapping("creators", file)
    assert caught.value.remedy


def test_a_file_without_a_needed_column_is_one_error(tmp_path):
    with pytest.raises(InvalidInput, match="no column for handle"):
        through(tmp_path, "creators", [{"id": "c", "name": "mia"}])
