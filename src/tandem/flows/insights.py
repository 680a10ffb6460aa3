"""Find where search fails in a workspace, and try what may help."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.events import AdmittedEvent
from tandem.contracts.judgment import JudgmentList
from tandem.contracts.product import Product
from tandem.contracts.registry import Decision
from tandem.contracts.run import Run, ScoredProduct
from tandem.contracts.search import Hit, SearchRequest
from tandem.experiments.gates import MIN_QUERIES
from tandem.flows.experiment import kept_analyses
from tandem.flows.fixes import Trial as TrialOfFix
from tandem.flows.fixes import fix_of, promote_fix, propose, with_fix
from tandem.flows.import_ import create_workspace
from tandem.flows.index import build_index
from tandem.flows.meanings import meanings
from tandem.flows.search import answer
from tandem.flows.view import View
from tandem.flows.watch import watched
from tandem.flows.workspace import Workspace
from tandem.governance.audit import os_actor
from tandem.governance.reading import EventReader
from tandem.insights.clicks import cascade, ctr_by_position, position_bias
from tandem.insights.drift import Drift, drift
from tandem.insights.engines import engine_named
from tandem.insights.evidence import (
    categories_wanted,
    funnels_over_all,
    held_out_order,
    judgments_from_logs,
    overview,
    texts_of,
    usual_prices,
)
from tandem.insights.failures import FALSE_DISCOVERIES, find_failures
from tandem.insights.findings import Finding, Findings, Group
from tandem.insights.tables import Tables, product_table
from tandem.retrieval.encoders import load_encoder
from tandem.simulate.shoppers import WAYS, Break, Shop
from tandem.storage.atomic import write_json_atomic
from tandem.storage.catalog import CatalogWriter, read_products
from tandem.storage.events import EventStore
from tandem.storage.layout import Layout

REPORT = "insights.json"
SIMULATED = "simulated-"  # how the query ids of simulated shoppers begin
SHOWN = 10
RELEVANCE = "nDCG@10"
PRECISION = "P@10"
Answers = Mapping[str, Sequence[Hit]]
Verdict = Literal["helps", "no difference seen", "harms", "cannot be tried offline"]


@dataclass(frozen=True)
class InsightReport:
    """What `tandem insights` says. `health`: shares over all searches; `funnels`: how far they get,
    by language and device; `position`: click-through and examination by place."""

    workspace: str
    simulated: bool
    made: datetime
    found: Findings
    health: dict[str, Any]
    funnels: list[dict[str, Any]]
    position: dict[str, Any]
    drift: Drift

    def to_json(self) -> dict[str, Any]:
        found = self.found
        return {
            "workspace": self.workspace,
            "simulated": self.simulated,
            "made": self.made.isoformat(),
            "period": {"from": _moment(found.started), "to": _moment(found.ended)},
            "sessions": found.sessions,
            "searches": found.searches,
            "tests": found.tests,
            "false_discovery_rate": FALSE_DISCOVERIES,
            "currency": found.currency,
            "health": self.health,
            "funnels": self.funnels,
            "position": self.position,
            "drift": self.drift.to_json(),
            "findings": [
                {"rank": rank, **f.to_json()} for rank, f in enumerate(found.findings, start=1)
            ],
        }


@dataclass(frozen=True)
class Simulation:
    """A simulated shop: how many products and events, and what is broken for whom."""

    workspace: str
    products: int
    events: int
    broken: tuple[Break, ...]

    def to_json(self) -> dict[str, Any]:
        return {"simulated": True, **asdict(self)}


@dataclass(frozen=True)
class Trial:
    """What became of trying a fix offline.

    verdict: `helps` and `harms` only where the interval of the difference leaves out 0.
    measures: each with what it was measured on (`judgments`, `what shoppers chose`, …), before,
    after, the difference with its 95 % interval, and p where there is a test.
    """

    id: str
    verdict: Verdict
    reason: str
    measures: tuple[dict[str, Any], ...]
    simulated: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def simulate_shop(
    root: Path,
    sessions: int,
    *,
    seed: int = 0,
    broken: Sequence[str] = (),
    products: int = 6_000,
    days: int = 28,
) -> Simulation:
    """Make a workspace of simulated products with stored events of simulated shoppers in it, and
    an index without vectors. broken: out of `WAYS`, or `all`. InvalidInput for any other, and for
    too few products for anybody to search for."""
    ways = WAYS if "all" in broken else tuple(broken)
    for way in ways:
        if way not in WAYS:
            raise InvalidInput(
                f"search cannot be broken as '{way}'",
                field="broken",
                remedy=f"use: all, {', '.join(WAYS)}",
            )
    try:
        shop = Shop(products, seed=seed, broken=ways, days=days)
    except ValueError as error:
        raise InvalidInput(str(error), field="products", remedy="simulate 600 or more") from None
    layout = create_workspace(root, encoder=None, simulated=True)
    with layout.writing(), CatalogWriter(layout, source={"simulated": True}) as writer:
        for product in shop.products:
            writer.add(product)
    store = EventStore(layout)
    count = 0
    try:
        for table, _, _ in shop.visits(sessions):
            for batch in table.to_batches(max_chunksize=20_000):
                rows = cast("list[AdmittedEvent]", batch.to_pylist())
                store.append(rows)
                count += len(rows)
        store.compact()
    finally:
        store.close()
    build_index(layout)
    return Simulation(str(layout.root), len(shop.products), count, shop.broken)


def report_insights(
    layout: Layout,
    events: Sequence[Path] = (),
    *,
    engine: str | None = None,
    actor: str | None = None,
) -> InsightReport:
    """Look for failures in the stored events of a workspace, or in Parquet files of `AdmittedEvent`
    rows; the report is kept in the workspace. engine: where the batch jobs run, `duckdb` or
    `spark`; by default as `tandem.toml` says. actor: who asks, for the audit log; by default the
    user of the system. NotFound where there are no events."""
    with event_tables(layout, events, engine, actor) as tables:
        report = _report(layout, tables)
    write_json_atomic(layout.reports / REPORT, report.to_json())
    return report


def kept_report(layout: Layout) -> dict[str, Any]:
    """The last report, as JSON. NotFound before the first, InvalidInput if it cannot be read."""
    file = layout.reports / REPORT
    try:
        report: dict[str, Any] = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise NotFound(
            "there is no insight report yet", remedy=f"run: tandem insights -w {layout.root}"
        ) from None
    except ValueError as error:
        raise InvalidInput(
            f"not valid JSON: {error}", file=str(file), remedy="run tandem insights again"
        ) from None
    return report


def try_fix(
    layout: Layout,
    finding_id: str,
    events: Sequence[Path] = (),
    *,
    engine: str | None = None,
    actor: str | None = None,
) -> Trial:
    """Try the fix of one finding offline. engine, actor: as for `report_insights`. NotFound for an
    id that the events do not give."""
    with event_tables(layout, events, engine, actor) as tables:
        report = _report(layout, tables)
        found = [f for f in report.found.findings if f.id == finding_id]
        if not found:
            raise NotFound(
                f"no finding '{finding_id}' in these events",
                remedy=f"choose one of those that `tandem insights -w {layout.root}` lists",
            )
        verdict, reason, measures = _try(layout, tables, found[0])
    return Trial(finding_id, verdict, reason, measures, report.simulated)


def propose_fix(
    layout: Layout,
    finding_id: str,
    events: Sequence[Path] = (),
    *,
    why: str,
    engine: str | None = None,
    actor: str | None = None,
) -> str:
    """Keep the fix of one finding as a candidate generation of the rules; its name. NotFound for
    an id that the events do not give, InvalidInput for a fix that is neither synonym nor rule."""
    who = actor or os_actor()
    with event_tables(layout, events, engine, who) as tables:
        found = {f.id: f for f in find_failures(tables).findings}
    if finding_id not in found:
        raise NotFound(
            f"no finding '{finding_id}' in these events",
            remedy=f"choose one of those that `tandem insights -w {layout.root}` lists",
        )
    return propose(layout, fix_of(found[finding_id]), who=who, why=why, finding=finding_id)


def promote_proposed(
    layout: Layout,
    generation: str,
    test: str | None,
    *,
    why: str,
    override: Sequence[str] = (),
    approved_by: str | None = None,
    actor: str | None = None,
) -> Decision:
    """Ask the gates for a proposed fix: on people's judgments or, where they are few, on what
    shoppers chose in the stored events. test: name of a kept analysis. NotFound for no such one."""
    who = actor or os_actor()
    trial = TrialOfFix(None, "nobody named one")
    if test is not None:
        kept = {a["name"]: a for a in kept_analyses(layout)}
        if test not in kept:
            raise NotFound(
                f"no kept A/B test '{test}'", remedy=f"there is: {', '.join(kept) or 'none'}"
            )
        decision = kept[test]["decision"]
        trial = TrialOfFix(decision["verdict"], f"{decision['because']} ('{test}')")
    with Workspace(layout) as shop:
        judged = shop.judgment_list()
    if len(judged.queries) < MIN_QUERIES:
        with event_tables(layout, (), None, who) as tables:
            find_failures(tables)  # it makes the tables of what was chosen
            judged = judgments_from_logs(tables, Group())
    return promote_fix(
        layout,
        generation,
        judged,
        trial,
        who=who,
        why=why,
        override=override,
        approved_by=approved_by,
    )


class InsightDesk:
    """Insight into one workspace, as the server asks for it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def report(self) -> dict[str, Any]:
        """The last report of `tandem insights`. NotFound before the first."""
        return kept_report(self._layout)

    def try_fix(self, finding_id: str, *, actor: str) -> dict[str, Any]:
        """Try the fix of a finding on stored events. actor: who asks, for the audit log."""
        return try_fix(self._layout, finding_id, actor=actor).to_json()


@contextmanager
def event_tables(
    layout: Layout, events: Sequence[Path], engine: str | None, actor: str | None
) -> Iterator[Tables]:
    """Tables over what may be read for analytics; the reading is recorded in the audit log."""
    for file in events:
        if not file.is_file():
            raise InvalidInput("no such file", file=str(file), remedy="check the name")
    settings = layout.settings()
    with tempfile.TemporaryDirectory(prefix="tandem-insights-") as scratch:
        folder = Path(scratch)
        runs_on = engine_named(engine or settings.engine, folder, settings.spark)
        with Tables(spill=folder, engine=runs_on) as tables:
            yield _filled(tables, layout, events, actor)


def _filled(tables: Tables, layout: Layout, events: Sequence[Path], actor: str | None) -> Tables:
    reader = EventReader(layout, Purpose.ANALYTICS, actor=actor or os_actor())
    if events:
        tables.files(events, "named")
        reader.view(tables.db, "named", "allowed")
        tables.build("allowed")
    else:
        with reader.reading() as allowed:
            if not allowed.stored:
                raise NotFound(
                    f"no events in {layout.root}",
                    remedy="send some (POST /v1/events), or name files with --events",
                )
            allowed.view(tables.db, "allowed")
            tables.build("allowed")
    if layout.catalog.live() is not None:
        products = [p for batch in read_products(layout) for p in batch]
        tables.catalogue(product_table(products))
    encoder = load_encoder(layout.settings().encoder, layout.root)
    if encoder is not None and (alike := meanings(tables, encoder)):
        tables.meanings(alike)
    return tables


def _report(layout: Layout, tables: Tables) -> InsightReport:
    found = find_failures(tables)
    bias, onward = position_bias(tables), cascade(tables)
    (marked,) = tables.rows(
        f"SELECT coalesce(bool_or(starts_with(query_id, '{SIMULATED}')), FALSE) AS it FROM searches"
    )
    return InsightReport(
        workspace=str(layout.root),
        simulated=bool(marked["it"]) or layout.settings().simulated,
        made=datetime.now(UTC),
        found=found,
        health=overview(tables),
        funnels=funnels_over_all(tables),
        position={
            "click_through": ctr_by_position(tables),
            "examination": _numbers(bias.examination),
            "continuation": _numbers(onward.continuation),
        },
        drift=_with_the_rest(drift(tables), layout),
    )


def _with_the_rest(found: Drift, layout: Layout) -> Drift:
    """Drift of what is in no event, after that of the events."""
    return replace(found, alerts=(*found.alerts, *watched(layout)))


def _numbers(values: Any) -> list[float | None]:
    return [None if np.isnan(v) else round(float(v), 4) for v in values]


def _moment(microseconds: int | None) -> str | None:
    if microseconds is None:
        return None
    return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat()


# --- Trying ---------------------------------------------------------------------------------------


def _try(
    layout: Layout, tables: Tables, finding: Finding
) -> tuple[Verdict, str, tuple[dict[str, Any], ...]]:
    fix = finding.fix
    if fix.kind == "retraining_example":
        return _try_order(tables, finding)
    if fix.kind not in ("synonym", "rule"):
        return "cannot be tried offline", "Whether it helps is not in what shoppers did so far.", ()
    chosen = judgments_from_logs(tables, finding.group)
    texts = texts_of(tables, finding.group)
    measures = []
    with Workspace(layout) as shop:
        before = answers_of(shop.view, texts)
        after = answers_of(with_fix(shop.view, layout, fix_of(finding)), texts)
        for judged in (_judged_like(shop, texts), chosen):
            if any(any(r.values()) for r in judged.by_query.values()):
                measures.append(compared(before, after, judged, RELEVANCE))
        judged = _fitting(tables, finding, before, after)
        if any(any(r.values()) for r in judged.by_query.values()):
            measures.append(compared(before, after, judged, PRECISION))
    if fix.kind == "synonym":
        measures.append(_answered(texts, before, after))
    if not measures:
        return (
            "cannot be tried offline",
            "Nothing is known of what these shoppers wanted: no judgment, and nothing chosen.",
            (),
        )
    better = [m for m in measures if m["low"] > 0]
    worse = [m for m in measures if m["high"] < 0]
    if worse:
        return "harms", _said(worse[0], "fewer", "worse"), tuple(measures)
    if better:
        return "helps", _said(better[0], "more", "better"), tuple(measures)
    return (
        "no difference seen",
        "The search as it is now answers these queries no worse without it.",
        tuple(measures),
    )


def _said(measure: dict[str, Any], quantity: str, quality: str) -> str:
    """A difference in plain words."""
    if measure["measure"] == RELEVANCE:
        return f"The first ten results fit {quality}: {measure['on']}."
    if measure["measure"] == PRECISION:
        return f"There is {quantity} among the first ten results of: {measure['on']}."
    return f"There are {quantity} searches that find anything at all."


def answers_of(view: View, texts: Iterable[str]) -> Answers:
    return {q: answer(view, SearchRequest(q=q, size=SHOWN)).hits for q in texts}


def _answered(texts: Mapping[str, int], before: Answers, after: Answers) -> dict[str, Any]:
    """The share of the group's searches that get any result: counted, so without an interval."""
    had, has = (
        sum(n for q, n in texts.items() if a[q]) / sum(texts.values()) for a in (before, after)
    )
    return {
        "on": "these searches",
        "measure": "have a result",
        "queries": len(texts),
        "before": had,
        "after": has,
        "difference": has - had,
        "low": has - had,
        "high": has - had,
        "p_value": None,
    }


def _fitting(tables: Tables, finding: Finding, *answers: Answers) -> JudgmentList:
    """Whether what is shown is what the cause says is lacking: of the category that shoppers chose
    from in the end, in stock, or at a usual price."""
    texts = list(answers[0])
    wanted = categories_wanted(tables, texts)
    usual = usual_prices(tables)

    def fits(query: str, product: Product) -> bool | None:
        category = " > ".join(product.category)
        if finding.cause == "out_of_stock":
            return product.stock is None or product.stock > 0
        if finding.cause == "price_mismatch":
            price, like = product.price, usual.get(category)
            return None if price is None or like is None else float(price.amount) <= like
        return category == wanted[query] if query in wanted else None

    judged = {
        q: {
            hit.product.id: int(fit)
            for shown in answers
            for hit in shown[q]
            if (fit := fits(q, hit.product)) is not None
        }
        for q in texts
    }
    names = {"out_of_stock": "what can be bought", "price_mismatch": "usual prices"}
    name = names.get(finding.cause, "the category that shoppers chose from")
    return JudgmentList({q: products for q, products in judged.items() if products}, name)


def _judged_like(shop: Workspace, texts: Iterable[str]) -> JudgmentList:
    """The workspace's judgments of the same queries; empty where there are none."""
    judged = shop.judgment_list()
    known = {q.casefold(): q for q in judged.queries}
    return JudgmentList({t: judged.by_query[known[t]] for t in texts if t in known}, "judgments")


def compared(before: Answers, after: Answers, judged: JudgmentList, measure: str) -> dict[str, Any]:
    from tandem.experiments.offline import evaluate

    runs = [
        Run(
            name,
            {q: [ScoredProduct(h.product.id, h.score) for h in shown[q]] for q in judged.queries},
        )
        for name, shown in (("before", before), ("after", after))
    ]
    evaluation = evaluate(runs, judged, [measure], condensed=False, bootstrap=2_000)
    comparison = evaluation.comparison("after", measure)
    return {
        "on": judged.name,
        "measure": measure,
        "queries": len(evaluation.queries),
        "before": evaluation["before"].estimates[measure].mean,
        "after": evaluation["after"].estimates[measure].mean,
        "difference": comparison.difference.mean,
        "low": comparison.difference.low,
        "high": comparison.difference.high,
        "p_value": comparison.p_value,
    }


def _try_order(tables: Tables, finding: Finding) -> tuple[Verdict, str, tuple[dict[str, Any], ...]]:
    held = held_out_order(tables, finding.group)
    if held is None:
        return "cannot be tried offline", "There are too few searches to hold some out.", ()
    measure = {
        "on": "held-out searches",
        "measure": "clicks per search",
        "queries": held.searches,
        "before": held.shown,
        "after": held.shown + held.gain.estimate,
        "difference": held.gain.estimate,
        "low": held.gain.low,
        "high": held.gain.high,
        "p_value": None,
    }
    verdict: Verdict = "no difference seen"
    if held.gain.low > 0:
        verdict = "helps"
    elif held.gain.high < 0:
        verdict = "harms"
    return (
        verdict,
        "The order that half of the searches suggest, on the lists of the other half.",
        (measure,),
    )
