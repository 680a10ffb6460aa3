"""Click models: how far shoppers look, apart from what they find there.

PBM (Richardson, Dominowska & Ragno, WWW 2007): P(click) = examination(position) x
attraction(query, product), by expectation-maximisation (Chuklin, Markov & de Rijke, Click Models
for Web Search, 2015, section 4.1). DCM (Guo, Liu & Wang, WSDM 2009): the list is read from the
top; after a click at position k the shopper looks on with probability continuation(k). The cascade
model (Craswell et al., WSDM 2008) is the DCM with continuation 0.

Both need products that were shown at several places for the same query: with a list that never
changes, examination and attraction cannot be told apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tandem.insights.jobs import PLACES
from tandem.insights.tables import Tables

Floats = NDArray[np.float64]
_WEIGHT = 3.0  # impressions that a pair's attraction is drawn to the mean with, against noise
_TOLERANCE = 1e-4
_MOST_ROUNDS = 200


@dataclass(frozen=True)
class PositionBias:
    """PBM: `examination` by place, relative to place 1 (only ratios can be known). `shown`:
    impressions by place. `rounds` of EM until the largest change was below the tolerance."""

    examination: Floats
    shown: NDArray[np.int64]
    rounds: int


@dataclass(frozen=True)
class Cascade:
    """DCM: `continuation[k]`, P(looks on | click at place k + 1). NaN at the last place, behind
    which there is nothing to look at, and where nobody clicked. `clicks` by place."""

    continuation: Floats
    clicks: NDArray[np.int64]


def ctr_by_position(tables: Tables, places: int = PLACES) -> list[dict[str, float | int]]:
    """Impressions, clicks and click-through rate by place. A place nobody was shown is left out:
    no rate is not rate 0."""
    return tables.rows(
        """SELECT position, impressions, clicks, clicks / impressions AS ctr
           FROM places WHERE position <= $places ORDER BY position""",
        {"places": places},
    )


def position_bias(tables: Tables) -> PositionBias:
    """Fit the PBM on everything shown at the first `PLACES`.

    EM runs on impressions and clicks by (query text, product, place), which a batch job sums up.
    Pairs that were shown at one place only tell nothing about examination and are left out.
    """
    found = tables.db.execute(
        "SELECT hash(text, language, product) AS pair, position - 1 AS place, n, c FROM pairs"
    ).fetchnumpy()
    shown = np.zeros(PLACES, dtype=np.int64)
    for row in ctr_by_position(tables):
        shown[int(row["position"]) - 1] = row["impressions"]
    named, place = np.asarray(found["pair"]), np.asarray(found["place"], dtype=np.int64)
    # In one order, whichever the rows come in: sums of floats depend on it.
    order = np.lexsort((place, named))
    _, pair = np.unique(named[order], return_inverse=True)
    place = place[order]
    n = np.asarray(found["n"], dtype=np.float64)[order]
    c = np.asarray(found["c"], dtype=np.float64)[order]
    if not place.size:
        return PositionBias(np.full(PLACES, np.nan), shown, 0)
    examination, rounds = examination_by_em(pair, place, n, c, PLACES)
    top = examination[0] if examination[0] > 0 else np.nanmax(examination)
    return PositionBias(examination / top, shown, rounds)


def examination_by_em(
    pair: NDArray[np.int64], place: NDArray[np.int64], n: Floats, c: Floats, places: int
) -> tuple[Floats, int]:
    """Examination by place (NaN where nothing was shown) and the rounds of EM it took.

    pair, place (from 0), n shown, c clicked: (m,) sums by query with product, and place. Every pair
    should have stood at several places.
    """
    examination = 1.0 / np.sqrt(np.arange(1, places + 1))
    by_place = np.bincount(place, weights=n, minlength=places)
    by_pair = np.bincount(pair, weights=n)
    attraction = np.full(by_pair.size, 0.2)
    rounds, moved = 0, 1.0
    while rounds < _MOST_ROUNDS and moved >= _TOLERANCE:
        rounds += 1
        e, a = examination[place], attraction[pair]
        unclicked = (n - c) / np.maximum(1 - e * a, 1e-12)
        looked = c + unclicked * e * (1 - a)  # expected examinations
        liked = c + unclicked * a * (1 - e)  # expected attractions
        attraction = np.bincount(pair, weights=liked, minlength=by_pair.size)
        mean = c.sum() / np.maximum((n * examination[place]).sum(), 1e-12)
        attraction = (attraction + _WEIGHT * min(mean, 0.9)) / (by_pair + _WEIGHT)
        fresh = np.bincount(place, weights=looked, minlength=places) / np.maximum(by_place, 1e-12)
        fresh = fresh / max(float(fresh[0]), 1e-12) if by_place[0] else fresh
        fresh = np.minimum(fresh, 1.0)
        moved = float(np.abs(fresh - examination).max())
        examination = fresh
    return np.where(by_place > 0, examination, np.nan), rounds


def cascade(tables: Tables, places: int = PLACES, most_searches: int = 200_000) -> Cascade:
    """Fit the DCM by EM on at most `most_searches` searches that showed `places` products or more.

    Up to the last click everything was examined, and everything if nothing was clicked. After the
    last click either nothing more was examined or all of it was: the E-step weighs the two.
    """
    found = tables.db.execute(
        """
        WITH taken AS (
            SELECT query_id, hash(text, language) AS asked FROM searches
            WHERE shown >= ? ORDER BY hash(query_id) LIMIT ?
        )
        SELECT dense_rank() OVER (ORDER BY query_id) - 1 AS search, position - 1 AS place, clicked,
               dense_rank() OVER (ORDER BY asked, product) - 1 AS pair
        FROM shown JOIN taken USING (query_id) WHERE position <= ?
        """,
        [places, most_searches, places],
    ).fetchnumpy()
    search = np.asarray(found["search"], dtype=np.int64)
    if not search.size:
        return Cascade(np.full(places, np.nan), np.zeros(places, dtype=np.int64))
    place = np.asarray(found["place"], dtype=np.int64)
    shape = (int(search.max()) + 1, places)
    pair = np.zeros(shape, dtype=np.int64)
    pair[search, place] = np.asarray(found["pair"], dtype=np.int64)
    clicked = np.zeros(shape, dtype=bool)
    clicked[search, place] = np.asarray(found["clicked"], dtype=bool)
    any_click = clicked.any(axis=1)
    last = np.where(any_click, places - 1 - np.argmax(clicked[:, ::-1], axis=1), places - 1)
    behind = np.arange(places) > last[:, None]
    clicks = clicked.sum(axis=0)
    lasts = last[any_click]
    went_on = clicks - np.bincount(lasts, minlength=places)
    by_pair = np.bincount(pair.ravel(), weights=clicked.ravel())
    attraction = np.full(by_pair.size, 0.2)
    continuation = np.full(places, 0.5)
    for _ in range(_MOST_ROUNDS):
        unliked = np.where(behind, 1 - attraction[pair], 1.0).prod(axis=1)
        on = continuation[last] * unliked
        looked_on = on / np.maximum(on + 1 - continuation[last], 1e-12)
        examined = np.where(behind, looked_on[:, None], 1.0)
        seen = np.bincount(pair.ravel(), weights=examined.ravel(), minlength=by_pair.size)
        mean = by_pair.sum() / seen.sum()
        attraction = (by_pair + _WEIGHT * mean) / (seen + _WEIGHT)
        fresh = (went_on + np.bincount(lasts, looked_on[any_click], places)) / np.maximum(clicks, 1)
        moved = float(np.abs(fresh - continuation).max())
        continuation = fresh
        if moved < _TOLERANCE:
            break
    continuation = np.where(clicks > 0, continuation, np.nan)
    continuation[-1] = np.nan
    return Cascade(continuation, clicks)
