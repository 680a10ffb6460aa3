"""A campaign's trial by regions: drawn and judged before it starts, told when it is over.

Regions are those that events say (`region`): countries or their largest parts, of people who may be
counted. Only regions with at least k shoppers are drawn. What it rests on, four sums of orders, is
released like all figures; what is told of them is one sum and what was added.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import numpy as np

from tandem.collaboration.regions import (
    ASSUMPTIONS,
    FEWEST_PAIRS,
    Floats,
    detectable,
    missed,
    region_effect,
)
from tandem.contracts.campaign import Campaign, NewCampaign, RegionPlan, RegionResult
from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput
from tandem.governance.reading import EventReader
from tandem.governance.release import K, Releases, Report
from tandem.storage.layout import Layout

if TYPE_CHECKING:
    import pyarrow as pa

TRIAL = "trial"
"""What releases of trials are called: those of creators and regions may be of the same orders."""
HISTORY_DAYS = 400
LEAST_BEFORE, MOST_BEFORE = 14, 56
"""Days before a campaign that its days are held against: as many as it has, within these."""
LOTS = 200
"""Trials of the past that are played through to say what this one can find."""
LATE = "the campaign was planned after its first day, so no lot decided"
_DAY = 86_400_000_000
_COLUMNS = ("event_key", "action_name", "timestamp", "client", "object_id", "traffic", "region")


@dataclass(frozen=True)
class _History:
    """orders: (R, days) of some products by region and day; everywhere: (days,) of them all, from
    wherever. people: (R,) shoppers of any kind; nowhere: those of no known region. bought: (client,
    region) of who ordered these products as of late."""

    regions: tuple[str, ...]
    people: Floats
    nowhere: int
    orders: Floats
    everywhere: Floats
    bought: frozenset[tuple[str, str]]

    def buyers(self, regions: Collection[str]) -> int:
        """How many people ordered from these regions as of late."""
        return len({client for client, region in self.bought if region in regions})


def days_before(asked: NewCampaign) -> int:
    days = (asked.ends - asked.starts).days + 1
    return min(max(days, LEAST_BEFORE), MOST_BEFORE)


def drawn_regions(
    layout: Layout,
    asked: NewCampaign,
    expected: float,
    seed: str,
    *,
    today: date,
    actor: str,
    k: int = K,
) -> RegionPlan:
    """Which regions see the campaign, by lot, and what the trial can find. expected: orders that
    the campaign would bring if it were shown everywhere. InvalidInput where the log does not tell
    enough of regions."""
    days, before = (asked.ends - asked.starts).days + 1, days_before(asked)
    history = _history(layout, asked.product_ids, min(today, asked.starts), before, actor)
    recorded = len(history.everywhere)
    large = np.flatnonzero(history.people >= k)
    # Neighbours in size are pairs; the smallest is left over where they do not come out even.
    order = large[np.argsort(-history.people[large], kind="stable")]
    pairs = len(order) // 2
    order = order[: 2 * pairs]
    if pairs < FEWEST_PAIRS:
        raise InvalidInput(
            f"{len(large)} regions have {k} shoppers, and a trial takes {2 * FEWEST_PAIRS}",
            field="by_region",
            remedy="send `region` with events, or leave creators out by lot instead",
        )
    if recorded < before + days:
        raise InvalidInput(
            f"events name regions on {recorded} days, and to say what a trial of {days} days can "
            f"find takes {before + days}",
            field="by_region",
            remedy="plan a shorter campaign, or later",
        )
    names = np.array(history.regions)[order].reshape(pairs, 2)
    # What is told before would be of few people as well, and what it told in the end of fewer.
    if history.buyers(set(names.ravel().tolist())) < 2 * k:
        raise InvalidInput(
            f"fewer than {2 * k} people of these regions ordered these products in {before} days, "
            f"and a trial tells of {k} on either side",
            field="by_region",
            remedy="choose products that sell more, or leave creators out by lot instead",
        )
    orders = history.orders[order].reshape(pairs, 2, -1).transpose(1, 0, 2)
    drawn = np.random.default_rng([int(seed, 16), 1]).integers(0, 2, pairs)
    short = missed(_windows(orders, before, days))
    recent = float(history.everywhere[-before:].sum())
    if short is None or not recent:
        raise InvalidInput(
            "these products were ordered too seldom in too many regions",
            field="by_region",
            remedy="choose products that sell more, or leave creators out by lot instead",
        )
    # What is told before the lot is told again at every try, so it must not depend on the lot nor
    # tell of single regions: half of the merchant's own total, by where shoppers are.
    shoppers = float(history.people.sum()) + history.nowhere
    share = float(history.people[order].sum()) / shoppers / 2
    return RegionPlan(
        shown=tuple(names[range(pairs), drawn].tolist()),
        not_shown=tuple(names[range(pairs), 1 - drawn].tolist()),
        share=round(share, 2),
        days_before=before,
        usual=_rough(recent * share / before * days),
        detectable=_rough(detectable(short) * recent * share),
        power=round(float((short < expected / recent).mean()), 2),
    )


def _rough(value: float) -> float:
    """Two digits that count."""
    return float(f"{value:.2g}")


def region_result(layout: Layout, campaign: Campaign, *, actor: str, k: int = K) -> RegionResult:
    """What the campaign added in the regions that saw it. Told once: the caller keeps it."""
    plan = campaign.regions
    assert plan is not None
    counted = RegionResult(pairs=len(plan.shown), assumptions=ASSUMPTIONS)
    if not campaign.by_lot:
        return counted.model_copy(update={"reason": LATE})
    starts = moment(campaign.asked.starts)
    acts = _orders(
        layout,
        campaign.asked.product_ids,
        starts - plan.days_before * _DAY,
        moment(campaign.last_day + timedelta(days=1)),
        actor,
    )
    import pyarrow as pa
    import pyarrow.compute as pc

    drawn = pa.array([*plan.shown, *plan.not_shown], pa.string())
    acts = acts.filter(pc.is_in(acts["region"], value_set=drawn))
    place = {r: (0, i) for i, r in enumerate(plan.shown)}
    place |= {r: (1, i) for i, r in enumerate(plan.not_shown)}
    before, after = np.zeros((2, 2, len(plan.shown)))
    cells = []
    for region, at in zip(acts["region"].to_pylist(), acts["timestamp"].to_pylist(), strict=True):
        (after if at >= starts else before)[place[region]] += 1
        cells.append(f"{place[region][0]}/{at >= starts}")
    found = region_effect(before, after, counted.confidence)
    if found is None:
        return counted.model_copy(
            update={
                "reason": f"fewer than {FEWEST_PAIRS} pairs of regions had orders before, or only "
                "those of one side had"
            }
        )
    told = release_sides(layout, campaign, acts, "cell", cells, k)
    if len(told.figures) < 4:
        thin = told.withheld.get("few_people") or len(set(cells)) < 4
        return counted.model_copy(
            update={
                "reason": f"fewer than {k} people ordered in the regions of a side, before or after"
                if thin
                else "beside what other trials of the same orders have told before, it would tell "
                f"what fewer than {k} people did"
            }
        )
    added, low, high = found.added
    return counted.model_copy(
        update={
            "shown_orders": int(after[0].sum()),
            "usual": round(found.usual, 1),
            "added": round(added, 1),
            "low": round(low, 1),
            "high": round(high, 1),
        }
    )


def _windows(paired: Floats, before: int, days: int) -> list[tuple[Floats, Floats]]:
    """Trials of the past in which nothing was shown: stretches of days, one beginning every half of
    its length, each with lots of its own. paired: (2, P, days)."""
    whole, rng = paired.shape[2], np.random.default_rng(7)
    starts = range(before, whole - days + 1, max(1, days // 2))
    windows = []
    for start in starts:
        for _ in range(-(-LOTS // len(starts))):
            swap = rng.integers(0, 2, (paired.shape[1], 1)) == 1
            drawn = np.where(swap, paired[::-1], paired)
            windows.append(
                (
                    drawn[:, :, start - before : start].sum(axis=2),
                    drawn[:, :, start : start + days].sum(axis=2),
                )
            )
    return windows


def _history(
    layout: Layout, products: Sequence[str], until: date, late: int, actor: str
) -> _History:
    """Of the days since events name regions, up to HISTORY_DAYS before `until`; late: so many of
    them are the latest."""
    end = moment(until)
    events = _events(layout, end - HISTORY_DAYS * _DAY, end, actor)
    import duckdb
    import pyarrow as pa
    import pyarrow.compute as pc

    # Before a shop sends them there is nothing that a trial could have been played through on.
    since = pc.min(events.filter(pc.is_valid(events["region"]))["timestamp"]).as_py() or end
    events = events.filter(pc.greater_equal(events["timestamp"], since // _DAY * _DAY))

    connection = duckdb.connect()
    connection.execute("SET threads TO 1")
    connection.register("events", events)
    connection.register("products", pa.table({"id": pa.array(sorted(products), pa.string())}))
    counted = connection.sql(
        "SELECT region, count(DISTINCT client) FROM events WHERE region IS NOT NULL GROUP BY 1"
    ).fetchall()
    people: dict[str, int] = dict(counted)
    (shoppers,) = connection.sql("SELECT count(DISTINCT client) FROM events").fetchall()[0]
    (located,) = connection.sql(
        "SELECT count(DISTINCT client) FROM events WHERE region IS NOT NULL"
    ).fetchall()[0]
    regions = tuple(sorted(people))
    row = {name: i for i, name in enumerate(regions)}
    days = events["timestamp"].to_numpy() // _DAY
    first = int(days.min()) if len(days) else 0
    orders = np.zeros((len(regions) + 1, int(days.max()) - first + 1 if len(days) else 0))
    for region, day, count in connection.sql(
        "SELECT region, timestamp // $day, count(*) FROM events WHERE action_name = 'purchase' "
        "AND object_id IN (SELECT id FROM products) GROUP BY 1, 2",
        params={"day": _DAY},
    ).fetchall():
        orders[row.get(region, -1), day - first] = count
    bought = connection.sql(
        "SELECT DISTINCT client, region FROM events WHERE action_name = 'purchase' "
        "AND region IS NOT NULL AND object_id IN (SELECT id FROM products) AND timestamp >= $late",
        params={"late": (first + orders.shape[1] - late) * _DAY},
    ).fetchall()
    return _History(
        regions,
        np.array([people[r] for r in regions], np.float64),
        shoppers - located,
        orders[:-1],
        orders.sum(axis=0),
        frozenset(bought),
    )


def _orders(
    layout: Layout, products: Sequence[str], since: int, until: int, actor: str
) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    events = _events(layout, since, until, actor)
    events = events.filter(pc.equal(events["action_name"], "purchase"))
    return events.filter(pc.is_in(events["object_id"], value_set=pa.array(products, pa.string())))


def _events(layout: Layout, since: int, until: int, actor: str) -> pa.Table:
    import pyarrow.compute as pc

    with EventReader(layout, Purpose.ANALYTICS, actor=actor).reading() as allowed:
        table = allowed.table(_COLUMNS, since=since, until=until).table
    return table.filter(pc.equal(table["traffic"], "shopper"))


def release_sides(
    layout: Layout, campaign: Campaign, acts: pa.Table, column: str, sides: Sequence[str], k: int
) -> Report:
    """What may be told of the sides of a trial, held against what other trials told of the same
    people. sides: of each act, under the name `column`."""
    import pyarrow as pa

    return Releases(layout, k=k).release(
        TRIAL,
        campaign.asked.merchant_id,
        campaign.id,
        acts.append_column(column, pa.array(sides, pa.string())),
        [column],
        crossing=True,
    )


def moment(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp() * 1e6)
