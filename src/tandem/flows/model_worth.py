"""What a ranking model is worth in money, from the experiments in which shoppers had it."""

from __future__ import annotations

from datetime import timedelta

import duckdb

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput
from tandem.contracts.events import QUERY_ACTION
from tandem.contracts.experiment import OnlineExperiment, Variant
from tandem.flows.experiment import analyse_table
from tandem.flows.experimenting import SECOND, book_of, exposed
from tandem.governance.reading import EventReader
from tandem.reports.promotion import ModelWorth
from tandem.storage.layout import Layout

DAYS = 28
YEAR = 365
METRIC = "sales_per_search=revenue/searches"
_FEW = (
    "Too few shoppers who searched have had it in “{test}”. Wait until the test has more of them."
)
_UNKNOWN = "In “{test}” the worth of some orders was not recorded, so their sum is not known."
_UNHEALTHY = "In “{test}” the groups are not as big as planned. Its figures cannot be trusted."


def model_worth(layout: Layout, generation: str, *, actor: str) -> ModelWorth:
    """From the newest experiment or canary of the model: sales a search with it minus without, by
    the confidence sequence, times the searches of a year (those of the last four weeks of events).

    actor: who asks, for the audit log.
    """
    currency = layout.settings().currency
    mine = [
        (e, v)
        for e in book_of(layout).experiments
        for v in e.variants[1:]
        if v.configuration.model == generation
    ]
    if not mine:
        return ModelWorth(currency)
    experiment, variant = max(mine, key=lambda pair: pair[0].started)
    return _worth(layout, experiment, variant, actor)


def _worth(
    layout: Layout, experiment: OnlineExperiment, variant: Variant, actor: str
) -> ModelWorth:
    currency, control = layout.settings().currency, experiment.variants[0]

    def not_known(why: str) -> ModelWorth:
        return ModelWorth(currency, experiment.name, why_not=why.format(test=experiment.name))

    table = exposed(layout, experiment, actor=actor).table
    pair = table[table["variant"].isin((control.name, variant.name))]
    if not len(pair):
        return not_known(_FEW)
    if pair["revenue"].isna().any():
        return not_known(_UNKNOWN)
    try:
        analysis = analyse_table(
            pair.drop(columns="since"),
            experiment.name,
            control=control.name,
            treatment=variant.name,
            success=(METRIC,),
            shares=(control.weight, variant.weight),
            planned=experiment.planned,
        )
    except InvalidInput:  # an arm without people
        return not_known(_FEW)
    if analysis.sample_ratio.mismatch:
        return not_known(_UNHEALTHY)
    e = analysis.effects["sales_per_search"]
    searches = _searches_a_year(layout, actor)
    if not e.always_low < e.always_high or not searches:
        return not_known(_FEW)
    return ModelWorth(
        currency,
        experiment.name,
        analysis.units,
        searches,
        e.difference * searches,
        e.always_low * searches,
        e.always_high * searches,
        analysis.simulated,
        why_not="",
    )


def _searches_a_year(layout: Layout, actor: str) -> int:
    """Searches of the last `DAYS` days of events, for a whole year."""
    with (
        duckdb.connect() as db,
        EventReader(layout, Purpose.ANALYTICS, actor=actor).reading() as events,
    ):
        if not events.stored:
            return 0
        events.view(db, "allowed")
        found = db.execute(
            "SELECT count(DISTINCT query_id), (max(timestamp) - min(timestamp)) / ? FROM allowed"
            " WHERE traffic = 'shopper' AND action_name = ? AND timestamp > (SELECT max(timestamp)"
            " FROM allowed WHERE traffic = 'shopper') - ?",
            [
                timedelta(days=1).total_seconds() * SECOND,
                QUERY_ACTION,
                int(timedelta(days=DAYS).total_seconds()) * SECOND,
            ],
        ).fetchone()
    if found is None or not found[0]:
        return 0
    # A shop that has recorded for less than four weeks has not searched for four weeks.
    return round(float(found[0]) * YEAR / min(max(float(found[1]), 1.0), DAYS))
