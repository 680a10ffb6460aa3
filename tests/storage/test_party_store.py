"""Merchants, creators and content on disk: what goes in comes out, rows can be taken out again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.parties import Content, Creator, Merchant
from tandem.storage.layout import Layout, Settings
from tandem.storage.parties import (
    expire_content,
    expire_creators,
    party_manifest,
    read_content,
    read_creators,
    read_merchants,
    rewrite_parties,
    write_parties,
)

NOW = datetime(2026, 5, 1, 10, tzinfo=UTC)
FULL = Creator.model_validate(
    {
        "id": "mia", "handle": "Mia", "bio": "é “q”", "topics": ["a", "b"], "language": "en",
        "region": "DE", "follower_count": {"minimum": 10, "maximum": None},
        "audience": {"by_age": {"18-24": 0.5}, "by_category": {"Lamps": 1.0}},
        "video_count": 0, "avg_video_views": {"minimum": 5, "maximum": 5},
        "engagement_rate": 0.125, "gpm": {"minimum_amount": "12.3400", "currency": "EUR"},
        "post_rate": 0.0, "commission_rate": 1500, "slots": 2, "simulated": True,
    }
)  # fmt: skip


def piece(number: int, age: int = 0, creator: str = "mia") -> Content:
    return Content(
        id=f"v{number}", creator_id=creator, kind="video", published=NOW - timedelta(days=age)
    )


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "shop", Settings())


def test_what_goes_in_comes_out_and_missing_is_not_zero(layout):
    bare = Creator(id="tom", handle="Tom")
    merchant = Merchant(id="acme", name="Acme", rating=4.5)
    content = Content.model_validate(
        {
            **piece(1).model_dump(),
            "gmv": {"minimum_amount": "0.10", "currency": "JPY"},
            "paid": False,
        }
    )
    write_parties(layout, "creators", [FULL, bare], {})
    write_parties(layout, "merchants", [merchant], {})
    write_parties(layout, "content", [content], {})
    assert read_creators(layout) == [FULL, bare]
    assert read_merchants(layout) == [merchant]
    assert read_content(layout) == [content]
    assert party_manifest(layout, "creators").simulated
    assert not party_manifest(layout, "merchants").simulated


def test_nothing_is_written_without_rows(layout):
    with pytest.raises(InvalidInput):
        write_parties(layout, "creators", [], {})
    assert layout.creators.names() == ()
    assert read_creators(layout) == []
    with pytest.raises(NotFound):
        party_manifest(layout, "creators")


def test_rows_are_taken_out_of_every_generation(layout):
    write_parties(layout, "content", [piece(1), piece(2, creator="tom")], {})
    write_parties(layout, "content", [piece(3)], {})
    write_parties(layout, "content", [piece(1), piece(4, creator="tom")], {})
    first = layout.content.names()[0]
    layout.content.switch(first)  # rolled back: the live one is not the newest
    assert rewrite_parties(layout, "content", lambda row: row.creator_id != "mia") == (1, 1)
    assert [p.id for p in read_content(layout)] == ["v2"]
    assert len(layout.content.names()) == 1
    assert rewrite_parties(layout, "content", lambda row: False) == (1, 0)
    assert layout.content.live() is None
    assert read_content(layout) == []


def test_old_content_goes_and_the_oldest_that_is_left_is_told(layout):
    write_parties(layout, "content", [piece(1, age=10), piece(2, age=30)], {})
    before = round((NOW - timedelta(days=20)).timestamp() * 1e6)
    gone, oldest = expire_content(layout, before)
    assert (gone, oldest) == (1, round((NOW - timedelta(days=10)).timestamp() * 1e6))
    assert expire_content(layout, before) == (0, oldest)


def test_creators_that_nobody_declared_anew_go(layout):
    write_parties(layout, "creators", [FULL], {})
    now = datetime.now(UTC).timestamp() * 1e6
    assert expire_creators(layout, round(now - 1e9)) == 0
    assert expire_creators(layout, round(now + 1e9)) == 1
    assert read_creators(layout) == []
