"""Forecasts of daily sales on real invoices: how often the truth lies inside, beside naive peers.

`python -m benchmarks.forecast` reads Online Retail II from TANDEM_DATA or ../shared/data; with
`--weeks 12` it forecasts four weeks from the twelve before, as where too few days may be told.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tandem.sales.forecast import DAYS, WEEK, WEEKS, forecast

Array = NDArray[np.float64]
HORIZON = 28
FIRST = 200  # days of history that the first forecast has
GROUPS = 12


def daily_series(folder: Path) -> dict[str, Array]:
    """Net sales a day: of the shop, of its largest countries and of its largest product groups
    (two digits of the stock code)."""
    rows = (
        duckdb.connect()
        .execute(
            """
        SELECT date_trunc('day', invoice_date)::DATE AS day, country,
               substr(stock_code, 1, 2) AS grp, sum(quantity * unit_price) AS gmv
        FROM read_parquet(?) WHERE quantity > 0 AND unit_price > 0 GROUP BY ALL
        """,
            [str(folder / "retail" / "transactions.parquet")],
        )
        .df()
    )
    days = np.arange(rows["day"].min(), rows["day"].max() + np.timedelta64(1, "D"), dtype="M8[D]")

    def filled(part: Any) -> Array:
        sums = part.groupby("day")["gmv"].sum()
        at = (sums.index.to_numpy("M8[D]") - days[0]).astype(int)
        series = np.zeros(len(days))
        series[at] = sums.to_numpy(float)
        return series

    found = {"shop": filled(rows)}
    for column, most in (("country", 4), ("grp", GROUPS)):
        largest = rows.groupby(column)["gmv"].sum().nlargest(most).index
        for name in largest:
            found[f"{column} {name}"] = filled(rows[rows[column] == name])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step", type=int, default=HORIZON, help="days between origins")
    parser.add_argument("--weeks", type=int, help="forecast weeks, from so many before")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = Path(os.environ.get("TANDEM_DATA", "../shared/data"))
    started = time.process_time()
    inside: list[float] = []
    total_inside: list[bool] = []
    by_series: dict[str, dict[str, float]] = {}
    errors: dict[str, list[float]] = {"ets": [], "seasonal_naive": [], "mean_28": []}
    # In days, or in weeks: how many come back the same, lie ahead and were before.
    season, horizon = (1, HORIZON // WEEK) if options.weeks else (WEEK, HORIZON)
    first, step = options.weeks or FIRST, options.step // (WEEK if options.weeks else 1)
    for name, days in daily_series(folder).items():
        whole = days[len(days) % WEEK :].reshape(-1, WEEK).sum(axis=1)
        series = whole if options.weeks else days
        own, own_totals = [], []
        for origin in range(first, len(series) - horizon + 1, step):
            past = series[origin - options.weeks if options.weeks else 0 : origin]
            truth = series[origin : origin + horizon]
            scale = np.abs(past[season:] - past[:-season]).mean()
            if not scale:  # nothing was sold yet
                continue
            ahead = forecast(past, horizon, WEEKS if options.weeks else DAYS)
            own.append(float(((truth >= ahead.low) & (truth <= ahead.high)).mean()))
            own_totals.append(ahead.total_low <= truth.sum() <= ahead.total_high)
            naive = np.tile(past[-season:], horizon // season)
            weeks = past[-4 * season :].reshape(4, season).mean(axis=0)
            for peer, mean in (
                ("ets", ahead.mean),
                ("seasonal_naive", naive),
                ("mean_28", np.tile(weeks, horizon // season)),
            ):
                errors[peer].append(float(np.abs(truth - mean).mean() / scale))
        if own:
            by_series[name] = {"days": float(np.mean(own)), "totals": float(np.mean(own_totals))}
        inside += own
        total_inside += own_totals
    rng = np.random.default_rng(7)

    def interval(values: Array) -> list[float]:
        means = [rng.choice(values, len(values)).mean() for _ in range(2_000)]
        return [round(float(x), 4) for x in (values.mean(), *np.quantile(means, [0.025, 0.975]))]

    difference = np.array(errors["ets"]) - np.array(errors["mean_28"])
    result = {
        "series": len(by_series),
        "forecasts": len(inside),
        "horizon_days": HORIZON,
        "weeks_before": options.weeks,
        "level": 0.8,
        "coverage_of_days": interval(np.array(inside)),
        "coverage_of_totals": interval(np.array(total_inside, float)),
        "mase": {peer: interval(np.array(values)) for peer, values in errors.items()},
        "ets_less_mean_28": interval(difference),
        "p_wilcoxon": round(float(stats.wilcoxon(difference).pvalue), 5),
        "by_series": by_series,
        "processor_seconds": round(time.process_time() - started, 1),
    }
    text = json.dumps(result, indent=2)
    if options.json:
        options.json.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
