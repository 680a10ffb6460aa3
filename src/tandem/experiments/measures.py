"""Measures by the names of trec_eval and ir_measures, computed by those kept libraries.

A name is `FAMILY[(PARAMETER)][@CUTOFF]`, for example `nDCG@10`, `RR`, `R(rel=2)@100` or
`nDCG(gains=esci)@10`. Every value lies in [0, 1], and more is better.

What a name leaves open is settled here, once:

- nDCG uses the exponential gain 2^rel - 1 (Burges et al., ICML 2005) on relevance 0..3 unless
  another is named: `linear` (trec_eval's own default) or `esci` (the gains 1, .1, .01 and 0 of the
  Amazon Shopping Queries challenge, arXiv:2206.06588).
- Binary measures count relevance >= 1 as relevant unless `rel=` says otherwise.
- trec_eval breaks ties of equal scores by document id, descending, which measures an order that no
  shopper saw. Rankings are therefore handed over with strictly decreasing stand-in scores, so that
  exactly the order of the run is measured.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput

if TYPE_CHECKING:
    from ir_measures.measures import Measure as LibraryMeasure

Values = NDArray[np.float64]
Rankings = Mapping[str, Sequence[str]]

MAX_RELEVANCE = 3

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

    def _library(self) -> LibraryMeasure:
        """This measure as ir_measures spells it, for a ranking cut by `_cut_here`."""
        import ir_measures

        measure: Any = getattr(ir_measures, self.family)
        if self.gains is not None:
            # Always explicit: beside an nDCG with gains, the library computes one without gains on
            # the mapped judgments of the other.
            measure = measure(gains=dict(GAINS[self.gains]))
        elif FAMILIES[self.family].parameter == "rel":
            measure = measure(rel=self.relevance)
        if self.cutoff is not None and self.family != "RR":
            measure = measure @ self.cutoff
        return measure  # type: ignore[no-any-return]

    @property
    def _provider(self) -> str:
        return {"ERR": "gdeval", "Judged": "judged"}.get(self.family, "pytrec_eval")

    @property
    def _cut_here(self) -> int | None:
        """Depth at which the ranking itself is cut before it is handed over.

        Needed for RR@k, which is RR of the list cut at k (`trec_eval -M k`); elsewhere it only
        spares work. None where trec_eval applies several cutoffs in one pass.
        """
        return self.cutoff if self.family in {"RR", "ERR", "Judged"} else None


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
    import ir_measures

    keys = {query: str(i) for i, query in enumerate(relevances)}  # any text is safe as a key
    columns = {m: j for j, m in enumerate(measures)}
    values = np.zeros((len(keys), len(measures)))
    best = np.array([max(r.values(), default=0) for r in relevances.values()])
    for measure, j in columns.items():
        values[best < measure.relevance, j] = np.nan
    measurable = [query for query, top in zip(keys, best, strict=True) if top > 0]
    groups: dict[tuple[str, int | None], list[Measure]] = {}
    for measure in measures:
        groups.setdefault((measure._provider, measure._cut_here), []).append(measure)
    for (provider_name, cut), group in groups.items():
        deepest = cut if cut is not None else _deepest(group)
        qrels: dict[str, dict[str, int]] = {keys[q]: dict(relevances[q]) for q in measurable}
        run = {
            keys[q]: _falling(rankings[q][:deepest]) for q in measurable if len(rankings.get(q, ()))
        }
        if provider_name == "gdeval":
            qrels, run = _numbered(qrels, run)
        provider = getattr(ir_measures, provider_name)
        if not provider.is_available():
            raise _invalid(
                group[0].name, "cannot be computed here", provider.install_instructions() or ""
            )
        library: dict[LibraryMeasure, list[int]] = {}
        for m in group:  # two names may mean the same measure
            library.setdefault(m._library(), []).append(columns[m])
        for result in provider.iter_calc(list(library), qrels, run):
            if result.query_id.isdigit():  # gdeval adds a row of means
                for column in library[result.measure]:
                    at = int(result.query_id), column
                    if not np.isnan(values[at]):
                        values[at] = result.value
    return np.clip(values, 0.0, 1.0)  # rounding in sums can exceed 1 by one unit in the last place


def _deepest(measures: Sequence[Measure]) -> int | None:
    cutoffs = [m.cutoff for m in measures]
    return None if None in cutoffs else max(c for c in cutoffs if c is not None)


def _falling(products: Sequence[str]) -> dict[str, float]:
    """Stand-in scores n, n-1, … 1: exact in trec_eval's 32-bit floats up to 16 million ranks."""
    n = len(products)
    return {product: float(n - i) for i, product in enumerate(products)}


def _numbered(
    qrels: dict[str, dict[str, int]], run: dict[str, dict[str, float]]
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    """The same with numbers for product ids: gdeval reads text files split at white space."""
    numbers: dict[str, str] = {}

    def number(product: str) -> str:
        return numbers.setdefault(product, str(len(numbers)))

    return (
        {q: {number(p): rel for p, rel in products.items()} for q, products in qrels.items()},
        {q: {number(p): s for p, s in products.items()} for q, products in run.items()},
    )


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
