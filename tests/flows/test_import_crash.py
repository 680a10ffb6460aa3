"""An import killed at any moment leaves the last good state."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from pathlib import Path

import pytest

from tandem.flows.import_ import create_workspace, import_catalog
from tandem.storage.catalog import manifest, read_products
from tandem.storage.layout import Layout

ROWS = 4_000
KILLS = 30


def catalogue_file(path: Path, version: int) -> Path:
    """A catalogue in which every product carries its version, with some rows for quarantine."""
    rows = [
        {"id": f"p{n}", "title": f"Version {version} of {n}", "stock": -1 if n % 100 == 7 else n}
        for n in range(ROWS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run_import(root: Path, file: Path) -> None:
    import_catalog(Layout.open(root), [file])


def live_version(layout: Layout) -> int:
    """The version of the live catalogue, after making sure that it is whole."""
    products = [product for batch in read_products(layout) for product in batch]
    assert len(products) == ROWS - ROWS // 100 == manifest(layout).products
    versions = {int(product.title.split()[1]) for product in products}
    assert len(versions) == 1, "a mixture of two catalogues is live"
    return versions.pop()


@pytest.mark.crash
def test_a_killed_import_leaves_the_old_or_the_new_catalogue(tmp_path: Path) -> None:
    layout = create_workspace(tmp_path / "shop")
    run_import(layout.root, catalogue_file(tmp_path / "0.jsonl", 0))
    began = time.monotonic()
    run_import(layout.root, tmp_path / "0.jsonl")
    usual = time.monotonic() - began

    # A server process that has everything loaded forks the importers: no start-up time to wait for.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tandem.flows.import_", "tandem.storage.catalog", __name__])
    rng = random.Random(20_240_531)
    live, killed = 0, 0
    for attempt in range(1, 4 * KILLS):
        file = catalogue_file(tmp_path / f"{attempt}.jsonl", attempt)
        importer = context.Process(target=run_import, args=(layout.root, file))
        importer.start()
        importer.join(rng.uniform(0, 1.3 * usual))
        was_running = importer.is_alive()
        importer.kill()
        importer.join()
        file.unlink()

        now = live_version(Layout.open(layout.root))
        assert now in (live, attempt)
        if was_running:
            killed += 1
        else:
            assert importer.exitcode == 0
            assert now == attempt
        live = now
        if killed == KILLS:
            break
    assert killed == KILLS

    report = import_catalog(layout, [catalogue_file(tmp_path / "last.jsonl", 999)])
    assert live_version(layout) == 999
    assert report.quarantined == ROWS // 100
    leftovers = [p.name for p in layout.catalog.root.iterdir() if p.name.startswith(".building-")]
    assert leftovers == []
