"""Measures by the names of trec_eval and ir_measures.

Whole query sets are measured as arrays: relevance by query and place. The tests hold every measure
against ir_measures, which computes them by trec_eval and gdeval; `docs/benchmarks.md` has how fast
each is.

A name is `FAMILY[(PARAMETER)][@CUTOFF]`, for example `nDCG@10`, `RR`, `R(rel=2)@100` or
`nDCG(gains=esci)@10`. Every value lies in [0, 1], and more is better.

What a name leaves open is settled here, once:

- nDCG uses the exponential gain 2^rel - 1 (Burges et al., ICML 2005) on relevance 0..3 unless
  another is named: `linear` (trec_eval's own default) or `esci` (the gains 1, .1, .01 and 0 of the
  Amazon Shopping Queries challenge, arXiv:2206.06588).
- Binary measures count relevance >= 1 as relevant unless `rel=` says otherwise.
- The order of the run decides. trec_eval breaks ties of equal scores by document id, descending,
  which measures an order that no shopper saw.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput

Values = NDArray[np.float64]
Rankings = Mapping[str, Sequence[str]]

MAX_RELEVANCE = 3

_UNJUDGED, _EMPTY = -1, -2
_BLOCK = 1_024  # queries at once: bounds memory at some 20 MB per 1,000 places

# Integers, because trec_eval's judgments are integers. nDCG does not change when every gain is
# multiplied by the same number, so 100 : 10 : 1 is 1 : .1 : .01.
GAINS: Mapping[str, Mapping[int, int]] = {
    "exponential": {0: 0, 1: 1, 2: 3, 3: 7},
    "linear": {0: 0, 1: 1, 2: 2, 3: 3},
    "esci": {0: 0, 1: 1, 2: 10, 3: 100},
}
DEFAULT_GAINS = "exponential"


@dataclass(frozen=True, slots=True)
class Family:
    """What a family of measures accepts, and what it means to someone who has never met it."""

    cutoff: str  # "required", "optional" or "none"
    parameter: str | None  # "rel", "gains" or None
    title: str
    meaning: str


FAMILIES: Mapping[str, Family] = {
    "nDCG": Family(
        "optional",
        "gains",
        "Normalised discounted cumulative gain",
        "How good the order of the list is: 1 means that the best products stand first in the "
        "best possible order, 0 that nothing useful was shown. A place further down counts less.",
    ),
    "RR": Family(
        "optional",
        "rel",
        "Reciprocal rank",
        "How soon the first good product comes: 1 in first place, 1/2 in second, 1/3 in third.",
    ),
    "P": Family(
        "required",
        "rel",
        "Precision",
        "The share of the shown places that hold a good product.",
    ),
    "R": Family(
        "required",
        "rel",
        "Recall",
        "The share of all known good products that the list contains.",
    ),
    "AP": Family(
        "optional",
        "rel",
        "Average precision",
        "Precision averaged over the places of all good products: it rewards finding all of them, "
        "early.",
    ),
    "Success": Family(
        "required",
        "rel",
        "Success",
        "The share of queries with at least one good product in the list.",
    ),
    "Rprec": Family(
        "none",
        "rel",
        "R-precision",
        "Precision at as many places as there are good products.",
    ),
    "ERR": Family(
        "required",
        None,
        "Expected reciprocal rank",
        "How soon a shopper who reads from the top and stops when satisfied would stop.",
    ),
    "Judged": Family(
        "required",
        None,
        "Judged",
        "The share of the shown products that a person has judged. It says how far the other "
        "numbers can be trusted, not how good the list is.",
    ),
}

EXAMPLES = (
    "nDCG@10",
    "nDCG(gains=esci)@10",
    "nDCG(gains=linear)@10",
    "RR",
    "RR@10",
    "P@10",
    "R@100",
    "R(rel=2)@100",
    "AP",
    "AP@100",
    "Success@10",
    "Rprec",
    "ERR@10",
    "Judged@10",
)

# Names that people use for the same thing.
_ALSO_CALLED = {
    "NDCG": "nDCG",
    "MRR": "RR",
    "MAP": "AP",
    "RECALL": "R",
    "PRECISION": "P",
    "PREC": "P",
    "HIT": "Success",
    "HITRATE": "Success",
    "HIT_RATE": "Success",
    "JUDGED": "Judged",
}

_NAME = re.compile(
    r"(?P<family>[A-Za-z_]+)"
    r"(?:\((?P<parameter>[a-z]+)=(?P<value>[a-z0-9]+)\))?"
    r"(?:@(?P<cutoff>[1-9][0-9]{0,5}))?"
)


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure. `cutoff` is the depth in ranks, None for the whole ranking.

    relevance: the lowest relevance that counts as relevant (binary measures).
    gains: a name in `GAINS` for nDCG, None for measures without gains.
    """

    name: str
    family: str
    cutoff: int | None = None
    relevance: int = 1
    gains: str | None = None

    @property
    def title(self) -> str:
        return FAMILIES[self.family].title

    @property
    def meaning(self) -> str:
        return FAMILIES[self.family].meaning

    @classmethod
    def parse(cls, name: str) -> Measure:
        """Read a measure's name. Raises InvalidInput that lists close names."""
        name = name.strip()
        match = _NAME.fullmatch(name.replace(" ", ""))
        if match is None or match["family"] not in FAMILIES:
            raise _unknown(name)
        family = FAMILIES[match["family"]]
        if match["cutoff"] is None and family.cutoff == "required":
            raise _invalid(name, "needs a cutoff", f"write {name}@10, say")
        if match["cutoff"] is not None and family.cutoff == "none":
            raise _invalid(name, "takes no cutoff", f"write {name.partition('@')[0]}")
        cutoff = int(match["cutoff"]) if match["cutoff"] else None
        gains = DEFAULT_GAINS if family.parameter == "gains" else None
        parameter, value = match["parameter"], match["value"]
        if parameter is None:
            return cls(name, match["family"], cutoff, gains=gains)
        if parameter != family.parameter:
            allowed = f"only '{family.parameter}='" if family.parameter else "no parameter"
            raise _invalid(name, f"takes {allowed}", f"use one of: {', '.join(EXAMPLES)}")
        if parameter == "gains":
            if value not in GAINS:
                raise _invalid(name, f"unknown gains '{value}'", f"use: {', '.join(GAINS)}")
            return cls(name, match["family"], cutoff, gains=value)
        if value not in {"1", "2", "3"}:
            raise _invalid(name, f"rel={value} is not on the scale", "use rel=1, rel=2 or rel=3")
        return cls(name, match["family"], cutoff, relevance=int(value))


def parse_measures(names: Iterable[str]) -> tuple[Measure, ...]:
    """Read measure names, in order, without repeats. At least one is needed."""
    measures = tuple(Measure.parse(name) for name in dict.fromkeys(names))
    if not measures:
        raise InvalidInput("no measure named", field="measures", remedy="name one, say nDCG@10")
    return measures


def depth(measures: Sequence[Measure], whole: int = 1000) -> int:
    """How many products a system must return: the deepest cutoff, `whole` for uncut measures.

    1,000 is TREC's custom for uncut measures.
    """
    return max(whole if m.cutoff is None else m.cutoff for m in measures)


def score(
    rankings: Rankings, relevances: Mapping[str, Mapping[str, int]], measures: Sequence[Measure]
) -> Values:
    """Measure rankings: (len(relevances), len(measures)) float64 in [0, 1].

    rankings: product ids by query, best first and unique. A query that is missing or empty scores
        0, as in `trec_eval -c`.
    relevances: relevance 0..3 by query, then product id; the rows of the result, in this order.
    NaN where a query has no product that the measure would count as relevant: no ranking could
    score more than another there, so the query says nothing about this measure.
    """
    queries = list(relevances)
    values = np.empty((len(queries), len(measures)))
    deepest = None if any(m.cutoff is None for m in measures) else depth(measures)
    for start in range(0, len(queries), _BLOCK):
        part = queries[start : start + _BLOCK]
        graded = _Graded.of(
            [relevances[q] for q in part], [rankings.get(q, ()) for q in part], deepest
        )
        for j, measure in enumerate(measures):
            column = _FUNCTIONS[measure.family](graded, measure)
            column[graded.at_least(measure.relevance) == 0] = np.nan
            values[start : start + len(part), j] = column
    return np.clip(values, 0.0, 1.0)  # rounding in sums can exceed 1 by one unit in the last place


@dataclass(frozen=True)
class _Graded:
    """Some queries with their rankings, as relevance by place.

    grid (n, depth) int8: relevance of the product at a place, UNJUDGED, or EMPTY below the end of
    the list. lengths (n,): places filled. known (n, 4): judged products by relevance.
    """

    grid: NDArray[np.int8]
    lengths: NDArray[np.int64]
    known: NDArray[np.int64]
    _hits: dict[tuple[int, int], NDArray[np.bool_]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        judged: Sequence[Mapping[str, int]],
        ranked: Sequence[Sequence[str]],
        deepest: int | None,
    ) -> _Graded:
        lengths = np.array([len(r) if deepest is None else min(len(r), deepest) for r in ranked])
        grid = np.full((len(ranked), int(lengths.max(initial=0))), _EMPTY, np.int8)
        known = np.zeros((len(ranked), MAX_RELEVANCE + 1), np.int64)
        unjudged = repeat(_UNJUDGED)
        for row, (grades, products, n) in enumerate(
            zip(judged, ranked, lengths.tolist(), strict=True)
        ):
            grid[row, :n] = np.fromiter(map(grades.get, products, unjudged), np.int8, n)
            held = np.fromiter(grades.values(), np.int64, len(grades))
            known[row] = np.bincount(held, minlength=MAX_RELEVANCE + 1)
        return cls(grid, lengths, known)

    def at_least(self, relevance: int) -> NDArray[np.int64]:
        """(n,) judged products of at least this relevance."""
        total: NDArray[np.int64] = self.known[:, relevance:].sum(axis=1)
        return total

    def hits(self, relevance: int, cutoff: int | None) -> NDArray[np.bool_]:
        """(n, places) whether the product at a place is relevant, down to the cutoff."""
        places = self.grid.shape[1] if cutoff is None else min(cutoff, self.grid.shape[1])
        key = (relevance, places)
        if key not in self._hits:
            self._hits[key] = self.grid[:, :places] >= relevance
        return self._hits[key]


def _ndcg(g: _Graded, m: Measure) -> Values:
    """Järvelin & Kekäläinen, TOIS 2002; the ideal list holds every judged product, best first."""
    gains = GAINS[m.gains or DEFAULT_GAINS]
    # Indexed by relevance; the last two places are those of -2 and -1.
    table = np.array([gains[r] for r in range(MAX_RELEVANCE + 1)] + [0, 0], np.float64)
    places = g.grid.shape[1] if m.cutoff is None else min(m.cutoff, g.grid.shape[1])
    most = max(places, int(g.known.sum(axis=1).max(initial=0)))
    discount = 1 / np.log2(np.arange(2, most + 2))
    worth = np.concatenate([[0.0], np.cumsum(discount)])
    found = table[g.grid[:, :places]] @ discount[:places]
    ideal = np.zeros(len(g.lengths))
    above = np.zeros(len(g.lengths), np.int64)
    for relevance in range(MAX_RELEVANCE, 0, -1):
        through = above + g.known[:, relevance]
        ends = [np.minimum(e, m.cutoff if m.cutoff is not None else most) for e in (above, through)]
        ideal += table[relevance] * (worth[ends[1]] - worth[ends[0]])
        above = through
    return _share(found, ideal)


def _reciprocal_rank(g: _Graded, m: Measure) -> Values:
    hits = g.hits(m.relevance, m.cutoff)
    if not hits.shape[1]:
        return np.zeros(len(g.lengths))
    first = hits.argmax(axis=1)
    found: Values = hits[np.arange(first.size), first].astype(np.float64)
    found /= first + 1.0
    return found


def _precision(g: _Graded, m: Measure) -> Values:
    assert m.cutoff is not None
    values: Values = g.hits(m.relevance, m.cutoff).sum(axis=1) / m.cutoff
    return values


def _recall(g: _Graded, m: Measure) -> Values:
    return _share(g.hits(m.relevance, m.cutoff).sum(axis=1), g.at_least(m.relevance))


def _average_precision(g: _Graded, m: Measure) -> Values:
    hits = g.hits(m.relevance, m.cutoff)
    precision = np.cumsum(hits, axis=1, dtype=np.float64) / np.arange(1, hits.shape[1] + 1)
    return _share((precision * hits).sum(axis=1), g.at_least(m.relevance))


def _success(g: _Graded, m: Measure) -> Values:
    return np.asarray(g.hits(m.relevance, m.cutoff).any(axis=1), np.float64)


def _r_precision(g: _Graded, m: Measure) -> Values:
    total = g.at_least(m.relevance)
    hits = g.hits(m.relevance, None)
    inside = np.arange(hits.shape[1]) < total[:, None]
    return _share((hits & inside).sum(axis=1), total)


def _expected_reciprocal_rank(g: _Graded, m: Measure) -> Values:
    """Chapelle et al., CIKM 2009, on TREC's scale up to 4 as gdeval has it: (2^rel - 1) / 16."""
    stops = np.array([0, 1, 3, 7, 0, 0], np.float64)[g.grid[:, : m.cutoff]] / 16
    goes_on = np.cumprod(1 - stops, axis=1)
    reached = np.concatenate([np.ones((len(stops), 1)), goes_on[:, :-1]], axis=1)[
        :, : stops.shape[1]
    ]
    values: Values = (stops * reached) @ (1 / np.arange(1.0, stops.shape[1] + 1))
    return values


def _judged(g: _Graded, m: Measure) -> Values:
    assert m.cutoff is not None
    known = (g.grid[:, : m.cutoff] >= 0).sum(axis=1)
    return _share(known, np.minimum(g.lengths, m.cutoff))


def _share(part: NDArray[Any], whole: NDArray[Any]) -> Values:
    """part / whole, 0 where there is nothing."""
    out = np.zeros(len(whole))
    np.divide(part, whole, out=out, where=whole > 0)
    return out


_FUNCTIONS: Mapping[str, Callable[[_Graded, Measure], Values]] = {
    "nDCG": _ndcg,
    "RR": _reciprocal_rank,
    "P": _precision,
    "R": _recall,
    "AP": _average_precision,
    "Success": _success,
    "Rprec": _r_precision,
    "ERR": _expected_reciprocal_rank,
    "Judged": _judged,
}


def _unknown(name: str) -> InvalidInput:
    stem, at, cutoff = name.partition("@")
    known = _ALSO_CALLED.get(stem.upper())
    close = [f"{known}{at}{cutoff}"] if known else []
    close += [c for c in difflib.get_close_matches(name, EXAMPLES, 3, 0.4) if c not in close]
    return _invalid(
        name, "unknown measure", f"use {', '.join(close)}" if close else f"use {EXAMPLES[0]}, say"
    )


def _invalid(name: str, message: str, remedy: str) -> InvalidInput:
    return InvalidInput(f"measure '{name}': {message}", field="measures", remedy=remedy)
