"""An import killed at any moment leaves the last good state."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from tandem.flows.import_ import create_workspace, import_catalog
from tandem.storage.catalog import manifest, read_products
from tandem.storage.layout import Layout

pytestmark = pytest.mark.crash

ROWS = 3_000
KILLS = 25


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    """A server process that has everything loaded forks the importers: no start-up to wait for."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tandem.flows.import_", "pyarrow.parquet", "pandas", "pytest"])
    return context


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = create_workspace(tmp_path / "shop")
    import_catalog(layout, [catalogue_file(tmp_path / "0.jsonl", 0)])
    return layout


def catalogue_file(path: Path, version: int) -> Path:
    """A catalogue in which every product carries its version, with some rows for quarantine."""
    rows = [
        {"id": f"p{n}", "title": f"Version {version} of {n}", "stock": -1 if n % 100 == 7 else n}
        for n in range(ROWS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run_import(root: Path, file: Path, started: Connection, die_at_step: int | None) -> None:
    """Import in a process of its own; `die_at_step` kills it at its n-th durable operation."""
    if die_at_step is not None:
        steps = iter(range(die_at_step))
        for name in ("fsync", "rename", "replace"):
            setattr(os, name, dying(getattr(os, name), steps))
    layout = Layout.open(root)
    started.send("started")
    import_catalog(layout, [file])


def dying(operation: Callable[..., Any], steps: Any) -> Callable[..., Any]:
    def operate(*args: Any, **options: Any) -> Any:
        if next(steps, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return operation(*args, **options)

    return operate


def start(
    context: ForkServerContext, layout: Layout, file: Path, die_at_step: int | None = None
) -> ForkServerProcess:
    ours, theirs = context.Pipe()
    importer = context.Process(target=run_import, args=(layout.root, file, theirs, die_at_step))
    importer.start()
    assert ours.poll(60)
    return importer


def live_version(layout: Layout) -> int:
    """The version of the live catalogue, after making sure that it is whole."""
    products = [product for batch in read_products(layout) for product in batch]
    assert len(products) == ROWS - ROWS // 100 == manifest(layout).products
    versions = {int(product.title.split()[1]) for product in products}
    assert len(versions) == 1, "a mixture of two catalogues is live"
    return versions.pop()


def half_built(layout: Layout) -> list[str]:
    return [path.name for path in layout.catalog.root.glob(".building-*")]


def test_killed_at_random_moments(
    layout: Layout, context: ForkServerContext, tmp_path: Path
) -> None:
    unhurt = start(context, layout, catalogue_file(tmp_path / "1.jsonl", 1))
    began = time.monotonic()
    unhurt.join()
    usual = time.monotonic() - began
    assert live_version(layout) == 1

    rng = random.Random(20_240_531)
    live, killed, at_work = 1, 0, 0
    for attempt in range(2, 4 * KILLS):
        importer = start(context, layout, catalogue_file(tmp_path / "next.jsonl", attempt))
        importer.join(rng.uniform(0, 1.1 * usual))
        was_running = importer.is_alive()
        importer.kill()
        importer.join()
        at_work += bool(half_built(layout))
        now = live_version(Layout.open(layout.root))
        assert now in (live, attempt)
        if was_running:
            killed += 1
        else:
            assert (importer.exitcode, now) == (0, attempt)
        live = now
        if killed == KILLS:
            break
    assert killed == KILLS
    assert at_work >= KILLS // 3  # the kills did hit imports at work
    the_next_import_works(layout, tmp_path)


def test_killed_at_every_durable_operation(
    layout: Layout, context: ForkServerContext, tmp_path: Path
) -> None:
    """Right before each flush and each rename: the moments between which the disk changes."""
    outcomes = []
    for step in range(100):
        version = step + 1
        file = catalogue_file(tmp_path / "next.jsonl", version)
        importer = start(context, layout, file, die_at_step=step)
        importer.join()
        outcomes.append(live_version(Layout.open(layout.root)) == version)
        if importer.exitcode == 0:
            break
        assert importer.exitcode == -signal.SIGKILL
    assert len(outcomes) > 6
    # Killed before the pointer was switched: the old one. After it: the new one. Nothing between.
    assert outcomes == sorted(outcomes)
    assert outcomes[-1]
    the_next_import_works(layout, tmp_path)


def the_next_import_works(layout: Layout, tmp_path: Path) -> None:
    report = import_catalog(layout, [catalogue_file(tmp_path / "last.jsonl", 999)])
    assert live_version(layout) == 999
    assert report.quarantined == ROWS // 100
    assert half_built(layout) == []
