"""Allocation by size: time, gap and truth, beside a plain linear program in SciPy (HiGHS).

    python -m benchmarks.allocation 1000 10000 100000

The market is simulated; a size is as many creators as products, 20 candidates for each product.
HiGHS solves the same relaxation to optimality and gives no whole plan; it is left out where it
would not end within its limit.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

from benchmarks.timing import peak_mb
from tandem.flows.allocate import simulated_problem
from tandem.matching.allocation.plan import allocate
from tandem.matching.allocation.problem import rows
from tandem.matching.allocation.relaxation import price
from tandem.matching.allocation.rivals import greedy_by_cost
from tandem.simulate.alliance import simulate_alliance

RESULTS = Path(__file__).parent / "results" / "allocation.json"
HIGHS_UP_TO = 10_000


def measure(size: int, seconds: float) -> dict[str, Any]:
    market = simulate_alliance(size, size)
    problem = simulated_problem(market)
    started, worked = time.perf_counter(), time.process_time()
    plan = allocate(problem, solver="pdlp", seconds=seconds, tolerance=1e-3)
    row: dict[str, Any] = {
        "size": size,
        "pairs": len(problem.value),
        "seconds": time.perf_counter() - started,
        "processor_seconds": time.process_time() - worked,
        "gap": plan.gap,
        "holds": plan.holds,
        "chosen": int(plan.chosen.sum()),
        "true_gmv": float(market.true_gmv[plan.chosen].sum()),
        "short": sum(check.shortfall for check in plan.checks),
    }
    started = time.perf_counter()
    rival = greedy_by_cost(problem)
    row["greedy_seconds"] = time.perf_counter() - started
    row["greedy_gap"] = (plan.bound - problem.objective(rival)) / plan.bound
    row["greedy_true_gmv"] = float(market.true_gmv[rival].sum())
    if size <= HIGHS_UP_TO:
        started = time.perf_counter()
        exact = price(problem, rows(problem), "highs", seconds, 0)
        row["highs_seconds"] = time.perf_counter() - started
        row["bound_over_highs"] = plan.bound / exact.bound - 1
    row["peak_mb"] = peak_mb()
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--seconds", type=float, default=600.0)
    arguments = parser.parse_args()
    results = []
    for size in arguments.sizes:
        results.append(measure(size, arguments.seconds))
        print(json.dumps(results[-1]), flush=True)
    RESULTS.write_text(
        json.dumps({"simulated": True, "cores": os.cpu_count(), "sizes": results}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
