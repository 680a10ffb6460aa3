"""What is told before a trial by regions: of enough people, and of where it can be shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from event_tables import pseudonym, stored_rows
from tandem.contracts.campaign import NewCampaign, RegionPlan
from tandem.contracts.errors import InvalidInput
from tandem.flows.import_ import create_workspace
from tandem.flows.region_trial import drawn_regions
from tandem.governance.release import K
from tandem.storage.events import EventStore
from tandem.storage.layout import Layout

BEGIN = date(2031, 6, 1)
REGIONS = [f"AT-{n}" for n in range(1, 10)] + ["CH-ZH"]
ASKED = NewCampaign(
    merchant_id="acme",
    name="Spring",
    budget={"amount": "900", "currency": "EUR"},
    starts=BEGIN,
    ends=BEGIN + timedelta(days=13),
    product_ids=("p1",),
    by_region=True,
)
Act = tuple[str, str | None, int, str]
"""Who, where, how many days before, which product."""


@pytest.fixture
def planned(tmp_path: Path) -> Callable[[list[Act]], RegionPlan]:
    """The plan of a trial in a shop where so much was bought."""

    def plan(acts: list[Act]) -> RegionPlan:
        layout: Layout = create_workspace(tmp_path / "shop", encoder=None)
        rows: list[dict[str, Any]] = []
        for n, (client, region, ago, product) in enumerate(acts):
            at = datetime(*(BEGIN - timedelta(days=ago)).timetuple()[:3], 9, tzinfo=UTC)
            moment = int(at.timestamp() * 1e6)
            row = {"client": pseudonym(client), "action_name": "purchase", "object_id": product}
            row |= {"region": region, "event_key": f"{n:032x}"}
            rows.append({**row, "timestamp": moment, "received": moment})
        store = EventStore(layout)
        found = stored_rows(rows)
        store.append([{**empty, **row} for empty, row in zip(found, rows, strict=True)])
        store.close()
        return drawn_regions(layout, ASKED, 40.0, "1", today=BEGIN, actor="test")

    return plan


def bought(people: int = K, days: int = 42, product: str = "p1") -> list[Act]:
    """So many people in every region; each buys once a fortnight."""
    return [
        (f"{region}/{person}", region, day, product)
        for region in REGIONS
        for person in range(people)
        for day in range(1 + person % 14, days + 1, 14)
    ]


def test_shoppers_of_no_known_region_see_it_nowhere(planned):
    located = bought()
    plan = planned(located + [(f"{who}?", None, day, p) for who, _, day, p in located])
    assert plan.share == 0.25
    # Half of the orders are from no known region, half of the others from where it is shown.
    assert plan.usual == pytest.approx(len(REGIONS) * K * 0.5, rel=0.02)


def test_a_few_people_more_do_not_show_in_what_is_told_before(planned):
    """Plans may be tried for any days: their differences must not tell who came in between."""
    plan = planned(bought() + [(f"{n}?", None, 1, "p1") for n in range(7)])
    assert plan.share == 0.49  # 500 / 507 / 2 = 0.4931


def test_days_before_events_named_regions_are_not_played_through(planned):
    located = bought()
    plan = planned(located + [(who, None, day + 42, p) for who, _, day, p in located])
    assert plan.share == 0.5
    assert plan.detectable < plan.usual


def test_events_that_named_regions_for_too_few_days_are_refused(planned):
    with pytest.raises(InvalidInput, match="name regions on 14 days"):
        planned([(who, at if day <= 14 else None, day, p) for who, at, day, p in bought()])


def test_orders_of_few_people_are_not_told_of_before_the_lot(planned):
    """Regions are large enough, and these products are bought by 99 of them, again and again."""
    few = [
        (f"{region}/{n}", region, day, "p1")
        for region in REGIONS
        for n in range(10 - (region == "CH-ZH"))
        for day in range(1, 43)
    ]
    with pytest.raises(InvalidInput, match="fewer than 100 people"):
        planned(bought(product="p2") + few)


def test_orders_of_enough_people_are(planned):
    enough = [
        (f"{region}/{n}", region, day, "p1")
        for region in REGIONS
        for n in range(10)
        for day in range(1, 43)
    ]
    assert planned(bought(product="p2") + enough).usual > 0


def test_orders_of_one_side_only_are_refused_in_words(planned):
    """Of each pair one region buys: some lots put all of these on one side."""
    some = set(REGIONS[::2])
    acts = [(who, at, day, "p1" if at in some else "p2") for who, at, day, _ in bought()]
    with pytest.raises(InvalidInput, match="too seldom in too many regions"):
        planned(acts)
