"""Run the benchmarks: `python -m benchmarks.run [--size N]… [--quick]`.

Results are printed, and written after every step to `benchmarks/results/`, so that a run that is
cut short leaves what it has measured. With `--folder DIR` the shops are kept there; where DIR has
them already, only searches and recall are measured again, and what the results say of building,
peers and HTTP stays as it was.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import platform
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import engines, http_load, peers, shop
from benchmarks.timing import peak_mb
from tandem.flows.workspace import Workspace
from tandem.storage.catalog import read_products

RESULTS = Path(__file__).parent / "results"
SIZES = [10_000, 100_000, 1_000_000]
console = Console()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, action="append", help="products; repeat for more")
    parser.add_argument("--quick", action="store_true", help="few calls: to try the benchmark")
    parser.add_argument("--peers-up-to", type=int, default=1_000_000, help="largest size for peers")
    parser.add_argument(
        "--folder", type=Path, help="folder for the shops; default: a temporary one"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    options = parser.parse_args()
    sizes = sorted(options.size or SIZES)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    with ExitStack() as stack:
        stack.enter_context(shop.simulated_encoder())
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        again = all(shop.is_built(folder, size) for size in sizes)
        kept = json.loads((options.out / "search.json").read_text()) if again else {}
        results: dict[str, Any] = kept or {
            "machine": machine,
            "data": "simulated products and simulated embeddings of 384 dimensions",
            "sizes": {},
        }
        model = None
        for size in sizes:
            console.rule(f"{size:,} products")
            built = shop.build(folder, size)
            here = results["sizes"].setdefault(str(size), {})
            if not again:
                if model is None:
                    model = shop.train(built.layout)
                shop.adopt(built.layout, model)
                here["build"] = built.row
                save(results, options.out)
            with Workspace(built.layout) as opened:
                here["search"] = engines.measure(opened, built.queries, options.quick)
                save(results, options.out)
                here["recall"] = engines.recall(opened, built.queries)
                ours = engines.titles(opened, built.queries, options.quick)
            here["serving_memory_mb"] = peak_mb()
            save(results, options.out)
            if size <= options.peers_up_to and not again:
                titles = [p.title for b in read_products(built.layout, 5000) for p in b]
                others = peers.run(folder, titles, built.queries, options.quick)
                here["peers"] = {"Tandem, titles only": ours, **others}
            save(results, options.out)
            console.print(tables(results, size))
    if not again:
        results["http"] = over_http(options.quick)
    save(results, options.out)
    console.print(markdown(results))


def over_http(quick: bool) -> dict[str, Any]:
    """A small simulated shop with the real encoder, behind the real server."""
    from tandem.flows.import_ import create_workspace, import_simulated
    from tandem.flows.index import build_index
    from tandem.flows.train import train_ranker

    with tempfile.TemporaryDirectory() as name:
        layout = create_workspace(Path(name) / "shop", simulated=True)
        import_simulated(layout, 500 if quick else 5_000)
        build_index(layout)
        train_ranker(layout, folds=2)
        with Workspace(layout) as opened:
            queries = opened.judgment_list().queries
        seconds = 2 if quick else 15
        return {
            f"{clients} connections": http_load.run(layout.root, queries, clients, seconds)
            for clients in (1, 4, 16)
        }


def save(results: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "search.json").write_text(json.dumps(results, indent=2) + "\n")
    (folder / "search.md").write_text(markdown(results))


def tables(results: dict[str, Any], size: int) -> Table:
    table = Table(title=f"{size:,} products")
    columns = ("p50_ms", "p99_ms", "qps_1_thread", "qps_2_threads", "times_bare")
    for column in ("search", *columns):
        table.add_column(
            column.replace("_", " "), justify="left" if column == "search" else "right"
        )
    for name, row in results["sizes"][str(size)]["search"].items():
        table.add_row(name, *(str(row.get(c, "")) for c in columns))
    return table


def markdown(results: dict[str, Any]) -> str:
    """All results as Markdown tables."""
    lines = ["# Search benchmarks", "", f"{results['machine']}. Data: {results['data']}.", ""]
    sizes = results["sizes"]
    if sizes:
        lines += ["## Building", "", "| |" + "|".join(f" {int(s):,} " for s in sizes) + "|"]
        lines.append("|---|" + "---:|" * len(sizes))
        for key in next(iter(sizes.values()))["build"]:
            cells = [str(s["build"].get(key, "")) for s in sizes.values()]
            lines.append(f"| {key.replace('_', ' ')} | " + " | ".join(cells) + " |")
        lines.append("")
    for size, here in sizes.items():
        if "search" in here:
            lines += [f"## Search over {int(size):,} products", ""]
            lines += _rows(here["search"])
        if "recall" in here:
            lines += [f"- {k}: {v}" for k, v in here["recall"].items()] + [""]
        if "peers" in here:
            lines += [f"### Peers on the same titles and queries, top {peers.K}", ""]
            lines += _rows(here["peers"])
    if "http" in results:
        lines += ["## HTTP on loopback, 5,000 products, real encoder, ltr", ""]
        lines += _rows(results["http"])
    return "\n".join(lines) + "\n"


def _rows(rows: dict[str, dict[str, Any]]) -> list[str]:
    columns = list(dict.fromkeys(c for row in rows.values() for c in row))
    lines = ["| | " + " | ".join(c.replace("_", " ") for c in columns) + " |"]
    lines.append("|---|" + "---:|" * len(columns))
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(str(row.get(c, "")) for c in columns) + " |")
    return [*lines, ""]


if __name__ == "__main__":
    main()
