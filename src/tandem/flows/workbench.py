"""What the relevance workbench shows: how rankers do on each judged query."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.contracts.judgment import JudgmentList
from tandem.experiments.measures import depth, parse_measures, score
from tandem.ranking.learned import judgments_fingerprint

if TYPE_CHECKING:
    from tandem.flows.workspace import Workspace

Values = dict[str, dict[str, float]]


def query_measures(
    shop: Workspace, judgments: JudgmentList, rankers: Sequence[str], measure: str
) -> Values:
    """By ranker and judged query, the value of `measure`; queries without a relevant product are
    left out.

    Where the live model was cross-validated on these very judgments, the values are the ones from
    then: each query ranked by a model that had not seen it. Otherwise the rankers are run.
    """
    known = _cross_validated(shop, judgments, measure)
    values: Values = {}
    for ranker in rankers:
        values[ranker] = (
            known[ranker] if ranker in known else _run(shop, judgments, ranker, measure)
        )
    return values


def _cross_validated(shop: Workspace, judgments: JudgmentList, measure: str) -> Values:
    view = shop.view
    if view.manifest is None or view.model_generation is None:
        return {}
    if view.manifest.data_fingerprint != judgments_fingerprint(judgments):
        return {}
    path: Path = shop.layout.models.path(view.model_generation) / "evaluation.json"
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    by_system: Values = {}
    for query, systems in record["per_query"].get(measure, {}).items():
        for system, value in systems.items():
            if value is not None:
                by_system.setdefault(system, {})[query] = value
    return by_system


def _run(shop: Workspace, judgments: JudgmentList, ranker: str, measure: str) -> dict[str, float]:
    wanted = parse_measures([measure])
    queries = [q for q, judged in judgments.by_query.items() if any(judged.values())]
    run = shop.run(ranker, queries, depth(wanted))
    rankings = {q: [s.product_id for s in run.rankings[q]] for q in queries}
    values = score(rankings, {q: judgments.by_query[q] for q in queries}, wanted)
    return dict(zip(queries, values[:, 0].tolist(), strict=True))
