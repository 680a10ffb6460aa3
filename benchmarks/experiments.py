"""Experiments at size: `python -m benchmarks.experiments [--part abtest]… [--size N]… [--quick]`.

Three jobs, each size in a process of its own so that its peak memory is its own, smaller sizes
first: evaluating rankings beside ranx and ir_measures, analysing an A/B test beside tea-tasting,
and off-policy evaluation. All data is simulated; what is timed starts when it lies in memory.
`--size` and `--who` measure some alone, and leave what is known of the others.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from benchmarks.timing import Row, peak_mb

RESULTS = Path(__file__).parent / "results"
SEED = 7
DAY = datetime.now(UTC).date().isoformat()
MOST_MEMORY = 20  # GB of addresses; what needs more has failed
MEASURES = (
    *("nDCG(gains=linear)@10", "nDCG(gains=linear)@100", "RR", "P@10", "R@100", "AP", "AP@100"),
    *("Success@10", "Rprec", "R@1000"),
)
DEPTH = 1_000
JUDGED = 40
METRICS = 20
SIZES = {
    "evaluation": [1_000, 3_000, 10_000],
    "abtest": [100_000, 1_000_000, 10_000_000],
    "ope": [100_000, 1_000_000, 10_000_000],
}
QUICK = {"evaluation": [50], "abtest": [2_000], "ope": [5_000]}
WHO = {
    "evaluation": ("tandem", "ranx", "ir_measures"),
    "abtest": ("tandem", "tea-tasting"),
    "ope": ("tandem",),
}


def timed(work: Callable[[], Any]) -> tuple[Any, Row]:
    """What `work` returns, and its seconds on the clock and of the processor."""
    start, spent = perf_counter(), process_time()
    done = work()
    return done, {
        "seconds": round(perf_counter() - start, 3),
        "cpu_s": round(process_time() - spent, 3),
    }


# --- Evaluation of rankings -----------------------------------------------------------------------


def rankings(queries: int) -> tuple[dict[str, list[str]], dict[str, dict[str, int]]]:
    """1,000 products for each query of 20,000 there are, 40 of them or of the others judged."""
    rng = np.random.default_rng(SEED)
    ids = np.array([f"B{i:09d}" for i in range(20_000)], dtype=object)
    ranked, judged = {}, {}
    for q in range(queries):
        found = rng.permutation(20_000)[: DEPTH + JUDGED // 2]
        # Half of what is judged stands in the list, rather at its top.
        inside = np.unique((rng.beta(0.5, 3.0, JUDGED // 2) * DEPTH).astype(int))
        known = np.concatenate([found[inside], found[DEPTH:]])
        grades = rng.choice(4, known.size, p=[0.4, 0.3, 0.2, 0.1])
        ranked[f"q{q}"] = ids[found[:DEPTH]].tolist()
        judged[f"q{q}"] = dict(zip(ids[known].tolist(), grades.tolist(), strict=True))
    return ranked, judged


def evaluation(queries: int, who: str) -> Row:
    """Ten measures by query. Every library starts from what it takes: lists for Tandem, scores by
    product for the others, whose own containers are made inside the time."""
    ranked, judged = rankings(queries)
    if who == "tandem":
        from tandem.experiments.measures import parse_measures, score

        score({"q": ["a"]}, {"q": {"a": 1}}, parse_measures(MEASURES))
        before = peak_mb()
        values, row = timed(lambda: score(ranked, judged, parse_measures(MEASURES)))
        means = np.nanmean(values, axis=0)
        return row | {"before_mb": before, "check": _rounded(MEASURES, means)}
    # No ranking scores on a query without anything relevant: Tandem leaves it out of the means.
    judged = {q: grades for q, grades in judged.items() if max(grades.values()) > 0}
    falling = np.arange(DEPTH, 0.0, -1.0).tolist()
    run = {q: dict(zip(ranked[q], falling, strict=True)) for q in judged}
    ranked.clear()
    if who == "ranx":
        return _ranx(run, judged)
    import ir_measures
    from ir_measures import AP, RR, P, R, Rprec, Success, nDCG

    theirs = (
        *(nDCG @ 10, nDCG @ 100, RR, P @ 10, R @ 100, AP, AP @ 100, Success @ 10, Rprec),
        R @ 1000,
    )
    before = peak_mb()
    found, row = timed(lambda: list(ir_measures.iter_calc(theirs, judged, run)))
    sums = {m: [r.value for r in found if r.measure == m] for m in theirs}
    means = [float(np.mean(sums[m])) for m in theirs]
    return row | {"before_mb": before, "check": _rounded(MEASURES, means)}


def _ranx(run: dict[str, dict[str, float]], judged: dict[str, dict[str, int]]) -> Row:
    from ranx import Qrels, Run, evaluate

    names = ["ndcg@10", "ndcg@100", "mrr", "precision@10", "recall@100", "map", "map@100"]
    names += ["hit_rate@10", "r-precision", "recall@1000"]

    def work(qrels: Any, found: Any) -> Any:
        return evaluate(Qrels(qrels), Run(found), names)

    few = list(judged)[:20]
    _, warm = timed(lambda: work({q: judged[q] for q in few}, {q: run[q] for q in few}))
    before = peak_mb()
    found, row = timed(lambda: work(judged, run))
    row |= {"before_mb": before, "compile_s": warm["seconds"]}
    return row | {"check": _rounded(MEASURES, [float(found[n]) for n in names])}


def _rounded(names: Any, values: Any) -> Row:
    return {n: round(float(v), 4) for n, v in zip(names, values, strict=True)}


# --- A/B test -------------------------------------------------------------------------------------


def abtest(users: int, who: str) -> Row:
    """Twenty metrics: means, five with a covariate (CUPED), five ratios; two segments."""
    rng = np.random.default_rng(SEED)
    arm = rng.random(users) < 0.5
    columns = {f"m{i}": rng.poisson(0.5 + i / 10, users).astype(np.float64) for i in range(METRICS)}
    for i in range(5):
        columns[f"pre_m{i}"] = columns[f"m{i}"] * 0.5 + rng.standard_normal(users)
    variants = np.array(["control", "treatment"], dtype=object)[arm.astype(int)]
    if who == "tandem":
        from tandem.experiments.abtest.analysis import analyse
        from tandem.experiments.abtest.effects import Metric

        country = np.array(["DE", "FR", "IT", "ES"], dtype=object)[rng.integers(0, 4, users)]
        metrics = [
            Metric(
                f"m{i}",
                f"m{i}",
                f"m{i + 1}" if 5 <= i < 10 else None,
                f"pre_m{i}" if i < 5 else None,
            )
            for i in range(METRICS)
        ]

        def work(n: int) -> Any:
            return analyse(
                variants[:n],
                {name: column[:n] for name, column in columns.items()},
                metrics,
                control="control",
                treatment="treatment",
                segments={"country": country[:n]},
                planned=users,
            )

        work(200)  # imports
        before = peak_mb()
        found, row = timed(lambda: work(users))
        check = {m: found.effects[m].difference for m in ("m0", "m7", "m19")}
    else:
        import pandas as pd
        import tea_tasting as tt

        table = pd.DataFrame({**columns, "variant": arm.astype(np.int8)})
        del columns
        test = tt.Experiment(
            **{
                f"m{i}": tt.RatioOfMeans(f"m{i}", f"m{i + 1}")
                if 5 <= i < 10
                else tt.Mean(f"m{i}", f"pre_m{i}" if i < 5 else None)
                for i in range(METRICS)
            }
        )
        before = peak_mb()
        found, row = timed(lambda: test.analyze(table, control=0))
        check = {m: found[m].effect_size for m in ("m0", "m7", "m19")}
    return row | {"before_mb": before, "check": {m: float(f"{v:.4g}") for m, v in check.items()}}


# --- Off-policy evaluation ------------------------------------------------------------------------


def ope(impressions: int, who: str) -> Row:
    """Seven estimators with both intervals, thresholds and diagnostics, over a log with a reward
    model's columns; and apart from it, fitting that model (20 actions, 5 context columns)."""
    from tandem.experiments.offpolicy.evaluation import evaluate
    from tandem.experiments.offpolicy.feedback import Feedback
    from tandem.experiments.offpolicy.rewards import cross_fit

    rng = np.random.default_rng(SEED)
    actions = 20
    logging_ = rng.dirichlet(np.full(actions, 5.0))
    target = rng.dirichlet(np.full(actions, 5.0))
    worth = rng.uniform(0.01, 0.1, actions)
    action = rng.choice(actions, impressions, p=logging_)
    context = rng.standard_normal((impressions, 5))
    rate = worth[action] * np.exp(0.2 * context[:, 0] - 0.02)
    reward = (rng.random(impressions) < rate).astype(np.float64)
    before = peak_mb()
    (q_logged, q_evaluation), model = timed(
        lambda: cross_fit(
            context=context,
            action=action,
            action_features=np.eye(actions),
            reward=reward,
            group=np.zeros(impressions, np.int64),
            action_dist=target[None],
            dist_row=np.zeros(impressions, np.int64),
        )
    )
    fitted = peak_mb()
    log = Feedback(reward, logging_[action], target[action], q_logged, q_evaluation)
    found, row = timed(lambda: evaluate(log))
    truth = float(target @ worth)
    return row | {
        "model_seconds": model["seconds"],
        "model_cpu_s": model["cpu_s"],
        "model_mb": fitted,
        "before_mb": before,
        "check": {
            "truth": round(truth, 5),
            **{name: round(e.value, 5) for name, e in found.estimates.items()},
        },
    }


PARTS: dict[str, Callable[[int, str], Row]] = {
    "evaluation": evaluation,
    "abtest": abtest,
    "ope": ope,
}


def load() -> float:
    """Work that waits for the machine's processors, this included: near 1 where it is quiet."""
    return round(os.getloadavg()[0], 1)


def alone(part: str, size: int, who: str, memory: int = MOST_MEMORY) -> Row:
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.experiments", "--one", part, str(size), who]
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **threads},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory << 30, memory << 30)),
    )
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1][:200]}
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


def markdown(results: dict[str, Any]) -> str:
    lines = [
        "# Experiments at size",
        "",
        f"Simulated data, {results['machine']}. One thread; seconds on the clock (of a machine "
        "that may do other work) and of processor time; memory at the peak, and before the work.",
    ]
    for part, sizes in results["parts"].items():
        lines += [
            "",
            f"## {part}",
            "",
            "| size | | seconds | processor s | peak MB | before MB |",
            "|---:|---|---:|---:|---:|---:|",
        ]
        for size, rows in sizes.items():
            for who, row in rows.items():
                if "failed" in row:
                    lines.append(f"| {int(size):,} | {who} | failed: {row['failed']} | | | |")
                    continue
                lines.append(
                    f"| {int(size):,} | {who} | {row['seconds']:.2f} | {row['cpu_s']:.2f} | "
                    f"{row['peak_mb']:,.0f} | {row['before_mb']:,.0f} |"
                )
                if "model_cpu_s" in row:
                    lines.append(
                        f"| {int(size):,} | its reward model | {row['model_seconds']:.2f} | "
                        f"{row['model_cpu_s']:.2f} | {row['model_mb']:,.0f} | |"
                    )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--size", type=int, action="append", help="these sizes alone; repeatable")
    parser.add_argument("--who", action="append", help="these libraries alone; repeatable")
    parser.add_argument("--memory", type=int, default=MOST_MEMORY, help="GB a process may have")
    parser.add_argument("--quick", action="store_true", help="sizes that prove nothing")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--one", nargs=3, metavar=("PART", "SIZE", "WHO"))
    arguments = parser.parse_args()
    if arguments.one:
        part, size, who = arguments.one
        row = PARTS[part](int(size), who)
        print(json.dumps(row | {"peak_mb": peak_mb()}))
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / "experiments.json"
    known = json.loads(file.read_text()) if file.exists() else {"parts": {}}
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    results = {"machine": machine, "simulated": True, "parts": known["parts"]}
    for part in arguments.part or PARTS:
        sizes = arguments.size or (QUICK if arguments.quick else SIZES)[part]
        known_rows = results["parts"].get(part, {}) if arguments.size or arguments.who else {}
        for size in sizes:
            asked = [who for who in WHO[part] if who in (arguments.who or WHO[part])]
            told = {"day": DAY, "load": load()}
            rows = {who: alone(part, size, who, arguments.memory) | told for who in asked}
            merged = known_rows.get(str(size), {}) | rows
            known_rows[str(size)] = {who: merged[who] for who in WHO[part] if who in merged}
            ordered = sorted(known_rows, key=int)
            results["parts"][part] = {size: known_rows[size] for size in ordered}
            print(part, f"{size:,}", json.dumps(rows), flush=True)
            file.write_text(json.dumps(results, indent=2) + "\n")
    (arguments.out / "experiments.md").write_text(markdown(results))


if __name__ == "__main__":
    main()
