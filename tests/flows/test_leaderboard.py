"""The leaderboard: methods side by side, somebody else's as well, and none costs another."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tandem.contracts.errors import InvalidInput
from tandem.contracts.judgment import JudgmentList
from tandem.flows.leaderboard import CROSS_VALIDATED, Estimate, _cross_validated, leaderboard
from tandem.flows.workspace import open_workspace
from tandem.recommend.conformance import _walks, check_basket_recommender, check_recommender
from tandem.recommend.files import CLICKS
from tandem.recommend.models import ItemKNN, Popularity, SessionKNN, Transitions
from tandem.recommend.next_basket import (
    BasketItemKNN,
    Ease,
    ImplicitALS,
    PeopleKNN,
    PersonalFrequency,
    SellingNow,
)
from tandem.recommend.sessions import Sessions

EXAMPLE = Path(__file__).parents[2] / "examples" / "last_together.py"


@pytest.mark.parametrize("make", [ItemKNN, Transitions, SessionKNN])
def test_own_recommenders_behave(make):
    check_recommender(make)


def test_own_recommenders_that_ask_nobody_behave():
    check_recommender(Popularity, personal=False)
    check_basket_recommender(SellingNow, personal=False)


@pytest.mark.parametrize(
    "make", [PersonalFrequency, BasketItemKNN, PeopleKNN, lambda: Ease(ridge=5.0), ImplicitALS]
)
def test_own_basket_recommenders_behave(make):
    if make is ImplicitALS:
        pytest.importorskip("implicit")
    check_basket_recommender(make)


class Forgetful(ItemKNN):
    """Asked twice, it answers twice differently."""

    def recommend(self, prefixes, k):
        items, scores = super().recommend(prefixes, k)
        self._times = getattr(self, "_times", 0) + 1
        return np.roll(items, self._times, axis=1), scores


class Spoiling(ItemKNN):
    def fit(self, sessions):
        super().fit(sessions)
        sessions.items[:] = 0


class Useless(Popularity):
    def scores(self, prefixes):
        found = super().scores(prefixes)
        found.data[:] = 1
        found.indices[:] = found.indices[:][::-1]
        found.has_sorted_indices = False
        return found[:, ::-1] * 0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Forgetful, "another answer|-1 stands only"),
        (Spoiling, "changed the sessions"),
        (Useless, "it finds"),
    ],
)
def test_the_suite_catches_what_is_broken(make, said):
    with pytest.raises(AssertionError, match=said):
        check_recommender(make)


def test_the_worked_example_is_short_and_behaves():
    text = EXAMPLE.read_text()
    assert len(text.splitlines()) < 60
    check_recommender(runpy.run_path(str(EXAMPLE))["LastTogether"])
    shown = (Path(__file__).parents[2] / "docs" / "recommend.md").read_text()
    assert text.split("if __name__")[0].strip() in shown


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    sessions = _walks(400, 3)
    rows = [(s, p, 100 + i) for s, session in enumerate(sessions) for p, i in enumerate(session)]
    session, position, item = zip(*rows, strict=True)
    table = pa.table({"session_id": session, "position": position, "item_id": item})
    pq.write_table(table, folder / CLICKS)
    return folder


def test_another_packages_method_takes_part_and_a_broken_one_costs_nobody(
    clicks, tmp_path, monkeypatch
):
    package = tmp_path / "site"
    info = package / "theirs-1.0.dist-info"
    info.mkdir(parents=True)
    (package / "last_together.py").write_text(EXAMPLE.read_text())
    (package / "broken.py").write_text("def Broken():\n    raise RuntimeError('out of order')\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[tandem.recommenders]\nlast-together = last_together:LastTogether\n"
        "broken = broken:Broken\npopularity = broken:Broken\n"
    )
    monkeypatch.syspath_prepend(str(package))
    named = ("popularity", "broken", "last-together")
    board = leaderboard("diginetica", systems=named, data=clicks)
    assert [e.system for e in board.entries] == ["last-together", "popularity", "broken"]
    first, second, last = board.entries
    assert first.measures["MRR@20"].low < first.measures["MRR@20"].value
    assert first.measures["MRR@20"].value > second.measures["MRR@20"].value
    assert first.memory_mib > 20
    assert first.cpu_s > 0
    assert first.p99_ms > 0
    assert last.failed == "RuntimeError: out of order"
    assert last.measures == {}
    assert board.to_json()["entries"][0]["measures"]["MRR@20"]["value"] > 0


def test_rankers_of_a_workspace(simulated_shop):
    board = leaderboard(workspace=simulated_shop, systems=("bm25", "ltr"))
    assert board.simulated
    assert {e.system for e in board.entries} == {"bm25", "ltr"}
    assert all(e.failed is None and e.memory_mib for e in board.entries)
    notes = {e.system: e.notes for e in board.entries}
    assert notes["ltr"] == (CROSS_VALIDATED,)
    assert not notes["bm25"]
    with open_workspace(simulated_shop) as shop:
        measured = shop.view.manifest.metrics["nDCG@10"]
        view, judged = shop.view, shop.judgment_list()
    ltr = next(e for e in board.entries if e.system == "ltr")
    assert ltr.measures["nDCG@10"] == Estimate(*(measured[k] for k in ("mean", "low", "high")))
    fewer = JudgmentList(dict(list(judged.by_query.items())[1:]), "fewer")
    assert _cross_validated(view, "ltr", fewer) == {}  # it has learned from others too


def test_what_is_unknown_is_said(clicks):
    for arguments in ({}, {"dataset": "diginetica", "workspace": clicks}, {"dataset": "none"}):
        with pytest.raises(InvalidInput):
            leaderboard(**arguments)
    with pytest.raises(InvalidInput, match="no method 'none'"):
        leaderboard("diginetica", systems=("none",), data=clicks)


def test_an_empty_session_has_no_next_item_but_no_error():
    model = ItemKNN()
    model.fit(Sessions.of(_walks(50, 0), 63))
    items, _ = model.recommend(Sessions.of([[]], 63), 3)
    assert (items == -1).all()
