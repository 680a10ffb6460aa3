"""Designs against interference, from files: who gets what, and what came of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tandem.contracts.errors import InvalidInput
from tandem.experiments.abtest.designs import cluster_arms, period_means, switchback
from tandem.experiments.abtest.planning import Past, past
from tandem.experiments.abtest.restraint import Novelty, novelty
from tandem.ingest.tables import read_table

if TYPE_CHECKING:
    import pandas as pd

BURN_IN = 0.25
ARMS = ("control", "treatment")
PLACE, AT, STARTS, ENDS, VARIANT, DAY = "place", "at", "starts", "ends", "variant", "day"
_MOST_DAYS = 366


@dataclass(frozen=True)
class Clusters:
    """clusters: (name, units, variant) in the order of the file."""

    column: str
    clusters: tuple[tuple[str, int, str], ...]

    def to_json(self) -> dict[str, Any]:
        arms = {
            arm: [units for _, units, variant in self.clusters if variant == arm] for arm in ARMS
        }
        return {
            "column": self.column,
            "arms": {a: {"clusters": len(n), "units": sum(n)} for a, n in arms.items()},
            "clusters": [
                {self.column: name, "units": units, "variant": variant}
                for name, units, variant in self.clusters
            ],
        }

    def csv(self) -> str:
        rows = [(name, units, variant) for name, units, variant in self.clusters]
        return _csv([self.column, "units", VARIANT], rows)


def clusters_of(path: Path, column: str, salt: str) -> Clusters:
    """Assign whole clusters: every value of `column` in a file of units. InvalidInput for a column
    that is missing or empty somewhere."""
    table = read_table(path, texts=(column,))
    _columns(table, path, column)
    counts = table[column].value_counts(sort=False)
    names = [str(c) for c in counts.index]
    sizes = [int(n) for n in counts]
    if len(names) < 2:
        raise InvalidInput(
            f"{len(names)} clusters", file=str(path), field=column, remedy="give two or more"
        )
    treated = cluster_arms(salt, names, sizes)
    return Clusters(
        column,
        tuple((c, n, ARMS[int(t)]) for c, n, t in zip(names, sizes, treated, strict=True)),
    )


@dataclass(frozen=True)
class Schedule:
    """Which place has which arm from when to when. rows: (place, starts, ends, variant)."""

    rows: tuple[tuple[str, datetime, datetime, str], ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "places": len({r[0] for r in self.rows}),
            "periods": len(self.rows),
            "treated": sum(r[3] == ARMS[1] for r in self.rows),
            "schedule": [
                {PLACE: p, STARTS: s.isoformat(), ENDS: e.isoformat(), VARIANT: v}
                for p, s, e, v in self.rows
            ],
        }

    def csv(self) -> str:
        return _csv(
            [PLACE, STARTS, ENDS, VARIANT],
            [(p, s.isoformat(), e.isoformat(), v) for p, s, e, v in self.rows],
        )


def schedule_of(
    places: Sequence[str], periods: int, hours: float, start: str, salt: str
) -> Schedule:
    """A switch-back over `periods` of `hours` for each place, from `start` on, as ISO 8601 with an
    offset. Balanced in each pair of periods, by a salted hash."""
    try:
        first = datetime.fromisoformat(start)
    except ValueError:
        first = datetime.min
    if first.tzinfo is None:
        raise InvalidInput(
            f"'{start}' is no time with an offset",
            field="start",
            remedy="write it as 2026-12-01T00:00:00Z",
        )
    names = list(dict.fromkeys(places))
    if not names or periods < 2 or not hours > 0:
        raise InvalidInput(
            f"{len(names)} places, {periods} periods of {hours:g} hours",
            field="periods",
            remedy="name a place or more, two periods or more, and hours above 0",
        )
    treated = switchback(salt, names, periods)
    length = timedelta(hours=hours)
    return Schedule(
        tuple(
            (place, first + t * length, first + (t + 1) * length, ARMS[int(treated[row, t])])
            for row, place in enumerate(names)
            for t in range(periods)
        )
    )


def periods_of(
    table: pd.DataFrame, path: Path, schedule: Path, burn_in: float
) -> tuple[pd.DataFrame, int]:
    """One row per period of a place: `variant`, `place`, and the mean of every number.

    table: observations with `place` and `at`. Also tells how many fell into the first `burn_in` of
    a period after a switch, and were left out. InvalidInput with the line of an observation that
    the schedule does not cover, and for a schedule with gaps or overlaps.
    """
    import pandas as pd

    places, starts, ends, treated = _read_schedule(schedule)
    _columns(table, path, PLACE, AT)
    moments = _moments(table[AT], path, AT)
    row = pd.Series({p: i for i, p in enumerate(places)}).reindex(table[PLACE].astype(str))
    place = row.to_numpy(np.float64)
    period = np.full(len(table), -1, np.int64)
    into = np.zeros(len(table))
    for i in range(len(places)):
        here = place == i
        period[here] = np.searchsorted(starts[i], moments[here], side="right") - 1
        at = np.clip(period[here], 0, None)
        into[here] = (moments[here] - starts[i][at]) / (ends[i][at] - starts[i][at])
    stray = np.flatnonzero((period < 0) | (into >= 1))
    if stray.size:
        line = int(stray[0]) + 2
        raise InvalidInput(
            f"the schedule has no period for '{table[PLACE].iloc[stray[0]]}' at this time"
            f" ({stray.size:,} such rows)",
            file=str(path),
            line=line,
            field=AT,
            remedy="leave out what lies outside the experiment, or give its whole schedule",
        )
    numbers = [
        c for c in table.columns if table[c].dtype.kind in "iufb" and c not in (PLACE, "simulated")
    ]
    if not numbers:
        raise InvalidInput(
            "no column of numbers", file=str(path), field="outcome", remedy="add a metric"
        )
    outcomes = table[numbers].to_numpy(np.float64)
    found = period_means(outcomes, place.astype(np.int64), period, into, treated, burn_in=burn_in)
    made = pd.DataFrame(found.means, columns=numbers)
    made[VARIANT] = np.array(ARMS)[found.treated.astype(int)]
    made[PLACE] = np.array(places)[found.place]
    if "simulated" in table:
        made["simulated"] = bool(table["simulated"].astype(bool).any())
    return made, found.dropped


def _read_schedule(
    path: Path,
) -> tuple[list[str], list[Any], list[Any], np.ndarray[Any, np.dtype[np.bool_]]]:
    table = read_table(path, texts=(PLACE,))
    _columns(table, path, PLACE, STARTS, ENDS, VARIANT)
    stray = np.flatnonzero(~table[VARIANT].isin(ARMS).to_numpy())
    if stray.size:
        raise InvalidInput(
            f"'{table[VARIANT].iloc[stray[0]]}' is no arm",
            file=str(path),
            line=int(stray[0]) + 2,
            field=VARIANT,
            remedy=f"write {' or '.join(ARMS)}",
        )
    table = table.assign(
        **{c: _moments(table[c], path, c) for c in (STARTS, ENDS)},
        **{VARIANT: table[VARIANT] == ARMS[1]},
    )
    places, starts, ends, arms = [], [], [], []
    for place, rows in table.groupby(PLACE, sort=False):
        ordered = rows.sort_values(STARTS)
        s, e = (ordered[c].to_numpy(np.float64) for c in (STARTS, ENDS))
        if (e <= s).any() or (s[1:] != e[:-1]).any():
            raise InvalidInput(
                f"periods of '{place}' do not follow each other",
                file=str(path),
                field=ENDS,
                remedy="let each begin when the one before ends, as `experiment schedule` does",
            )
        places.append(str(place))
        starts.append(s)
        ends.append(e)
        arms.append(ordered[VARIANT].to_numpy(np.bool_))
    if len({len(a) for a in arms}) != 1:
        raise InvalidInput(
            "places have different numbers of periods",
            file=str(path),
            field=PLACE,
            remedy="give every place the same periods",
        )
    return places, starts, ends, np.vstack(arms)


def novelty_of_file(
    path: Path, metric: str, *, control: str = ARMS[0], treatment: str | None = None
) -> tuple[Novelty, bool]:
    """The effect by days since first exposure, and whether the data is simulated.

    One row per unit and day: `variant`, `day` (0 is the day of first exposure) and the metric.
    """
    table = read_table(path)
    _columns(table, path, VARIANT, DAY, metric)
    simulated = "simulated" in table and bool(table["simulated"].astype(bool).any())
    return novelty_of_table(table, str(path), metric, control, treatment), simulated


def novelty_of_table(
    table: pd.DataFrame, file: str, metric: str, control: str, treatment: str | None
) -> Novelty:
    variants = table[VARIANT].astype(str)
    others = sorted(set(variants) - {control})
    if treatment is None and len(others) == 1:
        treatment = others[0]
    if treatment not in others or control not in set(variants):
        raise InvalidInput(
            f"variants: {', '.join(sorted(set(variants)))}",
            file=file,
            field=VARIANT,
            remedy="name the two to compare with --control and --treatment",
        )
    day = table[DAY].to_numpy(np.float64)
    wrong = np.flatnonzero(~((day >= 0) & (day < _MOST_DAYS) & (day == np.floor(day))))
    if wrong.size:
        raise InvalidInput(
            f"'{table[DAY].iloc[wrong[0]]}' is no day since the first exposure",
            file=file,
            line=int(wrong[0]) + 2,
            field=DAY,
            remedy=f"write whole days from 0 on, below {_MOST_DAYS}",
        )
    if table[metric].dtype.kind not in "iufb":
        raise InvalidInput("no numbers", file=file, field=metric, remedy="name a column of numbers")
    values = table[metric].to_numpy(np.float64)
    chosen = (variants.isin((control, treatment)) & ~np.isnan(values)).to_numpy()
    return novelty(
        values[chosen], day[chosen].astype(np.int64), (variants == treatment).to_numpy()[chosen]
    )


def past_of_file(path: Path, metric: str, cluster: str | None = None) -> tuple[Past, bool]:
    """What a metric was like, from a file with one row per unit, and whether the data is simulated;
    `pre_METRIC` is its covariate."""
    table = read_table(path, texts=(cluster,) if cluster else ())
    _columns(table, path, metric, *([cluster] if cluster else []))
    simulated = "simulated" in table and bool(table["simulated"].astype(bool).any())
    return past_of_table(table, str(path), metric, cluster), simulated


def past_of_table(table: pd.DataFrame, file: str, metric: str, cluster: str | None) -> Past:
    if table[metric].dtype.kind not in "iufb":
        raise InvalidInput("no numbers", file=file, field=metric, remedy="name a column of numbers")
    before = f"pre_{metric}"
    return past(
        table[metric].to_numpy(np.float64),
        table[before].to_numpy(np.float64) if before in table and cluster is None else None,
        table[cluster].astype(str).to_numpy() if cluster is not None else None,
    )


def _columns(table: pd.DataFrame, path: Path, *names: str) -> None:
    for name in names:
        if name not in table:
            raise InvalidInput(
                "the column is missing",
                file=str(path),
                field=name,
                remedy=f"columns: {', '.join(map(str, table.columns))}",
            )
        empty = np.flatnonzero(table[name].isna().to_numpy())
        if empty.size and name in (PLACE, AT, STARTS, ENDS, VARIANT, DAY):
            raise InvalidInput(
                "empty", file=str(path), line=int(empty[0]) + 2, field=name, remedy="fill it in"
            )


def _moments(column: Any, path: Path, field: str) -> Any:
    """Seconds since 1970 (n,). InvalidInput with the line of what is no time with an offset."""
    seconds = np.empty(len(column))
    for number, value in enumerate(column):
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        except ValueError:
            moment = datetime.min
        if moment.tzinfo is None:
            raise InvalidInput(
                f"'{value}' is no time with an offset",
                file=str(path),
                line=number + 2,
                field=field,
                remedy="write it as 2026-12-01T12:00:00Z",
            )
        seconds[number] = moment.astimezone(UTC).timestamp()
    return seconds


def _csv(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()
