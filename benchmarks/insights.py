"""The batch jobs of insight at size: `python -m benchmarks.insights [--events N]…`.

Simulated shoppers' events go to Parquet first, 50 million of them by default (1.5 GB, five copies
of ten million with other people; with `--folder` they are kept for the next run). Each size is
measured in a process of its own, so that its peak memory is its own: sessions and searches,
position bias, failures. Sizes that were measured before stay in the results, each with its date and
the load of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import duckdb
import pyarrow.parquet as pq

from benchmarks.timing import Row, peak_mb
from tandem.insights.clicks import position_bias
from tandem.insights.failures import find_failures
from tandem.insights.jobs import JOBS
from tandem.insights.tables import Tables, product_table
from tandem.simulate.shoppers import SCHEMA, WAYS, Shop

RESULTS = Path(__file__).parent / "results"
SIZES = [1_000_000, 10_000_000, 50_000_000]
PARTS = ("sessionise", "searches", "position_bias", "failures")
DRAWN = 10_000_000  # beyond it, logs are made of copies: drawing takes hours
SEED = 5
MEMORY = "8GB"  # DuckDB's limit; beyond it, it spills
SESSIONISE, OUTCOMES = JOBS[:2], JOBS[2:]


def simulate(folder: Path, events: int) -> Path:
    """At least `events` events as Parquet, with what is sold beside it."""
    file = folder / f"{events}.parquet"
    if file.exists():
        return file
    if events > DRAWN:
        return copies(simulate(folder, DRAWN), events, file)
    shop = Shop(6_000, seed=SEED, broken=WAYS)
    pq.write_table(product_table(shop.products), folder / f"{events}-products.parquet")
    count = 0
    with pq.ParquetWriter(folder / "unfinished", SCHEMA, compression="zstd") as writer:
        # About five events a session; the last chunk is cut to what is still needed.
        for table, _, _ in shop.visits(events):
            writer.write_table(table.slice(0, events - count))
            count += table.num_rows
            if count >= events:
                break
    (folder / "unfinished").rename(file)
    return file


def copies(drawn: Path, events: int, file: Path) -> Path:
    """A larger log out of copies of a drawn one, in each of which everybody is somebody else."""
    own = ("event_key", "client", "session", "user", "query_id", "order")
    named = ", ".join(f'"{name}" || \'-\' || copy AS "{name}"' for name in own)
    with duckdb.connect() as db:
        db.execute("SET memory_limit='4GB'; SET threads=1")
        db.execute(
            f"""COPY (SELECT * REPLACE ({named}) FROM read_parquet(?) CROSS JOIN
                      (SELECT unnest(range(?))::VARCHAR AS copy) LIMIT {events})
                TO '{file}.unfinished' (FORMAT parquet, COMPRESSION zstd)""",
            [str(drawn), -(-events // DRAWN)],
        )
    shutil.copy(
        drawn.with_name(f"{DRAWN}-products.parquet"), file.parent / f"{events}-products.parquet"
    )
    Path(f"{file}.unfinished").rename(file)
    return file


def measure(file: Path, threads: int) -> Row:
    """Seconds by job, and the peak of this process."""
    row: Row = {
        "measured": datetime.now(UTC).date().isoformat(),
        "load": round(os.getloadavg()[0], 1),
        "threads": threads,
    }
    with tempfile.TemporaryDirectory() as spill:
        tables = Tables(memory=MEMORY, threads=threads, spill=Path(spill))
        tables.files([file], "stored")

        def timed(name: str, work: Any) -> Any:
            start, spent = perf_counter(), process_time()
            done = work()
            row[f"{name}_s"] = round(perf_counter() - start, 2)
            row[f"{name}_cpu_s"] = round(process_time() - spent, 2)
            # Told at once: what comes later may fail.
            print(f"{name}: {row[f'{name}_s']} s", peak_mb(), "MiB", file=sys.stderr, flush=True)
            return done

        timed("sessionise", lambda: tables.build("stored", SESSIONISE))
        row["events"] = tables.rows("SELECT count(*) AS n FROM visits")[0]["n"]
        timed("searches", lambda: tables.build("stored", OUTCOMES))
        timed("position_bias", lambda: position_bias(tables))
        products = str(file).replace(".parquet", "-products.parquet")
        tables.catalogue(pq.read_table(products))
        found = timed("failures", lambda: find_failures(tables))
        row |= {
            "sessions": found.sessions,
            "searches": found.searches,
            "findings": len(found.findings),
            "peak_mb": peak_mb(),
        }
        tables.close()
    return row


def markdown(results: dict[str, Any]) -> str:
    lines = [
        "# Insight at size",
        "",
        f"Simulated shoppers ({results['machine']}; DuckDB with {MEMORY}). Seconds on the clock, "
        "and of processor time in brackets. The load is the machine's as a size began: on a busy "
        "one the clock says little, and processor time is longer than on a quiet one.",
        "",
        "| events | searches | sessionise | searches and chains | position bias | failures | "
        "peak memory | threads | load | measured |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    rows = sorted(results["sizes"].values(), key=lambda row: row["events"])
    for row in rows:
        jobs = " | ".join(f"{row[f'{job}_s']:,} s ({row[f'{job}_cpu_s']:,} s)" for job in PARTS)
        lines.append(
            f"| {row['events']:,} | {row['searches']:,} | {jobs} | {row['peak_mb']:,} MiB "
            f"| {row['threads']} | {row['load']} | {row['measured']} |"
        )
    lines += [
        "",
        "Growth: microseconds of processor time per event. What stays the same grows linearly.",
        "",
        "| events | sessionise | searches and chains | position bias | failures | all |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        spent = [row[f"{job}_cpu_s"] for job in PARTS]
        each = " | ".join(f"{s / row['events'] * 1e6:.2f}" for s in (*spent, sum(spent)))
        lines.append(f"| {row['events']:,} | {each} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, action="append", help="events; repeat for more")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the events are kept; default: nowhere")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.threads)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        machine = f"{os.cpu_count()} cores, {platform.machine()}"
        kept = options.out / "insights.json"
        sizes = json.loads(kept.read_bytes())["sizes"] if kept.exists() else {}
        results: dict[str, Any] = {"machine": machine, "sizes": sizes}
        for events in sorted(options.events or SIZES):
            file = simulate(folder, events)
            command = [sys.executable, "-m", "benchmarks.insights", "--measure", str(file)]
            command += ["--threads", str(options.threads)]
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            results["sizes"][str(events)] = json.loads(told)
            options.out.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(results, indent=2) + "\n")
            (options.out / "insights.md").write_text(markdown(results))
            print(markdown(results))


if __name__ == "__main__":
    main()
