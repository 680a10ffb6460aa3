"""Experiments from files: one row per unit in, an analysis out."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tandem.contracts.errors import InvalidInput
from tandem.experiments.abtest.analysis import Analysis, Design, analyse
from tandem.experiments.abtest.effects import Metric
from tandem.experiments.abtest.summary import Array
from tandem.experiments.agreement import Agreement, agreement
from tandem.flows.designs import BURN_IN, periods_of
from tandem.ingest.tables import read_table
from tandem.reports.experiment import decided
from tandem.storage.atomic import write_json_atomic
from tandem.storage.layout import Layout

if TYPE_CHECKING:
    import pandas as pd

PRE = "pre_"
UNITS = "units_of_cluster"
CONTROL = "control"
EXPERIMENTS = "experiments"  # folder of kept analyses in reports/
_RESERVED = ("unit", "variant", "simulated")
_MOST_SEGMENTS = 20


def analyse_file(
    path: Path,
    *,
    control: str = CONTROL,
    treatment: str | None = None,
    success: Sequence[str] = (),
    guardrails: Sequence[str] = (),
    less_is_better: Sequence[str] = (),
    shares: Sequence[float] = (),
    planned: int = 10_000,
    alpha: float = 0.05,
    name: str | None = None,
    cluster: str | None = None,
    schedule: Path | None = None,
    burn_in: float = BURN_IN,
) -> Analysis:
    """Analyse a CSV, JSON lines or Parquet file.

    Columns: `variant`; optional `unit` (rows of one unit are added up); numbers are metrics,
    `pre_NAME` the covariate of metric NAME, text columns are segments, and `simulated` (true)
    marks made-up data. A metric is a column, or NAME=NUMERATOR/DENOMINATOR. Without `success`
    every number is a success metric. cluster: as for `analyse_table`. schedule: the file of a
    switch-back (`flows.designs`); rows are then observations with `place` and `at`, and a period of
    a place is what is counted. Raises InvalidInput with file, line and field.
    """
    table, dropped = read_table(path), None
    if schedule is not None:
        if cluster is not None:
            raise InvalidInput(
                "a switch-back counts periods, no clusters",
                field="cluster",
                remedy="give either --cluster or --schedule",
            )
        table, dropped = periods_of(table, path, schedule, burn_in)
    return analyse_table(
        table,
        str(path),
        control=control,
        treatment=treatment,
        success=success,
        guardrails=guardrails,
        less_is_better=less_is_better,
        shares=shares,
        planned=planned,
        alpha=alpha,
        name=name or path.stem,
        cluster=cluster,
        dropped=dropped,
    )


def analyse_table(
    table: pd.DataFrame,
    file: str,
    *,
    control: str = CONTROL,
    treatment: str | None = None,
    success: Sequence[str] = (),
    guardrails: Sequence[str] = (),
    less_is_better: Sequence[str] = (),
    shares: Sequence[float] = (),
    planned: int = 10_000,
    alpha: float = 0.05,
    name: str = "experiment",
    cluster: str | None = None,
    dropped: int | None = None,
) -> Analysis:
    """Analyse a table as `analyse_file` reads it. file: for errors, where it is from.

    cluster: the column that names what was assigned, a merchant say: its units are added up, and
    every metric becomes a mean per unit by the delta method. dropped: of a switch-back, whose rows
    are periods: observations that were left out.
    """
    if "variant" not in table:
        raise InvalidInput(
            "the column is missing", file=file, field="variant", remedy="name each unit's variant"
        )
    missing = np.flatnonzero(table["variant"].isna().to_numpy())
    if missing.size:
        raise InvalidInput(
            "no variant",
            file=file,
            line=int(missing[0]) + 2,
            field="variant",
            remedy="leave out units that took no part",
        )
    simulated = "simulated" in table and bool(table["simulated"].astype(bool).any())
    table = _one_row_per_unit(table, file)
    if cluster is not None:
        table = _clustered(table, cluster, file)
    variants = table["variant"].astype(str).to_numpy()
    others = [str(v) for v in np.unique(variants) if v != control]
    if treatment is None:
        if len(others) != 1:
            raise InvalidInput(
                f"{len(others)} variants beside '{control}': {', '.join(others) or 'none'}",
                file=file,
                field="variant",
                remedy="name the two to compare with --control and --treatment",
            )
        treatment = others[0]
    numbers: dict[str, Array] = {
        c: table[c].to_numpy(np.float64)
        for c in table.columns
        if c not in _RESERVED and table[c].dtype.kind in "iufb"
    }
    segments = {
        c: table[c].fillna("unknown").astype(str).to_numpy()
        for c in table.columns
        if c not in _RESERVED and c not in numbers and table[c].nunique() <= _MOST_SEGMENTS
    }
    names = list(success) or [
        c for c in numbers if not c.startswith((PRE, UNITS)) and c not in guardrails
    ]
    metrics = [
        _metric(text, role, numbers, less_is_better)
        for role, texts in (("success", names), ("guardrail", guardrails))
        for text in texts
    ]
    if cluster is not None:
        metrics = [replace(m, denominator=m.denominator or UNITS, covariate=None) for m in metrics]
    if not metrics:
        raise InvalidInput(
            "no column of numbers", file=file, field="success", remedy="add a metric per unit"
        )
    expected = None
    if shares:
        known = [control, *([treatment] if len(shares) == 2 else others)]
        if len(shares) != len(known):
            raise InvalidInput(
                f"{len(shares)} shares for {len(known)} variants",
                field="shares",
                remedy=f"give one each for: {', '.join(known)}",
            )
        expected = dict(zip(known, shares, strict=True))
    return analyse(
        variants,
        numbers,
        metrics,
        control=control,
        treatment=treatment,
        shares=expected,
        segments=segments,
        planned=planned,
        alpha=alpha,
        name=name,
        simulated=simulated,
        design=Design("switchback", dropped=dropped)
        if dropped is not None
        else Design("clusters", clusters_of=cluster)
        if cluster is not None
        else Design(),
    )


def _clustered(table: pd.DataFrame, cluster: str, file: str) -> pd.DataFrame:
    """One row per cluster: its units added up, and how many there are."""
    if cluster not in table:
        raise InvalidInput(
            "the column is missing", file=file, field=cluster, remedy="name the column of clusters"
        )
    groups = table.groupby(cluster, sort=False)
    mixed = groups["variant"].nunique()
    if (mixed > 1).any():
        raise InvalidInput(
            f"'{mixed.idxmax()}' has units in two variants",
            file=file,
            field=cluster,
            remedy="assign whole clusters; without that, leave --cluster out",
        )
    numbers = [c for c in table.columns if table[c].dtype.kind in "iufb" and c not in _RESERVED]
    summed = groups[numbers].sum(min_count=1).assign(variant=groups["variant"].first())
    return summed.assign(**{UNITS: groups.size()}).reset_index(drop=True)


def _metric(text: str, role: Any, numbers: dict[str, Array], less: Sequence[str]) -> Metric:
    name, _, ratio = text.partition("=")
    numerator, _, denominator = (ratio or name).partition("/")
    covariate = f"{PRE}{name}"
    return Metric(
        name,
        numerator,
        denominator or None,
        covariate if covariate in numbers else None,
        role,
        "less" if name in less else "more",
    )


def _one_row_per_unit(table: Any, file: str) -> Any:
    """Rows of one unit added up. A unit in two variants is an error: it belongs to none."""
    if "unit" not in table or table["unit"].is_unique:
        return table
    per_unit = table.groupby("unit")["variant"].nunique()
    both = per_unit[per_unit > 1]
    if len(both):
        line = int(np.flatnonzero((table["unit"] == both.index[0]).to_numpy())[-1]) + 2
        raise InvalidInput(
            f"{len(both):,} units are in two variants",
            file=file,
            line=line,
            field="unit",
            remedy="leave them out and find out why; the assignment must not change",
        )
    how = {
        c: (
            (lambda s: s.sum(min_count=1))
            if table[c].dtype.kind in "iufb" and not c.startswith(PRE)
            else "first"
        )
        for c in table.columns
        if c != "unit"
    }
    return table.groupby("unit", sort=False).agg(how).reset_index()


def agreement_of_file(
    path: Path, raters: Sequence[str] = (), *, resamples: int = 1_000
) -> Agreement:
    """Judges' agreement from a table with one column of ratings per judge, an empty cell missing.

    raters: the columns; default: those whose names end in `_rating`, without `final_rating`, which
    is not a judge's but made of theirs. Raises InvalidInput for columns that are not there.
    """
    table = read_table(path)
    columns = list(raters) or [
        c for c in table.columns if c.endswith("_rating") and c != "final_rating"
    ]
    for c in columns:
        if c not in table or table[c].dtype.kind not in "iufb":
            raise InvalidInput(
                "no such column of numbers",
                file=str(path),
                field=c,
                remedy=f"columns: {', '.join(map(str, table.columns))}",
            )
    if len(columns) < 2:
        raise InvalidInput(
            f"{len(columns)} judges",
            file=str(path),
            field="raters",
            remedy="name two columns or more with --raters",
        )
    return agreement(
        table[columns].to_numpy(np.float64), [str(c) for c in columns], resamples=resamples
    )


def keep_analysis(layout: Layout, analysis: Analysis) -> Path:
    """Keep an analysis in the workspace; one of the same name is replaced. Sums only, no unit."""
    name = re.sub(r"[^a-z0-9]+", "-", analysis.name.lower()).strip("-")[:60] or "experiment"
    path = layout.reports / EXPERIMENTS / f"{name}.json"
    write_json_atomic(path, {"analysed": datetime.now(UTC).isoformat(), **decided(analysis)})
    return path


def kept_analyses(layout: Layout) -> tuple[dict[str, Any], ...]:
    """The analyses that the workspace keeps, newest first. InvalidInput for a broken file."""
    found = []
    for path in sorted((layout.reports / EXPERIMENTS).glob("*.json")):
        try:
            found.append(json.loads(path.read_bytes()))
        except ValueError as error:
            raise InvalidInput(
                f"not valid JSON: {error}", file=str(path), remedy="analyse the test again"
            ) from None
    return tuple(sorted(found, key=lambda a: str(a["analysed"]), reverse=True))
