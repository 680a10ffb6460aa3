"""What the stored events say of people by day: for novelty checks, and for planning."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import duckdb

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.events import EXPOSURE_ACTION
from tandem.contracts.experiment import COLUMNS, OnlineExperiment
from tandem.experiments.abtest.planning import Past
from tandem.experiments.abtest.restraint import Novelty
from tandem.flows.designs import novelty_of_table, past_of_table
from tandem.flows.experimenting import CLOCKS, SECOND, counted
from tandem.governance.reading import EventReader
from tandem.storage.layout import Layout

if TYPE_CHECKING:
    import pandas as pd

DAY = 24 * 3600 * SECOND
PLAN_DAYS = 28


def novelty_of_experiment(
    layout: Layout, experiment: OnlineExperiment, metric: str, treatment: str | None, *, actor: str
) -> tuple[Novelty, bool]:
    """The effect on a column by whole days since each person's first exposure, and whether the
    data is simulated. actor: who asks, for the audit log."""
    table = exposed_days(layout, experiment, metric, actor=actor)
    if not len(table):
        raise NotFound(
            f"nobody was exposed to '{experiment.name}' for a whole day yet",
            remedy="wait, or look at: tandem experiment status",
        )
    control = experiment.variants[0].name
    found = novelty_of_table(table, experiment.name, metric, control, treatment)
    return found, bool(table["simulated"].any())


def exposed_days(
    layout: Layout, experiment: OnlineExperiment, metric: str, *, actor: str
) -> pd.DataFrame:
    """One row per exposed person and whole day since the first exposure: unit, variant, day,
    the column `metric` (0 on a day without any event), simulated. Who saw two variants is left
    out."""
    if metric not in COLUMNS:
        raise InvalidInput(
            f"'{metric}' is no column of an experiment",
            field="metric",
            remedy=f"use one of: {', '.join(COLUMNS)}",
        )
    until = int((experiment.ended or datetime.now(UTC)).timestamp() * SECOND)
    reader = EventReader(layout, Purpose.ANALYTICS, actor=actor)
    with duckdb.connect() as db, reader.reading() as events:
        if events.stored:
            events.view(db, "allowed")
        else:
            return _nobody(metric)
        sums = ", ".join(counted("", "TRUE", layout.settings().currency))
        table = db.execute(
            "WITH first AS (SELECT client AS unit, min(split_part(object_id, ':', 2)) AS variant,"
            " min(timestamp) AS since FROM allowed WHERE traffic = 'shopper' AND action_name = ?"
            " AND split_part(object_id, ':', 1) = ? GROUP BY client"
            " HAVING count(DISTINCT object_id) = 1),"
            " days AS (SELECT unit, variant, since,"
            " unnest(range((? - since) // ?)) AS day FROM first),"
            f" happened AS (SELECT unit, (timestamp - since + {CLOCKS}) // ? AS day, {sums},"
            " bool_or(starts_with(e.query_id, 'simulated-')) AS simulated"
            " FROM first JOIN allowed e ON e.client = unit AND e.traffic = 'shopper'"
            f" AND e.timestamp >= since - {CLOCKS} GROUP BY ALL)"
            f" SELECT unit, variant, day, CASE WHEN h.unit IS NULL THEN 0 ELSE {metric} END"
            f" AS {metric}, coalesce(h.simulated, FALSE) AS simulated"
            " FROM days LEFT JOIN happened h USING (unit, day) ORDER BY unit, day",
            [EXPOSURE_ACTION, experiment.name, until, DAY, DAY],
        ).df()
    table["simulated"] |= layout.settings().simulated
    return table


def past_of_people(layout: Layout, metric: str, *, actor: str) -> tuple[Past, int, bool]:
    """What a column was like over the last four weeks of events, by person; new people a
    day, of the days that there are; and whether the data is simulated. NotFound without events."""
    if metric not in COLUMNS:
        raise InvalidInput(
            f"'{metric}' is no column of an experiment",
            field="metric",
            remedy=f"use one of: {', '.join(COLUMNS)}",
        )
    reader = EventReader(layout, Purpose.ANALYTICS, actor=actor)
    with duckdb.connect() as db, reader.reading() as events:
        if not events.stored:
            raise NotFound(f"no events in {layout.root}", remedy="name a file with --file")
        events.view(db, "allowed")
        sums = ", ".join(counted("", "TRUE", layout.settings().currency))
        table = db.execute(
            "WITH ends AS (SELECT max(timestamp) AS at FROM allowed WHERE traffic = 'shopper')"
            f" SELECT client AS unit, {sums},"
            " bool_or(coalesce(starts_with(query_id, 'simulated-'), FALSE)) AS simulated,"
            " min(timestamp) AS first, max(ends.at) AS last"
            " FROM allowed e, ends WHERE traffic = 'shopper' AND timestamp > ends.at - ?"
            " GROUP BY client",
            [int(timedelta(days=PLAN_DAYS).total_seconds()) * SECOND],
        ).df()
    simulated = layout.settings().simulated or bool(table["simulated"].any())
    span = (table["last"].max() - table["first"].min()) / (
        timedelta(days=1).total_seconds() * SECOND
    )
    days = min(PLAN_DAYS, int(span) + 1) if len(table) else 1
    return (
        past_of_table(table, str(layout.root), metric, None),
        max(1, len(table) // days),
        simulated,
    )


def _nobody(metric: str) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"unit": [], "variant": [], "day": [], metric: [], "simulated": []})
