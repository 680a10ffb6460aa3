"""Experiments in a running shop: start, widen, stop, and what the stored events say of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from pydantic import ValidationError

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import Conflict, InvalidInput, NotFound
from tandem.contracts.events import EXPOSURE_ACTION, QUERY_ACTION
from tandem.contracts.experiment import (
    BUCKETS,
    COLUMNS,
    ArmHealth,
    ExperimentBook,
    ExperimentStanding,
    Exploration,
    OnlineExperiment,
    Variant,
)
from tandem.contracts.running import Change
from tandem.experiments.abtest.analysis import Analysis
from tandem.experiments.abtest.health import sample_ratio
from tandem.flows.experiment import analyse_table
from tandem.governance.admission import FUTURE
from tandem.governance.reading import EventReader
from tandem.registry.experiments import Experiments
from tandem.storage.layout import Layout

if TYPE_CHECKING:
    import pandas as pd

SECOND = 1_000_000  # of microseconds
# A sender's clock that is off by less than the door corrects may put a search before its exposure.
CLOCKS = 60 * SECOND
BEFORE = 28 * 24 * 3600 * SECOND
TOLD_SECONDS = 30.0
SYSTEMS = ("bm25", "dense", "hybrid", "ltr", "cross")


def start(
    layout: Layout,
    name: str,
    variants: Sequence[Variant],
    *,
    who: str,
    why: str,
    layer: str = "search",
    share: float = 1.0,
    ramp: float = 1.0,
    success: Sequence[str] = (),
    guardrails: Sequence[str] = (),
    planned: int = 10_000,
    alpha: float = 0.05,
) -> OnlineExperiment:
    """Start an experiment; servers of the shop take it up within seconds.

    The first variant is the control. share: of the layer's buckets that it owns; ramp: the share
    of those units that takes part. Raises InvalidInput, NotFound for a model that is not there,
    Conflict when the name was used before, when the layer has not so much room, or when an
    experiment of another layer sets the same.
    """
    for v in variants:
        for kind, generation in v.configuration.generations.items():
            layout.generations(kind).path(generation)
        if v.configuration.ranker not in (None, *SYSTEMS):
            raise InvalidInput(
                f"no system '{v.configuration.ranker}'",
                field="variant",
                remedy=f"use one of: {', '.join(SYSTEMS)}",
            )
    now = datetime.now(UTC)
    values = {
        "name": name,
        "layer": layer,
        "size": max(1, round(share * BUCKETS)),
        "ramp": ramp,
        "variants": tuple(variants),
        "planned": planned,
        "alpha": alpha,
        "started": now,
        "changes": (Change(at=now, who=who, what="started", why=why),),
        **({"success": tuple(success)} if success else {}),
        **({"guardrails": tuple(guardrails)} if guardrails else {}),
    }
    try:
        made = OnlineExperiment.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(
            first["msg"], field=".".join(map(str, first["loc"])) or "variants", remedy="correct it"
        ) from None
    if not made.touched:
        raise InvalidInput(
            "its variants are the same search",
            field="variants",
            remedy="give one a ranker or a model of its own, say treatment=ltr@GENERATION",
        )
    for text in (*made.success, *made.guardrails):
        _known_metric(text)
    book = Experiments(layout.experiments_file).change(lambda book: placed(book, made))
    return book.experiments[-1]


def placed(book: ExperimentBook, made: OnlineExperiment) -> ExperimentBook:
    """The book with an experiment in the first free buckets of its layer."""
    if any(e.name == made.name for e in book.experiments):
        raise Conflict(
            f"there was an experiment '{made.name}' before",
            remedy="choose another name: under an old one, old exposures would count",
        )
    running = book.running()
    for e in running:
        same = sorted(e.touched & made.touched)
        if same and e.layer != made.layer and "canary" not in (e.kind, made.kind):
            raise Conflict(
                f"'{e.name}' in layer '{e.layer}' sets {', '.join(same)} too",
                remedy=f"put it into the layer '{e.layer}', where they exclude each other",
            )
    found = made.model_copy(update={"first": _free(running, made)})
    return book.model_copy(update={"experiments": (*book.experiments, found)})


def _free(running: Sequence[OnlineExperiment], made: OnlineExperiment) -> int:
    """The first bucket from which on the layer has room for `made`."""
    first = 0
    for e in sorted((e for e in running if e.layer == made.layer), key=lambda e: e.first):
        if e.first - first >= made.size:
            return first
        first = e.first + e.size
    if first + made.size > BUCKETS:
        raise Conflict(
            f"layer '{made.layer}' has no room for {made.size / BUCKETS:.0%}",
            remedy="stop an experiment of it, or start this one with a smaller share",
        )
    return first


def stop(layout: Layout, name: str, *, who: str, why: str) -> OnlineExperiment:
    """The kill switch: from the next second on everybody is served as if it did not exist."""
    return _edited(layout, name, lambda e: ended(e, who, why))


def ended(e: OnlineExperiment, who: str, why: str) -> OnlineExperiment:
    """Stopped as of now. Conflict where it is already."""
    if e.state == "stopped":
        raise Conflict(f"'{e.name}' is stopped already", remedy="start one under another name")
    now = datetime.now(UTC)
    change = Change(at=now, who=who, what="stopped", why=why)
    return e.model_copy(update={"state": "stopped", "ended": now, "changes": (*e.changes, change)})


def widen(layout: Layout, name: str, ramp: float, *, who: str, why: str) -> OnlineExperiment:
    """Let more units take part: nobody changes variant. Conflict for fewer: stop it instead."""

    def wider(e: OnlineExperiment) -> OnlineExperiment:
        if e.state == "stopped" or not e.ramp <= ramp <= 1:
            raise Conflict(
                f"'{name}' is {e.state}, with a ramp of {e.ramp:g}",
                remedy="a running one can be widened up to 1; to narrow it, stop it",
            )
        what = f"ramp {e.ramp:g} → {ramp:g}"
        change = Change(at=datetime.now(UTC), who=who, what=what, why=why)
        return e.model_copy(update={"ramp": ramp, "changes": (*e.changes, change)})

    return _edited(layout, name, wider)


def _edited(
    layout: Layout, name: str, edit: Callable[[OnlineExperiment], OnlineExperiment]
) -> OnlineExperiment:
    changed: list[OnlineExperiment] = []

    def whole(book: ExperimentBook) -> ExperimentBook:
        if not any(e.name == name for e in book.experiments):
            known = ", ".join(e.name for e in book.experiments)
            raise NotFound(f"no experiment '{name}'", remedy=f"there is: {known or 'none'}")
        found = tuple(edit(e) if e.name == name else e for e in book.experiments)
        changed.extend(e for e in found if e.name == name)
        return book.model_copy(update={"experiments": found})

    Experiments(layout.experiments_file).change(whole)
    return changed[0]


def explore(layout: Layout, policy: Exploration | None) -> None:
    """Turn exploration on or, with None, off."""
    Experiments(layout.experiments_file).change(
        lambda book: book.model_copy(update={"exploration": policy})
    )


def hold_out(layout: Layout, share: float) -> None:
    """Keep a share of all units out of every experiment. Conflict while one is running: units
    would leave it."""
    if not 0 <= share < 1:
        raise InvalidInput(f"{share}", field="holdout", remedy="give a share below 1")

    def edit(book: ExperimentBook) -> ExperimentBook:
        if book.running() and book.holdout != share:
            raise Conflict(
                "experiments are running, and units would leave them",
                remedy="change the holdout between experiments",
            )
        return book.model_copy(update={"holdout": share})

    Experiments(layout.experiments_file).change(edit)


def book_of(layout: Layout) -> ExperimentBook:
    """The book; an empty one before the first experiment."""
    return Experiments(layout.experiments_file).book() or ExperimentBook(salt="")


def experiment_of(layout: Layout, name: str) -> OnlineExperiment:
    """NotFound without it."""
    found = {e.name: e for e in book_of(layout).experiments}
    if name not in found:
        raise NotFound(f"no experiment '{name}'", remedy=f"there is: {', '.join(found) or 'none'}")
    return found[name]


# --- What the events say --------------------------------------------------------------------------


@dataclass(frozen=True)
class Exposed:
    """One row per exposed unit, as `tandem experiment analyse` reads it."""

    table: pd.DataFrame
    crossed: int


def exposed(layout: Layout, experiment: OnlineExperiment, *, actor: str) -> Exposed:
    """Units by first exposure with what they did from then on, and in the four weeks before.

    Only of whom analytics may read; bots and staff are left out; units that saw two variants are
    left out and counted. actor: who asks, for the audit log.
    """
    import duckdb

    currency = layout.settings().currency
    # While it runs, an event may lie as far ahead of our clock as the door lets it.
    until = experiment.ended or datetime.now(UTC) + timedelta(microseconds=FUTURE)
    reader = EventReader(layout, Purpose.ANALYTICS, actor=actor)
    connection = duckdb.connect()
    try:
        with reader.reading() as events:
            if not events.stored:
                return Exposed(_nobody(), 0)
            events.view(connection, "allowed")
            connection.execute(
                "CREATE TEMP TABLE first AS SELECT client AS unit,"
                " min(split_part(object_id, ':', 2)) AS variant,"
                " count(DISTINCT object_id) AS variants, min(timestamp) AS since"
                " FROM allowed WHERE traffic = 'shopper' AND action_name = ?"
                " AND split_part(object_id, ':', 1) = ? GROUP BY client",
                [EXPOSURE_ACTION, experiment.name],
            )
            crossed = connection.execute("SELECT count(*) FROM first WHERE variants > 1").fetchone()
            after, before = (
                ", ".join(counted(prefix, when, currency))
                for prefix, when in (
                    ("", f"e.timestamp >= since - {CLOCKS}"),
                    ("pre_", f"e.timestamp < since - {CLOCKS} AND e.timestamp >= since - {BEFORE}"),
                )
            )
            table = connection.execute(
                f"SELECT unit, variant, any_value(since) AS since, {after}, {before},"
                " coalesce(any_value(e.device), 'unknown') AS device,"
                " coalesce(any_value(e.language), 'unknown') AS language,"
                " coalesce(bool_or(starts_with(e.query_id, 'simulated-')), FALSE) AS simulated"
                " FROM first LEFT JOIN allowed e ON e.client = unit AND e.traffic = 'shopper'"
                " AND e.timestamp <= ? WHERE variants = 1 GROUP BY unit, variant ORDER BY unit",
                [int(until.timestamp() * SECOND)],
            ).df()
    finally:
        connection.close()
    table["simulated"] = table["simulated"].astype(bool) | layout.settings().simulated
    return Exposed(table, int(crossed[0]) if crossed else 0)


def counted(prefix: str, when: str, currency: str) -> list[str]:
    """SQL of `COLUMNS` over the events `when`. One purchase of unknown worth: so is the revenue."""

    def of(action: str) -> str:
        return f"FILTER (e.action_name = '{action}' AND {when})"

    worth = f"CASE WHEN e.currency = '{currency}' THEN TRY_CAST(e.amount AS DOUBLE) END"
    unknown = f"count(*) FILTER (e.action_name = 'purchase' AND {when} AND ({worth}) IS NULL)"
    columns = {
        "searches": f"count(DISTINCT e.query_id) {of(QUERY_ACTION)}",
        "searches_clicked": f"count(DISTINCT e.query_id) {of('click')}",
        "clicks": f"count(*) {of('click')}",
        "carts": f"count(*) {of('add_to_cart')}",
        "orders": f'count(DISTINCT coalesce(e."order", e.event_key)) {of("purchase")}',
        "items": f"coalesce(sum(coalesce(e.quantity, 1)) {of('purchase')}, 0)",
        "revenue": f"CASE WHEN {unknown} = 0 THEN coalesce(sum({worth}) {of('purchase')}, 0) END",
    }
    return [f"CAST({sql} AS DOUBLE) AS {prefix}{name}" for name, sql in columns.items()]


def _nobody() -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"unit": [], "variant": [], "since": [], "simulated": []})


def standing(layout: Layout, experiment: OnlineExperiment, *, actor: str) -> ExperimentStanding:
    """Health first, then what each treatment shows so far; valid however often it is asked."""
    found = exposed(layout, experiment, actor=actor)
    table = found.table
    simulated = layout.settings().simulated or bool(len(table) and table["simulated"].any())
    if not len(table):
        return ExperimentStanding(experiment=experiment, simulated=simulated)
    analyses = {}
    for variant in experiment.variants[1:]:
        with suppress(InvalidInput):  # an arm without units
            analyses[variant.name] = _analysed(experiment, table, variant)
    shares = {v.name: v.weight for v in experiment.variants}
    health = sample_ratio(
        _sizes(table),
        shares,
        {
            (column, str(value)): _sizes(part)
            for column in ("device", "language")
            for value, part in table.groupby(column)
        },
    )
    decision = next(iter(analyses.values())).decision if analyses else None
    return ExperimentStanding(
        experiment=experiment,
        health=ArmHealth(
            exposed=health.observed,
            expected=health.expected,
            p=health.p,
            mismatch=health.mismatch,
            segments=health.segments,
            crossed=found.crossed,
        ),
        verdict=decision.verdict if decision else None,
        because=decision.because if decision else None,
        analyses={name: a.to_json() for name, a in analyses.items()},
        simulated=simulated,
    )


def _sizes(table: pd.DataFrame) -> dict[str, int]:
    return {str(v): int(n) for v, n in table["variant"].value_counts().items()}


def _analysed(experiment: OnlineExperiment, table: pd.DataFrame, variant: Variant) -> Analysis:
    control = experiment.variants[0]
    pair = table[table["variant"].isin((control.name, variant.name))].drop(columns="since")
    return analyse_table(
        pair,
        experiment.name,
        control=control.name,
        treatment=variant.name,
        success=experiment.success,
        guardrails=experiment.guardrails,
        shares=(control.weight, variant.weight),
        planned=experiment.planned,
        alpha=experiment.alpha,
        name=experiment.name,
    )


def harm_of(layout: Layout, experiment: OnlineExperiment, *, actor: str) -> str | None:
    """Why an experiment has to end: its sample ratio is off, or a metric got worse, by the
    confidence sequence. None where nothing is shown."""
    found = standing(layout, experiment, actor=actor)
    if found.health is not None and found.health.mismatch:
        return f"its sample ratio does not fit (p = {found.health.p:.1g})"
    for analysis in found.analyses.values():
        decision = analysis["decision"]
        if decision["verdict"] == "do_not_ship" and decision["metric"]:
            e = analysis["metrics"][decision["metric"]]
            return (
                f"{decision['because']}: {e['control']:.4g} → {e['treatment']:.4g} "
                f"[{e['always_low']:+.3g}, {e['always_high']:+.3g}]"
            )
    return None


def _known_metric(text: str) -> None:
    name, _, ratio = text.partition("=")
    parts = (ratio or name).split("/")
    if not name or len(parts) > 2 or any(p not in COLUMNS for p in parts):
        raise InvalidInput(
            f"'{text}' is no metric of a running experiment",
            field="success",
            remedy=f"use NAME=COLUMN/COLUMN, or one of: {', '.join(COLUMNS)}",
        )


class ExperimentDesk:
    """The experiments of one workspace, as the server asks for them. Safe for many threads."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.start = partial(start, layout)
        self._lock = threading.Lock()
        self._told: dict[OnlineExperiment, tuple[float, ExperimentStanding]] = {}

    def standings(self, actor: str) -> list[ExperimentStanding]:
        """Newest first. Told again from memory for `TOLD_SECONDS`, those that have ended for
        good."""
        found = sorted(book_of(self._layout).experiments, key=lambda e: e.started, reverse=True)
        return [self._standing(e, actor) for e in found]

    def standing(self, name: str, actor: str) -> ExperimentStanding:
        return self._standing(experiment_of(self._layout, name), actor)

    def _standing(self, experiment: OnlineExperiment, actor: str) -> ExperimentStanding:
        now = time.monotonic()
        with self._lock:
            read, held = self._told.get(experiment, (0.0, None))
        if held is not None and (experiment.state == "stopped" or now - read < TOLD_SECONDS):
            return held
        found = standing(self._layout, experiment, actor=actor)
        with self._lock:
            self._told = {e: t for e, t in self._told.items() if e.name != experiment.name}
            self._told[experiment] = (now, found)
        return found

    def widen(self, name: str, ramp: float, who: str, why: str) -> OnlineExperiment:
        return widen(self._layout, name, ramp, who=who, why=why)

    def stop(self, name: str, who: str, why: str) -> OnlineExperiment:
        return stop(self._layout, name, who=who, why=why)
