"""Merchants, creators and content: what the contracts refuse, and the rates of content."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import ValidationError

from tandem.contracts.parties import Content, CountRange, MoneyRange


def piece(**values) -> Content:
    base = {"id": "v1", "creator_id": "mia", "kind": "video", "published": "2026-05-01T10:00:00Z"}
    return Content.model_validate({**base, **values})


def test_rates_are_none_where_nothing_was_shown_or_told():
    for values in ({}, {"impressions": 0, "views": 0, "clicks": 0, "video_views_2s": 0}):
        found = piece(**values)
        assert (found.hook_rate, found.hold_rate, found.ctr, found.ctor) == (None,) * 4
        assert found.gpm is None


def test_rates():
    gmv = {"minimum_amount": "10", "maximum_amount": "10", "currency": "EUR"}
    shown = {"impressions": 1000, "views": 800, "video_views_2s": 400, "video_views_p25": 100}
    found = piece(**shown, clicks=20, orders=5, gmv=gmv)
    assert (found.hook_rate, found.hold_rate, found.ctr, found.ctor) == (0.4, 0.25, 0.02, 0.25)
    assert found.gpm == MoneyRange(
        minimum_amount=Decimal("12.50"), maximum_amount=Decimal("12.50"), currency="EUR"
    )


def test_a_watch_curve_falls():
    assert piece(video_views_2s=10, video_views_p50=10, video_views_p100=3).video_views_p25 is None
    with pytest.raises(ValidationError, match="must fall"):
        piece(video_views_p25=10, video_views_p100=11)


def test_the_middle_of_a_range_is_inside_it():
    assert CountRange(minimum=100, maximum=1000).middle == pytest.approx(316, abs=5)
    assert CountRange(minimum=7, maximum=7).middle == pytest.approx(7)
    assert CountRange(minimum=7).middle == pytest.approx(7)
