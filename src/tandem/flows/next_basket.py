"""Recommenders compared on what people bought next.

Everything before a day is known; every known person's first basket from that day on is to be
foretold, over all items. Measures per person: Recall@20, NDCG@20 (Järvelin & Kekäläinen 2002,
binary gains) and HR@20, whether any of the 20 was bought; their means with 95% intervals (BCa
bootstrap over people). Beside accuracy: coverage, novelty, diversity, how much is new to the
person, and how makers share the places; apart, items that nobody had bought before.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput, MissingExtra, NotFound
from tandem.experiments.inference import bootstrap_intervals
from tandem.flows.recommend import CUTOFF, Progress, chosen, dataset_file, fit
from tandem.recommend.baskets import Baskets, NextBaskets, next_baskets
from tandem.recommend.goods import GOODS, UNKNOWN, Goods, read_goods
from tandem.recommend.next_basket import BasketRecommender, Floats
from tandem.recommend.sessions import Ints
from tandem.recommend.systems import basket_recommenders, basket_system
from tandem.recommend.transactions import LAYOUTS, read_baskets
from tandem.retrieval.encoders import DEFAULT_ENCODER, load_encoder

HELD_DAYS = 28.0
BASELINE = "personal-frequency"
MEASURES = (f"Recall@{CUTOFF}", f"NDCG@{CUTOFF}", f"HR@{CUTOFF}")
RESAMPLES = 2_000
TIMED = 200  # people whose latency is measured, one at a time


@dataclass(frozen=True)
class Beyond:
    """What accuracy does not say, of the lists of all people.

    coverage: share of the items known that are in any list. novelty: mean of -log2 of the share of
    people who bought an item, in bits (Zhou et al., PNAS 2010). diversity: 1 - mean cosine of two
    items of a list, by the people who bought them (Ziegler et al., WWW 2005, with this likeness).
    new: share of items that the person had not bought before. concentration: Gini index of how
    often items are shown, over the items known; 0 is equal, 1 is one item only.
    """

    coverage: float
    novelty: float
    diversity: float
    new: float
    concentration: float


@dataclass(frozen=True)
class Exposure:
    """How makers share the places of all lists; merchants, where the data names them.

    makers: those of the items known. coverage: share of them in any list. largest: share of places
    of the one shown most. concentration: Gini index of places, concentration_of_sales: of lines
    sold, to compare with. shifted: share of places that would have to change hands for makers to be
    shown as they sell (total variation).
    """

    makers: int
    coverage: float
    largest: float
    concentration: float
    concentration_of_sales: float
    shifted: float


@dataclass(frozen=True)
class ColdItems:
    """Items that nobody had bought before, among themselves: (people,) Recall@20 of those who
    bought some of them and had bought before, and what drawing lots would find."""

    per_person: NDArray[np.float64]
    items: int

    def to_json(self) -> dict[str, Any]:
        found = bootstrap_intervals(self.per_person[:, None], (0.0, 1.0), resamples=RESAMPLES)
        return {
            "people": len(self.per_person),
            "items": self.items,
            f"Recall@{CUTOFF}": round(100 * float(found.mean[0]), 2),
            f"Recall@{CUTOFF}_interval": [
                round(100 * float(found.low[0]), 2),
                round(100 * float(found.high[0]), 2),
            ],
            "by_lot": round(100 * min(1.0, CUTOFF / self.items), 2),
        }


@dataclass(frozen=True)
class BasketsMeasured:
    """One recommender. per_person: (people, 3) of `MEASURES`, 0 … 1. exposure: None where makers
    are unknown. cold_items: None for those who do not read what items say of themselves."""

    per_person: NDArray[np.float64]
    of_repeats: NDArray[np.float64]
    of_new: NDArray[np.float64]
    beyond: Beyond
    exposure: Exposure | None
    cold_items: ColdItems | None
    train_s: float
    p99_ms: float


@dataclass(frozen=True)
class NextBasketComparison:
    """Recommenders compared on the same people. warm: (people,) who had bought before."""

    systems: dict[str, BasketsMeasured]
    left_out: dict[str, str]
    dataset: str
    protocol: str
    items: int
    known_baskets: int
    warm: NDArray[np.bool_]
    train_s: float
    evaluate_s: float

    def to_json(self) -> dict[str, Any]:
        return {
            "systems": {name: self._system(m) for name, m in self.systems.items()},
            "left_out": self.left_out,
            "dataset": self.dataset,
            "protocol": self.protocol,
            "baseline": BASELINE if BASELINE in self.systems else None,
            "people": int(self.warm.size),
            "people_warm": int(self.warm.sum()),
            "people_cold": int((~self.warm).sum()),
            "items": self.items,
            "baskets_known": self.known_baskets,
            "train_s": self.train_s,
            "evaluate_s": self.evaluate_s,
            "simulated": False,
        }

    def _system(self, m: BasketsMeasured) -> dict[str, Any]:
        everyone = np.ones(self.warm.size, bool)
        out: dict[str, Any] = {
            **_percent(m.per_person, everyone),
            "train_s": m.train_s,
            "p99_ms": m.p99_ms,
            "warm": _percent(m.per_person, self.warm),
            "cold": _percent(m.per_person, ~self.warm),
            f"Recall@{CUTOFF}_of_repeats": _mean(m.of_repeats),
            f"Recall@{CUTOFF}_of_new": _mean(m.of_new),
            "coverage": m.beyond.coverage,
            "novelty_bits": m.beyond.novelty,
            "diversity": m.beyond.diversity,
            "new_to_person": m.beyond.new,
            "concentration": m.beyond.concentration,
            # No data set here says which creator led to a purchase.
            "exposure": {"merchant": m.exposure and asdict(m.exposure), "creator": None},
            "cold_items": m.cold_items and m.cold_items.to_json(),
        }
        base = self.systems.get(BASELINE)
        if base is not None and base is not m:
            difference = _percent(m.per_person - base.per_person, everyone, (-1.0, 1.0))
            out["difference_from_baseline"] = difference
        return out


def _percent(
    values: NDArray[np.float64], rows: NDArray[np.bool_], bounds: tuple[float, float] = (0.0, 1.0)
) -> dict[str, Any]:
    """Means in percent with intervals; nothing is measured on nobody."""
    if not rows.any():
        return dict.fromkeys(MEASURES)
    found = bootstrap_intervals(values[rows], bounds, resamples=RESAMPLES)
    out: dict[str, Any] = {}
    for i, name in enumerate(MEASURES):
        out[name] = round(100 * float(found.mean[i]), 2)
        out[f"{name}_interval"] = [
            round(100 * float(found.low[i]), 2),
            round(100 * float(found.high[i]), 2),
        ]
    return out


def _mean(values: NDArray[np.float64]) -> float | None:
    """Mean in percent of what is there."""
    return None if np.isnan(values).all() else round(100 * float(np.nanmean(values)), 2)


def evaluate_next_basket(
    dataset: str,
    test: Path | None = None,
    data: Path | None = None,
    systems: Sequence[str] = (),
    progress: Progress = lambda *_: None,
    weights: Path | None = None,
) -> NextBasketComparison:
    """Learn from what was bought before a day, recommend to everybody who came back.

    test: a file of the same layout with what was bought afterwards; without it, the last 28 days
    are kept back. Without `systems`, all are compared that can be had and that need not be named.
    weights: folder of trained networks, as in `evaluate_next_item`. Texts and makers are those of
    the data set, of items first sold after the split as well: a shop knows its goods before it
    sells them.
    """
    if dataset not in LAYOUTS:
        raise InvalidInput(
            f"no baskets in '{dataset}'", field="dataset", remedy=f"use: {', '.join(LAYOUTS)}"
        )
    named, left_out = chosen(systems, basket_recommenders())
    models = {name: basket_system(name) for name in named}
    layout = LAYOUTS[dataset]
    shop, now = read_baskets(dataset_file(dataset, layout.file, data), layout, test)
    protocol = f"what was bought afterwards, {test.name}" if test is not None else ""
    if test is None:
        now = float(shop.baskets.day[-1]) - HELD_DAYS
        protocol = f"own temporal split, the last {HELD_DAYS:.0f} days kept back"
    asked = next_baskets(shop.baskets, now, np.inf)
    if not asked.people.size or not len(asked.known):
        raise InvalidInput(
            "nobody bought anything before or after the split", remedy="give a test file"
        )
    histories = asked.histories
    bought = histories.table()
    bought.data[:] = 1
    goods = _goods(dataset, data, test, shop.ids)
    content = None
    if goods is not None and any(model.reads_content for model in models.values()):
        content = text_vectors(goods.texts)
    measured, trained, evaluated = {}, 0.0, 0.0
    for done, (name, model) in enumerate(models.items()):
        progress("recommenders", done, len(models))
        started = time.perf_counter()
        try:
            if content is not None:
                model.describe(content)
            fit(model, (asked.known, now), weights)
        except MissingExtra as missing:
            if systems:
                raise
            left_out[name] = str(missing.remedy)
            continue
        fitted = time.perf_counter()
        items = model.recommend(histories, now, CUTOFF)
        evaluated += time.perf_counter() - fitted
        trained += fitted - started
        accuracy, of_repeats, of_new = _accuracy(items, asked, bought)
        measured[name] = BasketsMeasured(
            accuracy,
            of_repeats,
            of_new,
            _beyond(items, asked.known, bought),
            _exposure(items, asked.known, goods),
            _cold_items(model, asked, histories, now) if content is not None else None,
            round(fitted - started, 1),
            round(_p99(model, histories, now), 2),
        )
    progress("recommenders", len(models), len(models))
    return NextBasketComparison(
        measured,
        left_out,
        dataset,
        protocol,
        shop.baskets.size,
        len(asked.known),
        np.asarray(bought.getnnz(1) > 0),
        round(trained, 1),
        round(evaluated, 1),
    )


def _goods(dataset: str, data: Path | None, test: Path | None, ids: Any) -> Goods | None:
    """What is known of the items; None where there is no file of it."""
    layout = GOODS[dataset]
    try:
        paths = [dataset_file(dataset, layout.file, data)]
    except NotFound:
        return None
    if test is not None and layout.file == LAYOUTS[dataset].file:
        paths.append(test)
    return read_goods(paths, layout, ids)


def text_vectors(texts: Sequence[str]) -> Floats | None:
    """(items, d) by the default encoder, rows of 0 without a text; None where there is none."""
    distinct = sorted({text for text in texts if text})
    encoder = load_encoder(DEFAULT_ENCODER)
    if not distinct or encoder is None:
        return None
    place = {text: at for at, text in enumerate(distinct)}
    vectors = np.zeros((len(distinct) + 1, encoder.dimension), np.float32)
    vectors[:-1] = encoder.encode(distinct)
    return vectors[[place.get(text, len(distinct)) for text in texts]]


def _exposure(items: Ints, known: Baskets, goods: Goods | None) -> Exposure | None:
    if goods is None or (goods.maker == UNKNOWN).all():
        return None
    sold = known.contents.counts()
    makers = np.unique(goods.maker[(sold > 0) & (goods.maker != UNKNOWN)])
    shown = goods.maker[items[items >= 0]]
    places = np.bincount(shown[shown != UNKNOWN], minlength=goods.maker.max() + 1)[makers]
    has_maker = goods.maker != UNKNOWN
    lines = np.bincount(goods.maker[has_maker], sold[has_maker])[makers]
    share, of_sales = places / max(1, places.sum()), lines / max(1, lines.sum())
    return Exposure(
        makers=int(makers.size),
        coverage=round(float((places > 0).mean()), 4),
        largest=round(float(share.max()), 4),
        concentration=round(gini(places), 4),
        concentration_of_sales=round(gini(lines.astype(np.int64)), 4),
        shifted=round(float(np.abs(share - of_sales).sum() / 2), 4),
    )


def _cold_items(
    model: BasketRecommender, asked: NextBaskets, histories: Baskets, now: float
) -> ColdItems | None:
    """How well items that nobody had bought are found among themselves."""
    if not model.reads_content:
        return None
    cold = asked.known.contents.counts() == 0
    wanted = cold[asked.targets.items]
    number = np.bincount(asked.targets.owner[wanted], minlength=len(asked.targets))
    rows = np.flatnonzero((number > 0) & (histories.table().getnnz(1) > 0))
    if rows.size < 2:
        return None
    items = model.recommend(histories.of(rows), now, CUTOFF, cold)
    found = [
        np.isin(asked.targets[row : row + 1].items, line).sum()
        for row, line in zip(rows.tolist(), items, strict=True)
    ]
    return ColdItems(np.array(found) / number[rows], int(cold.sum()))


def _accuracy(
    items: Ints, asked: NextBaskets, bought: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(people, 3) of `MEASURES`, and the recall of what was bought before and of what was not
    (NaN for a person without such a target)."""
    from scipy.sparse import csr_matrix

    targets = asked.targets
    ones = np.ones(targets.items.size, np.float32)
    wanted = csr_matrix((ones, targets.items, targets.starts), (len(targets), targets.size))
    repeated = wanted.multiply(bought).tocsr()
    rows = np.arange(len(targets))[:, None]
    hit = np.asarray(wanted[rows, items].todense()) > 0
    hit_again = np.asarray(repeated[rows, items].todense()) > 0
    number, again = targets.lengths, repeated.getnnz(1)
    discount = 1 / np.log2(np.arange(2, items.shape[1] + 2))
    ideal = np.cumsum(discount)[np.minimum(number, items.shape[1]) - 1]
    found, found_again = hit.sum(1), hit_again.sum(1)
    per_person = np.column_stack([found / number, (hit @ discount) / ideal, found > 0])
    with np.errstate(invalid="ignore"):
        of_repeats = np.where(again > 0, found_again / again, np.nan)
        fresh = number - again
        of_new = np.where(fresh > 0, (found - found_again) / fresh, np.nan)
    return per_person, of_repeats, of_new


def _beyond(items: Ints, known: Baskets, bought: Any) -> Beyond:
    table = known.table()
    table.data[:] = 1
    buyers = table.getnnz(0).astype(np.float64)
    catalogue = np.flatnonzero(known.contents.counts())
    people = max(1, int((table.getnnz(1) > 0).sum()))
    shown = np.bincount(items.ravel(), minlength=known.size)[catalogue]
    novelty = -np.log2((buyers[items] + 1) / (people + 1)).mean()
    by_item = table.T.tocsr()
    norm = np.sqrt(np.maximum(buyers, 1))
    alike = []
    for line in items:
        shared = (by_item[line] @ by_item[line].T).toarray() / np.outer(norm[line], norm[line])
        alike.append((shared.sum() - np.trace(shared)) / max(1, line.size * (line.size - 1)))
    had = np.asarray(bought[np.arange(len(items))[:, None], items].todense())
    return Beyond(
        coverage=round(float((shown > 0).mean()), 4),
        novelty=round(float(novelty), 3),
        diversity=round(1 - float(np.mean(alike)), 4),
        new=round(1 - float(had.mean()), 4),
        concentration=round(gini(shown), 4),
    )


def gini(counts: Ints) -> float:
    """Gini index of how something is shared out, 0 for equal shares."""
    ordered = np.sort(counts).astype(np.float64)
    n, total = ordered.size, ordered.sum()
    if not n or not total:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total))


def _p99(model: BasketRecommender, histories: Baskets, now: float) -> float:
    """Milliseconds, the 99th percentile over single people."""
    spent = []
    for person in range(0, histories.people, max(1, histories.people // TIMED)):
        one = histories.of(np.array([person]))
        began = time.perf_counter()
        model.recommend(one, now, CUTOFF)
        spent.append((time.perf_counter() - began) * 1000)
    return float(np.percentile(spent, 99))
