"""Updates and index builds killed at any moment: what was acknowledged is there afterwards."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
from collections.abc import Callable, Iterator
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from tandem.contracts.product import Product
from tandem.contracts.search import Filters, Sort
from tandem.flows.import_ import create_workspace, import_catalog
from tandem.flows.index import build_index
from tandem.flows.workspace import Workspace
from tandem.storage.layout import Layout

pytestmark = pytest.mark.crash

BASE = 40
NAMES = 60  # ids that updates go to: some of the catalogue, some new
KILLS = 30
State = dict[str, str]


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    """A server process that has everything loaded forks the writers: no start-up to wait for."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tandem.flows.workspace", "tandem.flows.index", "pytest"])
    return context


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = create_workspace(tmp_path / "shop", encoder=None)
    file = tmp_path / "catalogue.jsonl"
    rows = [{"id": f"p{n}", "title": f"product {n}"} for n in range(BASE)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_catalog(layout, [file])
    build_index(layout)
    return layout


def contents(layout: Layout) -> State:
    """Title by id of all products that a newly opened workspace finds."""
    with Workspace(Layout.open(layout.root)) as workspace:
        snapshot = workspace.view.snapshot
        numbers = snapshot.browse(Filters(), Sort.RELEVANCE, 10_000).numbers
        found = {p.id: p.title for p in snapshot.products(numbers)}
        assert len(found) == snapshot.size
        return found


def operations(seed: int) -> Iterator[list[tuple[str, str | None]]]:
    """Batches of upserts (id, title), or one delete (id, None), without end."""
    rng = random.Random(seed)
    for n in count():
        if rng.random() < 0.25:
            yield [(f"p{rng.randrange(NAMES)}", None)]
        else:
            ids = rng.sample(range(NAMES), rng.randint(1, 3))
            yield [(f"p{i}", f"product {i} version {seed} {n}") for i in ids]


def update_forever(root: Path, seed: int, acknowledged: Connection) -> None:
    workspace = Workspace(Layout.open(root))
    acknowledged.send("started")
    for batch in operations(seed):
        products = [Product(id=i, title=title) for i, title in batch if title is not None]
        if products:
            workspace.upsert(products)
        else:
            workspace.delete([i for i, _ in batch])
        acknowledged.send("done")


def build(root: Path, started: Connection, die_at_step: int | None) -> None:
    """Build an index; `die_at_step` kills the process right before its n-th durable operation."""
    if die_at_step is not None:
        steps = iter(range(die_at_step))
        for name in ("fsync", "rename", "replace"):
            setattr(os, name, dying(getattr(os, name), steps))
    started.send("started")
    build_index(Layout.open(root))


def dying(operation: Callable[..., Any], steps: Iterator[int]) -> Callable[..., Any]:
    def operate(*args: Any, **options: Any) -> Any:
        if next(steps, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return operation(*args, **options)

    return operate


def start(
    context: ForkServerContext, target: Callable[..., None], root: Path, *arguments: Any
) -> tuple[ForkServerProcess, Connection]:
    ours, theirs = context.Pipe()
    ordered = (root, *arguments, theirs) if target is update_forever else (root, theirs, *arguments)
    process = context.Process(target=target, args=ordered)
    process.start()
    theirs.close()
    assert ours.poll(60)
    assert ours.recv() == "started"
    return process, ours


def received(connection: Connection) -> int:
    """How many messages came before the sender died."""
    for n in count():
        try:
            connection.recv()
        except EOFError:
            return n
    raise AssertionError


def after(state: State, batch: list[tuple[str, str | None]]) -> State:
    changed = {**state, **{i: title for i, title in batch if title is not None}}
    return {i: t for i, t in changed.items() if (i, None) not in batch}


def leftovers(layout: Layout) -> list[str]:
    hidden = (*layout.index.root.glob(".live-*"), *layout.index.root.glob(".building-*"))
    return [path.name for path in hidden]


def test_acknowledged_updates_survive_a_kill(layout: Layout, context: ForkServerContext) -> None:
    rng = random.Random(20_260_101)
    state, total, at_work = contents(layout), 0, 0
    for seed in range(KILLS):
        writer, connection = start(context, update_forever, layout.root, seed)
        waited_for = rng.randint(0, 3)
        for _ in range(waited_for):
            connection.recv()
        writer.join(rng.uniform(0, 0.05))
        writer.kill()
        writer.join()
        done = waited_for + received(connection)
        batches = operations(seed)
        for _ in range(done):
            state = after(state, next(batches))
        # The batch under way was never acknowledged: of it, any beginning may be there.
        under_way = next(batches)
        possible = [after(state, under_way[:n]) for n in range(len(under_way) + 1)]
        at_work += bool(leftovers(layout))
        found = contents(layout)
        assert found in possible
        state, total = found, total + done
    assert at_work > KILLS // 2  # the kills did hit writers with a clone
    assert total > KILLS
    assert leftovers(layout) == []


def test_killed_builds_leave_the_old_or_the_new_index(
    layout: Layout, context: ForkServerContext
) -> None:
    """Right before every few flushes and renames of a build that takes in live updates."""
    expected = contents(layout)
    outcomes = []
    for step in range(0, 1_000, 13):
        with Workspace(Layout.open(layout.root)) as workspace:
            workspace.upsert([Product(id=f"new{step}", title=f"new {step}")])
        expected[f"new{step}"] = f"new {step}"
        old = layout.index.live()
        builder, _ = start(context, build, layout.root, step)
        builder.join()
        assert contents(layout) == expected
        outcomes.append(layout.index.live() != old)
        if builder.exitcode == 0:
            break
        assert builder.exitcode == -signal.SIGKILL
    assert len(outcomes) > 5
    assert outcomes == sorted(outcomes)  # killed before the switch: the old one
    assert outcomes[-1]
    assert contents(layout) == expected
    assert leftovers(layout) == []


def test_builds_killed_at_random_moments(layout: Layout, context: ForkServerContext) -> None:
    rng = random.Random(7)
    expected = contents(layout)
    running = 0
    for n in range(12):
        builder, _ = start(context, build, layout.root, None)
        builder.join(rng.uniform(0, 0.4))
        running += builder.is_alive()
        builder.kill()
        builder.join()
        assert contents(layout) == expected, n
    assert running >= 6
    build_index(layout)
    assert contents(layout) == expected
    assert leftovers(layout) == []
