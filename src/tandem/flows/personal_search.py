"""Personalised search measured on what people really bought, beside the search of everybody.

Search sessions with people in them are rare in the open. As in the literature on personalised
product search (Ai et al., SIGIR 2017) a purchase stands for a search that found it: the query is
made of words of the product's own text, and what the person bought is what was wanted. Purchases,
people, times and the order of lines are real; the queries are derived, and said to be.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.candidates import Candidates
from tandem.contracts.errors import InvalidInput
from tandem.contracts.product import Money, Product
from tandem.contracts.recommend import Known
from tandem.contracts.search import SearchRequest
from tandem.experiments.inference import bootstrap_intervals, permutation_test
from tandem.features.declarations import TASTE
from tandem.flows.import_ import create_workspace
from tandem.flows.index import build_index
from tandem.flows.recommend import dataset_file
from tandem.flows.view import View
from tandem.flows.workspace import Workspace
from tandem.ranking.personal import BASE, Choice, PersonalRanker, personal_features
from tandem.recommend.transactions import LAYOUTS
from tandem.retrieval.pipeline import QueryContext
from tandem.storage.catalog import CatalogWriter
from tandem.storage.visitor_state import MOST_RECENT

HELD_DAYS = 28
LEARNT_DAYS = 84
PER_PERSON = 3  # searches of one person that are measured, and twice as many to learn from
BROAD = 50  # products that match a query which leaves much open
TAIL = 20  # products from the lower half of the candidates that stand for what nobody wants
BIAS = 0.8  # P(looked at) of place k of a list is taken to be k^-0.8
CUTOFF = 10
MEASURES = (f"nDCG@{CUTOFF}", "RR")
RESAMPLES = 2_000
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Episode:
    """One search of a person whose choice is known. session, before: products, oldest first.

    shown: the list that the choice was made from, in order; empty where nothing stood between the
    person and the shop's products, as with receipts.
    """

    person: int
    query: str
    session: tuple[str, ...]
    before: tuple[str, ...]
    wanted: frozenset[str]
    shown: tuple[str, ...] = ()

    @property
    def known(self) -> Known:
        return Known(session=self.session, before=self.before)

    @property
    def visitor(self) -> str:
        """What is known of who asks: nothing, this visit, or former ones."""
        return "returning" if self.before else "in this visit" if self.session else "newcomer"


@dataclass(frozen=True)
class Compared:
    """values: (searches, 2 systems, 2 measures): everybody's order, the personal one.
    rows of the other arrays belong to the same searches."""

    values: NDArray[np.float64]
    person: NDArray[np.int64]
    labels: dict[str, NDArray[np.str_]]
    changed: NDArray[np.bool_]
    p99_ms: float


class Pools:
    """What everybody gets for a query, computed once per query text."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._stage = view.stages()[view.default_system()]
        self._known: dict[str, tuple[QueryContext, Candidates]] = {}

    def of(self, query: str) -> tuple[QueryContext, Candidates]:
        if query not in self._known:
            understanding = self.view.understand(SearchRequest(q=query, rewrite=False))
            context = self.view.context(understanding, understanding.filters)
            self._known[query] = context, self._stage.run(context, None)
        return self._known[query]


def choices(pools: Pools, episodes: Sequence[Episode]) -> list[Choice]:
    """What a personal ranker learns from: searches of people of whom something is known, whose
    choice is among the candidates. The features are those of serving."""
    found = []
    for episode in episodes:
        context, pool = pools.of(episode.query)
        context.taste = pools.view.taste(episode.known)
        if context.taste is None:
            continue
        features = personal_features(context, pool)
        if not episode.shown:
            places = _places(pools, pool, episode).tolist()
            weights = dict.fromkeys(places, 1 / max(1, len(places)))
        else:
            # What was not shown was not turned down, except far down, where hardly anything is
            # wanted; what stood low was hardly looked at.
            at = {n: i for i, n in enumerate(pool.numbers.tolist())}
            numbers = pools.view.snapshot.numbers(episode.shown).tolist()
            rows = [(at[n], place) for place, n in enumerate(numbers, 1) if n in at]
            taken = {row for row, _ in rows}
            deep = np.linspace(len(pool) // 2, len(pool) - 1, TAIL).astype(int).tolist()
            deep = [row for row in dict.fromkeys(deep) if row not in taken]
            features = features[[*(row for row, _ in rows), *deep]]
            weights = {
                row: place**BIAS
                for row, (_, place) in enumerate(rows)
                if episode.shown[place - 1] in episode.wanted
            }
        if weights:
            found.append(Choice(features, weights))
    return found


def compare(pools: Pools, ranker: PersonalRanker, episodes: Sequence[Episode]) -> Compared:
    """Both orders of every search, measured; what nobody's search finds counts as 0 for both."""
    values = np.zeros((len(episodes), 2, len(MEASURES)))
    changed, kinds, spent = np.zeros(len(episodes), bool), [], []
    for row, episode in enumerate(episodes):
        context, pool = pools.of(episode.query)
        started = time.thread_time()
        context.taste = pools.view.taste(episode.known)
        own = ranker.run(context, pool)
        spent.append(time.thread_time() - started)
        changed[row] = not np.array_equal(own.numbers, pool.numbers)
        for system, ranked in enumerate((pool, own)):
            values[row, system] = _measured(_places(pools, ranked, episode), len(episode.wanted))
        kinds.append("broad" if len(pool) and context_size(context) >= BROAD else "narrow")
    before = [e.wanted & {*e.before, *e.session} for e in episodes]
    labels = {
        "visitor": np.array([e.visitor for e in episodes]),
        "query": np.array(kinds),
        "wanted": np.array(["seen before" if b else "new to the person" for b in before]),
    }
    p99 = 1000 * float(np.percentile(spent, 99)) if spent else 0.0
    return Compared(values, np.array([e.person for e in episodes]), labels, changed, p99)


def context_size(context: QueryContext) -> int:
    """How many products match the query's words."""
    from tandem.flows.search import matching_query

    return context.snapshot.matching(matching_query(context.understanding), context.filters)


def _places(pools: Pools, ranked: Candidates, episode: Episode) -> NDArray[np.int64]:
    numbers = pools.view.snapshot.numbers(sorted(episode.wanted))
    return np.flatnonzero(np.isin(ranked.numbers, numbers[numbers >= 0]))


def _measured(places: NDArray[np.int64], wanted: int) -> tuple[float, float]:
    """nDCG@10 (binary gains) and reciprocal rank of what was wanted, at these places from 0."""
    if not places.size:
        return 0.0, 0.0
    gain = (1 / np.log2(places[places < CUTOFF] + 2)).sum()
    ideal = (1 / np.log2(np.arange(min(wanted, CUTOFF)) + 2)).sum()
    return float(gain / ideal), 1 / (int(places[0]) + 1)


def summary(found: Compared) -> dict[str, Any]:
    """The gain in all and by segment: means over people of their means, BCa intervals over people,
    paired randomisation test."""
    rows = np.ones(len(found.person), bool)
    segments = {"all": _gain(found, rows)}
    for column, labels in found.labels.items():
        for label in np.unique(labels).tolist():
            segments[f"{column}: {label}"] = _gain(found, labels == label)
    return segments


def _gain(found: Compared, rows: NDArray[np.bool_]) -> dict[str, Any]:
    people, owner = np.unique(found.person[rows], return_inverse=True)
    count = np.bincount(owner, minlength=people.size)
    table = found.values[rows]
    means = np.zeros((people.size, *table.shape[1:]))
    np.add.at(means, owner, table)
    means /= count[:, None, None]
    gain = means[:, 1] - means[:, 0]
    intervals = bootstrap_intervals(gain, (-1.0, 1.0), resamples=RESAMPLES)
    p = permutation_test(gain, permutations=RESAMPLES) if gain.any() else np.ones(len(MEASURES))
    out: dict[str, Any] = {
        "people": int(people.size),
        "searches": int(rows.sum()),
        "changed": round(float(found.changed[rows].mean()), 4),
    }
    for at, measure in enumerate(MEASURES):
        out[measure] = {
            "everybody": round(float(means[:, 0, at].mean()), 4),
            "personal": round(float(means[:, 1, at].mean()), 4),
            "gain": round(float(intervals.mean[at]), 4),
            "interval": [round(float(x), 4) for x in (intervals.low[at], intervals.high[at])],
            "p": round(float(p[at]), 4),
        }
    return out


def evaluate_receipts(
    data: Path | None = None,
    *,
    people: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Learn from the receipts before the last 28 days, measure on those since. people: at most so
    many are measured, and to learn from. Raises InvalidInput or NotFound.
    """
    lines = read_lines(dataset_file("retail", LAYOUTS["retail"].file, data))
    split = lines.day.max() - HELD_DAYS
    known = lines.day < split
    with tempfile.TemporaryDirectory() as scratch:
        layout = create_workspace(Path(scratch) / "shop", currency="GBP")
        with CatalogWriter(layout, source={"dataset": "retail"}) as writer:
            for product in products_of(lines, known):
                writer.add(product)
        build_index(layout, progress)
        with Workspace(layout) as shop:
            pools = Pools(shop.view)
            learn = episodes_of(lines, split - LEARNT_DAYS, split, 2 * PER_PERSON, people, seed=1)
            test = episodes_of(lines, split, np.inf, PER_PERSON, people, seed=2)
            ranker = PersonalRanker.fit(choices(pools, learn))
            found = compare(pools, ranker, test)
            system = shop.view.default_system()
    return {
        "dataset": "retail",
        "simulated": False,
        "queries": "derived from the text of what was bought",
        "system": system,
        "learned_from": len(learn),
        "weights": {n: round(ranker.weights.get(n, 0.0), 4) for n in (*BASE, *TASTE)},
        "p99_ms_of_personal_part": round(found.p99_ms, 2),
        "segments": summary(found),
    }


# --- Receipts ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lines:
    """Lines of receipts in order of time and place on the receipt; (n,) each. person: -1 a guest's.
    texts, ids: by code of `item`."""

    receipt: NDArray[np.int64]
    item: NDArray[np.int64]
    person: NDArray[np.int64]
    day: NDArray[np.float64]
    price: NDArray[np.float64]
    ids: tuple[str, ...]
    texts: tuple[str, ...]


def read_lines(path: Path) -> Lines:
    """Lines of goods that were bought, with their text."""
    import duckdb

    goods = "quantity > 0 AND regexp_matches(stock_code, '^[0-9]{5}') AND description IS NOT NULL"
    try:
        table = (
            duckdb.connect()
            .execute(
                f"""SELECT invoice, trim(stock_code) AS stock_code, trim(description) AS text,
                customer_id, unit_price, epoch(invoice_date) / 86400 AS day
                FROM (SELECT *, row_number() OVER () AS place
                      FROM read_parquet('{str(path).replace("'", "''")}'))
                WHERE {goods} ORDER BY day, invoice, place"""
            )
            .df()
        )
    except duckdb.Error as error:
        raise InvalidInput(
            f"cannot be read: {str(error).splitlines()[0]}",
            file=str(path),
            remedy="give it the columns of Online Retail II",
        ) from None
    ids, item = np.unique(table["stock_code"].to_numpy(str), return_inverse=True)
    said = table.groupby("stock_code")["text"].agg(lambda t: t.value_counts().index[0])
    return Lines(
        np.unique(table["invoice"].to_numpy(str), return_inverse=True)[1].astype(np.int64),
        item.astype(np.int64),
        table["customer_id"].fillna(-1).to_numpy(np.int64),
        table["day"].to_numpy(np.float64),
        table["unit_price"].to_numpy(np.float64),
        tuple(ids.tolist()),
        tuple(said.loc[ids].tolist()),
    )


def products_of(lines: Lines, known: NDArray[np.bool_]) -> list[Product]:
    """The catalogue as of the lines that are known: text, and the median price that was paid."""
    order = np.argsort(lines.item[known], kind="stable")
    items, price = lines.item[known][order], lines.price[known][order]
    starts = np.flatnonzero(np.diff(items, prepend=-1))
    found = []
    for item, prices in zip(items[starts].tolist(), np.split(price, starts[1:]), strict=True):
        amount = Decimal(f"{np.median(prices):.2f}")
        found.append(
            Product(
                id=lines.ids[item],
                title=lines.texts[item].capitalize(),
                language="en",
                price=Money(amount=amount, currency="GBP") if amount > 0 else None,
            )
        )
    return found


def episodes_of(
    lines: Lines, since: float, until: float, each: int, people: int | None, seed: int
) -> list[Episode]:
    """Searches by lot out of receipts of a span of time, at most `each` of a person: one line of a
    receipt, asked for by one word of its text or by two. Known is what stood above it on the
    receipt, and what the person had bought before, as much of both as a visitor's state holds."""
    rng = np.random.default_rng(seed)
    frequency = Counter(w for text in lines.texts for w in set(_words(text)))
    starts = np.flatnonzero(np.diff(lines.receipt, prepend=-1))
    ends = np.append(starts[1:], lines.receipt.size)
    history: dict[int, list[str]] = {}
    drawn: dict[int, list[Episode]] = {}
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        person = int(lines.person[start])
        day = lines.day[start]
        if person < 0 or day >= until:
            continue
        items = list(dict.fromkeys(lines.item[start:end].tolist()))
        bought = history.setdefault(person, [])
        if day >= since:
            at = int(rng.integers(0, len(items)))
            query = _query(lines.texts[items[at]], frequency, rng)
            if query:
                session = tuple(lines.ids[i] for i in items[:at])
                before = tuple(i for i in dict.fromkeys(reversed(bought)) if i not in session)
                left = max(0, MOST_RECENT - len(session))
                episode = Episode(
                    person,
                    query,
                    session[-MOST_RECENT:],
                    tuple(reversed(before[:left])),
                    frozenset({lines.ids[items[at]]}),
                )
                drawn.setdefault(person, []).append(episode)
        bought += [lines.ids[i] for i in items]
        del bought[:-400]
    chosen = sorted(drawn)
    if people is not None and len(chosen) > people:
        chosen = sorted(rng.choice(chosen, people, replace=False).tolist())
    found = []
    for person in chosen:
        own = drawn[person]
        places = np.sort(rng.permutation(len(own))[:each])
        found += [own[p] for p in places.tolist()]
    return found


def _words(text: str) -> list[str]:
    return [w for w in text.lower().replace(",", " ").split() if w.isalpha() and len(w) > 2]


def _query(text: str, frequency: Counter[str], rng: np.random.Generator) -> str:
    """One word that several products share, mostly the last, which names the thing; or two."""
    words = [w for w in _words(text) if frequency[w] >= 3]
    if not words:
        return ""
    if len(words) == 1 or rng.random() < 0.5:
        return words[-1]
    return f"{words[int(rng.integers(0, len(words) - 1))]} {words[-1]}"
