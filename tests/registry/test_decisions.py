"""Decisions are kept whole, in order, and never two under one number."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from tandem.contracts.errors import InvalidInput
from tandem.contracts.registry import Gate
from tandem.registry.decisions import Decisions

GATE = Gate(name="quality", passed=False, says="worse", measured={"difference": -0.1, "p": 0.01})


def test_what_is_recorded_is_read_again_in_order(tmp_path):
    decisions = Decisions(tmp_path / "none yet")
    assert decisions.all() == ()
    first = decisions.record("g1", "candidate", who="a", why="trained")
    second = decisions.record(
        "g1", "live", who="b", why="try", instead_of="g0", gates=(GATE,), overridden=("quality",)
    )
    third = decisions.record("g2", "live", who="a", why="trained")
    assert decisions.all() == (first, second, third)
    assert [d.number for d in decisions.all()] == [1, 2, 3]
    assert decisions.of("g1") == (first, second)


def _many(folder: str, who: str) -> None:
    for i in range(25):
        Decisions(Path(folder)).record(f"g{i}", "live", who=who, why="race")


def test_two_processes_lose_and_share_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    racers = [context.Process(target=_many, args=(str(tmp_path), who)) for who in "ab"]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    found = Decisions(tmp_path).all()
    assert [d.number for d in found] == list(range(1, 51))
    assert sorted((d.who, d.generation) for d in found) == sorted(
        (who, f"g{i}") for who in "ab" for i in range(25)
    )


def test_a_broken_decision_is_named(tmp_path):
    Decisions(tmp_path).record("g1", "live", who="a", why="x")
    (tmp_path / "000001.json").write_text("{")
    with pytest.raises(InvalidInput) as caught:
        Decisions(tmp_path).all()
    assert caught.value.file.endswith("000001.json")
