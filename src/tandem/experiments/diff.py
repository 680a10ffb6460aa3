"""Two systems side by side: which queries got better or worse, by how much, and what moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tandem.contracts.errors import InvalidInput
from tandem.contracts.judgment import JudgmentList
from tandem.contracts.run import Run
from tandem.experiments.offline import Comparison, Evaluation, evaluate

DEPTH = 10
_TIE = 1e-9


@dataclass(frozen=True, slots=True)
class Move:
    """One product whose place among the first changed. before, after: place from 1, None where it
    is not among them; relevance: None where nobody judged it."""

    product_id: str
    before: int | None
    after: int | None
    relevance: int | None


@dataclass(frozen=True, slots=True)
class QueryDiff:
    """One query. before, after: the measure; change: after - before. overlap: share of the first
    places that hold the same products, in whatever order. moves: by how much they count, the most
    important first."""

    query: str
    before: float
    after: float
    change: float
    overlap: float
    moves: tuple[Move, ...]


@dataclass(frozen=True)
class Diff:
    """What changes when `after` takes the place of `before`. queries: the most worsened first, then
    on to the most improved; ties by text. comparison: over all of them, with interval and test."""

    before: str
    after: str
    measure: str
    depth: int
    queries: tuple[QueryDiff, ...]
    comparison: Comparison
    evaluation: Evaluation = field(repr=False)

    @property
    def better(self) -> tuple[QueryDiff, ...]:
        """The most improved first."""
        return tuple(q for q in reversed(self.queries) if q.change > _TIE)

    @property
    def worse(self) -> tuple[QueryDiff, ...]:
        """The most worsened first."""
        return tuple(q for q in self.queries if q.change < -_TIE)

    @property
    def identical(self) -> int:
        """Queries whose first places are the same, product by product."""
        return sum(not q.moves for q in self.queries)

    def to_json(self) -> dict[str, Any]:
        c = self.comparison
        return {
            "before": self.before,
            "after": self.after,
            "measure": self.measure,
            "depth": self.depth,
            "queries": len(self.queries),
            "better": len(self.better),
            "worse": len(self.worse),
            "identical": self.identical,
            "difference": {
                "mean": c.difference.mean,
                "low": c.difference.low,
                "high": c.difference.high,
                "p_value": c.p_value,
            },
            "changes": [asdict(q) for q in self.queries],
            "warnings": list(self.evaluation.warnings),
        }


def diff(
    before: Run,
    after: Run,
    judgments: JudgmentList,
    measure: str = "nDCG@10",
    *,
    depth: int = DEPTH,
) -> Diff:
    """Compare two runs query by query. depth: how many places are looked at for what moved.

    Queries without a relevant product are left out, as `evaluate` leaves them out.
    """
    if before.system == after.system:
        raise InvalidInput(
            f"'{before.system}' is compared with itself",
            field="systems",
            remedy="name two systems",
        )
    evaluation = evaluate([before, after], judgments, [measure], baseline=0)
    name = evaluation.measures[0].name
    found = []
    for row in evaluation.per_query(name):
        old, new = row.values[before.system], row.values[after.system]
        if old is None or new is None:
            continue
        first, then = (
            {p.product_id: at for at, p in enumerate(run.rankings.get(row.query, ())[:depth], 1)}
            for run in (before, after)
        )
        found.append(
            QueryDiff(
                row.query,
                old,
                new,
                new - old,
                _overlap(first, then),
                _moves(first, then, judgments.by_query[row.query]),
            )
        )
    found.sort(key=lambda q: (q.change, q.query))
    return Diff(
        before.system,
        after.system,
        name,
        depth,
        tuple(found),
        evaluation.comparison(after.system, name),
        evaluation,
    )


def _overlap(before: Mapping[str, int], after: Mapping[str, int]) -> float:
    most = max(len(before), len(after))
    return len(before.keys() & after.keys()) / most if most else 1.0


def _moves(
    before: Mapping[str, int], after: Mapping[str, int], judged: Mapping[str, int]
) -> tuple[Move, ...]:
    """Products that changed place; first those whose gain moved farthest, as nDCG discounts."""
    from math import log2

    def weight(place: int | None) -> float:
        return 0.0 if place is None else 1 / log2(1 + place)

    moved = [
        Move(p, before.get(p), after.get(p), judged.get(p))
        for p in {**before, **after}
        if before.get(p) != after.get(p)
    ]
    return tuple(
        sorted(
            moved,
            key=lambda m: (
                -abs(weight(m.after) - weight(m.before)) * (2 ** (m.relevance or 0) - 1),
                -abs(weight(m.after) - weight(m.before)),
                m.product_id,
            ),
        )
    )
