"""Many processes at one file, and processes that are killed: no cent twice, no cent lost."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from decimal import Decimal
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from deals import CREATOR, LABEL, MERCHANT, PLATFORM, START, Clock, invitation, line, live, order

from tandem.collaboration.desk import Desk
from tandem.collaboration.verify import verify
from tandem.contracts.collaboration import Accept, Publish, Refund, Settle, Terms
from tandem.contracts.errors import Conflict
from tandem.contracts.product import Money
from tandem.storage.collaborations import CollaborationStore

WORKERS = 4
LINES = 12
EUR = Settle(merchant_id=MERCHANT.id, creator_id=CREATOR.id, currency="EUR")


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tandem.collaboration.desk", "pytest", "hypothesis"])
    return context


def open_desk(path: Path) -> Desk:
    """A desk on the real store with its own ids; the clock stands after the return window."""
    clock = Clock()
    clock.pass_days(30)
    return Desk(CollaborationStore(path), clock=clock)


def everything_at_once(path: Path, id_: str, seed: int, log: Path | None = None) -> None:
    """Attribute, refund and settle the same lines as all the others, in an order of one's own."""
    desk, shuffled = open_desk(path), random.Random(seed)
    steps = [(kind, n) for kind in ("attribute", "refund", "settle") for n in range(1, LINES + 1)]
    shuffled.shuffle(steps)
    steps.sort(key=lambda step: step[0] == "refund")  # a refund needs its order
    acknowledged = log.open("a") if log else None
    for kind, n in steps:
        if kind == "attribute":
            desk.attribute(PLATFORM, id_, [order(n, "20.00", ordered=START)], f"a{n}")
        elif kind == "refund":
            money = Money(amount=Decimal("5.00"), currency="EUR")
            desk.refund(PLATFORM, Refund(refund_id=f"r{n}", order_line=line(n), amount=money))
        else:
            desk.settle(PLATFORM, EUR)
        if acknowledged:
            acknowledged.write(f"{kind} {n}\n")
            acknowledged.flush()


def accept_and_publish(path: Path, id_: str, winners: Path, name: str) -> None:
    desk = open_desk(path)
    try:
        desk.act(CREATOR, id_, Accept())
    except Conflict:
        return
    (winners / name).touch()
    desk.act(CREATOR, id_, Publish(content_id="v", disclosure=LABEL))


def balances(desk: Desk) -> dict[str, Decimal]:
    return {b.account: b.amount for b in desk.balances(PLATFORM)}


def running(path: Path, clock: Clock) -> str:
    return live(Desk(CollaborationStore(path), clock=clock), Terms(settle_days=1), rate=1000).id


def test_processes_racing_over_the_same_lines(tmp_path, clock, context):
    path = tmp_path / "c.sqlite"
    id_ = running(path, clock)
    workers = [
        context.Process(target=everything_at_once, args=(path, id_, seed))
        for seed in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * WORKERS
    desk = open_desk(path)
    # 12 lines of 20.00, 5.00 refunded of each, 10%: whoever came first, 18.00 is owed.
    assert balances(desk)["expense"] == Decimal("18.00")
    desk.settle(PLATFORM, EUR)
    left = balances(desk)
    assert verify(desk.store).findings == ()
    # Corrections may still outweigh what is due; settled and pending make up what is owed.
    assert -left["settled"] - left["pending"] == Decimal("18.00")


def test_only_one_of_many_gets_to_accept(tmp_path, clock, context):
    path = tmp_path / "c.sqlite"
    late = Clock()
    late.pass_days(30)
    id_ = Desk(CollaborationStore(path), clock=late).open(MERCHANT, invitation()).id
    workers = [
        context.Process(target=accept_and_publish, args=(path, id_, tmp_path, f"winner-{n}"))
        for n in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert len(list(tmp_path.glob("winner-*"))) == 1
    c = open_desk(path).get(CREATOR, id_)
    assert (c.status, c.version) == ("CONTENT_LIVE", 3)


@pytest.mark.crash
def test_a_killed_process_loses_nothing_it_acknowledged(tmp_path, clock, context):
    path, log = tmp_path / "c.sqlite", tmp_path / "acknowledged"
    log.touch()
    id_ = running(path, clock)
    shuffled = random.Random(7)
    killed = 0
    for seed in range(12):
        worker = context.Process(target=everything_at_once, args=(path, id_, seed, log))
        worker.start()
        before = log.stat().st_size
        deadline = time.monotonic() + 30
        while log.stat().st_size == before and worker.is_alive() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(shuffled.uniform(0, 0.02))
        if worker.is_alive():
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGKILL)
            killed += 1
        worker.join(30)
        desk = open_desk(path)
        assert verify(desk.store).findings == ()
        done = set(log.read_text().split("\n")) - {""}
        lines = {a.order_line: a for a in desk.attributions(PLATFORM, id_)}
        for entry in done:
            kind, number = entry.split()
            if kind == "attribute":
                assert line(int(number)) in lines
            elif kind == "refund":
                assert lines[line(int(number))].refunded.amount == Decimal("5.00")
        desk.store.close()
    assert killed >= 6
    everything_at_once(path, id_, 99)
    desk = open_desk(path)
    assert balances(desk)["expense"] == Decimal("18.00")
    assert verify(desk.store).findings == ()
