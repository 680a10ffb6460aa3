"""Recommenders learn from what came before, and from nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.flows.recommend import clicks_file, evaluate_next_item
from tandem.recommend.factors import item_factors
from tandem.recommend.files import CLICKS, read_clicks, read_pairs
from tandem.recommend.models import ItemKNN, Popularity, SessionKNN, Transitions, top
from tandem.recommend.sessions import Pairs, Sessions, pairs_of
from tandem.recommend.stacking import Sources, Stacked, examples
from tandem.recommend.systems import NETWORKS, ON_REQUEST, SYSTEMS, system

ITEMS = 60


def chains(n: int, seed: int = 0) -> list[list[int]]:
    """Sessions that walk along one of six chains of ten items, with a stray click now and then."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        chain, at = int(rng.integers(6)) * 10, int(rng.integers(6))
        walk = [chain + (at + step) % 10 for step in range(int(rng.integers(2, 7)))]
        made.append([int(rng.integers(ITEMS)) if rng.random() < 0.1 else i for i in walk])
    return made


@pytest.fixture(scope="module")
def lesson() -> Sessions:
    return Sessions.of(chains(1500), ITEMS)


@pytest.fixture(scope="module")
def asked() -> Pairs:
    return pairs_of(Sessions.of(chains(200, seed=1), ITEMS), np.ones(ITEMS, bool))


@pytest.fixture(scope="module")
def stacked(lesson: Sessions) -> Stacked:
    model = Stacked(rounds=40)
    model.fit(lesson)
    return model


def hits(items: np.ndarray, targets: np.ndarray) -> float:
    return float((items == targets[:, None]).any(1).mean())


def test_sessions_are_cut_and_counted():
    sessions = Sessions.of([[1, 2, 2], [], [3]], 5)
    assert sessions.counts().tolist() == [0, 1, 2, 1, 0]
    assert sessions.place.tolist() == [0, 1, 2, 0]
    assert sessions.from_end.tolist() == [2, 1, 0, 0]
    assert sessions[1:].items.tolist() == [3]
    assert len(sessions[2:2]) == 0


def test_pairs_are_all_beginnings_over_known_items():
    known = np.array([True, True, False, True])
    pairs = pairs_of(Sessions.of([[0, 2, 1, 3], [2, 1]], 4), known)
    found = [
        (pairs.prefixes[i : i + 1].items.tolist(), int(pairs.targets[i])) for i in range(len(pairs))
    ]
    assert found == [([0], 1), ([0, 1], 3)]


def test_top_breaks_ties_by_item():
    from scipy.sparse import csr_matrix

    items, values = top(csr_matrix(np.array([[0, 1, 2, 2], [0, 0, 0, 0.5]], np.float32)), 2)
    assert items.tolist() == [[2, 3], [3, -1]]
    assert values.tolist() == [[2, 2], [0.5, 0]]


@pytest.mark.parametrize("name", [n for n in SYSTEMS if n not in ("stacked", *NETWORKS)])
def test_every_recommender_beats_chance_and_repeats_itself(name, lesson, asked):
    model = system(name)
    model.fit(lesson)
    items, values = model.recommend(asked.prefixes, 10)
    assert hits(items, asked.targets) > (0.3 if name == "popularity" else 0.8) * 0.5
    assert (np.diff(values, axis=1) <= 0).all()
    again, _ = model.recommend(asked.prefixes, 10)
    np.testing.assert_array_equal(items, again)


def test_many_sessions_at_once_are_answered_as_one_by_one(lesson, asked, monkeypatch):
    from tandem.recommend import models

    monkeypatch.setattr(models, "CHUNK", 37)
    for model in (SessionKNN(), Transitions(), ItemKNN(), Popularity()):
        model.fit(lesson)
        together, _ = model.recommend(asked.prefixes, 5)
        alone = [model.recommend(asked.prefixes[i : i + 1], 5)[0][0] for i in range(50)]
        np.testing.assert_array_equal(together[:50], alone)


def test_transitions_know_the_direction(lesson):
    ahead = Transitions(backward=0.0)
    ahead.fit(lesson)
    items, _ = ahead.recommend(Sessions.of([[13]], ITEMS), 1)
    assert items[0, 0] == 14


def test_vectors_are_near_where_items_are_clicked_together():
    lesson = Sessions.of(chains(1500), ITEMS + 1)
    vectors = item_factors(lesson, 16)
    alike = vectors[:ITEMS] @ vectors[:ITEMS].T
    same = np.arange(ITEMS) // 10 == np.arange(ITEMS)[:, None] // 10
    assert alike[same].mean() > 0.5 > 0.2 > alike[~same].mean()
    assert (vectors[ITEMS] == 0).all()
    np.testing.assert_array_equal(vectors, item_factors(lesson, 16))


def test_an_item_that_nobody_clicked_gets_no_candidates_but_no_error(stacked):
    lonely = Sessions.of([[1, 2, 1, 2], [3, 4], []], ITEMS + 1)
    model = SessionKNN()
    model.fit(lonely)
    items, _ = model.recommend(Sessions.of([[ITEMS], [3]], ITEMS + 1), 3)
    assert (items[0] == -1).all()
    assert 4 in items[1]
    found, _ = stacked.recommend(Sessions.of([[5]], ITEMS), 3)
    assert (found >= 0).all()


def test_stacking_does_at_least_as_well_as_what_it_stacks(stacked, lesson, asked):
    base = SessionKNN()
    base.fit(lesson)
    mine = hits(stacked.recommend(asked.prefixes, 1)[0], asked.targets)
    theirs = hits(base.recommend(asked.prefixes, 1)[0], asked.targets)
    assert mine >= theirs


def test_features_know_nothing_of_what_came_next_or_later(lesson):
    """Leakage: another target, or other later sessions, must not move one feature."""
    earlier = lesson[:1000]
    sources = Sources()
    sources.fit(earlier)
    pairs = pairs_of(lesson[1000:1050], earlier.counts() > 0)
    before = sources.candidates(pairs.prefixes)
    again = Sources()
    again.fit(Sessions.of([*chains(1500)[:1000]], ITEMS))
    after = again.candidates(pairs.prefixes)
    np.testing.assert_array_equal(before.item, after.item)
    np.testing.assert_array_equal(before.features, after.features)
    other = Pairs(pairs.prefixes, (pairs.targets + 1) % ITEMS)
    one, _ = examples(sources, pairs)
    two, _ = examples(sources, other)
    rows = {tuple(r) for r in np.round(two, 5).tolist()} | {
        tuple(r) for r in np.round(before.features, 5).tolist()
    }
    assert {tuple(r) for r in np.round(one, 5).tolist()} <= rows


def test_the_ranker_learns_from_sources_that_saw_only_earlier_sessions(lesson, monkeypatch):
    seen: list[int] = []
    fit = Sources.fit

    def noting(self: Sources, sessions: Sessions) -> None:
        seen.append(len(sessions))
        fit(self, sessions)

    monkeypatch.setattr(Sources, "fit", noting)
    Stacked(rounds=5).fit(lesson)
    assert seen == [len(lesson) - len(lesson) // 5, len(lesson)]


def write(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sessions = chains(600)
    rows = [(s, p, 100 + i) for s, session in enumerate(sessions) for p, i in enumerate(session)]
    session, position, item = zip(*rows, strict=True)
    write(tmp_path / CLICKS, session_id=session, position=position, item_id=item)
    return tmp_path


def test_the_command_prints_the_agreed_shape(folder, tmp_path, capsys, monkeypatch):
    import sys

    from tandem.cli.main import main

    file = write(tmp_path / "test.parquet", prefix=[[101, 102], [999], [115]], target=[103, 104, 7])
    arguments = ["tandem", "recommend", "evaluate", "--dataset", "diginetica", "--json"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--test", str(file), "--data", str(folder)])
    main()
    result = json.loads(capsys.readouterr().out)
    assert set(result["systems"]) == set(SYSTEMS) - set(ON_REQUEST)
    assert set(result["left_out"]) == set(SYSTEMS) & set(ON_REQUEST)
    for row in result["systems"].values():
        assert {"P@20", "MRR@20", "train_s", "p99_ms"} <= set(row)
        assert 0 <= row["MRR@20"] <= row["P@20"] <= 100
        assert sum(group["pairs"] for group in row["by_target"].values()) == 3
        assert row["by_target"]["cold"] == {"pairs": 1, "P@20": 0.0, "MRR@20": 0.0}
    assert (result["pairs"], result["unknown_targets"]) == (3, 1)


def test_labels_of_the_test_file_move_no_recommendation(folder, tmp_path):
    clicks = read_clicks(folder / CLICKS)
    one = read_pairs(write(tmp_path / "a.parquet", prefix=[[101], [102]], target=[1, 2]), clicks)
    two = read_pairs(write(tmp_path / "b.parquet", prefix=[[101], [102]], target=[9, 9]), clicks)
    np.testing.assert_array_equal(one.prefixes.items, two.prefixes.items)


def test_its_own_split_keeps_the_end_back(folder):
    result = evaluate_next_item(data=folder, systems=("item-knn",))
    assert "kept back" in result.protocol
    assert result.systems["item-knn"].p > 50


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        ({"prefix": [[1]], "goal": [1]}, "target"),
        ({"prefix": [[]], "target": [1]}, "prefix"),
        ({"prefix": ["a"], "target": [1]}, "prefix"),
        ({"prefix": [[1]], "target": ["x"]}, "target"),
        ({"prefix": [[1]], "target": pa.array([None], pa.int64())}, "target"),
    ],
)
def test_a_bad_test_file_is_a_clear_error(folder, tmp_path, columns, field):
    clicks = read_clicks(folder / CLICKS)
    with pytest.raises(InvalidInput) as caught:
        read_pairs(write(tmp_path / "bad.parquet", **columns), clicks)
    assert caught.value.field == field
    assert caught.value.remedy


def test_what_is_missing_or_broken_says_so(tmp_path, folder):
    clicks = read_clicks(folder / CLICKS)
    with pytest.raises(NotFound):
        read_pairs(tmp_path / "none.parquet", clicks)
    (tmp_path / "junk.parquet").write_bytes(b"PAR1 junk")
    with pytest.raises(InvalidInput, match="Parquet"):
        read_pairs(tmp_path / "junk.parquet", clicks)
    with pytest.raises(NotFound, match="--data"):
        clicks_file("diginetica", tmp_path / "nowhere")
    with pytest.raises(InvalidInput, match="diginetica"):
        clicks_file("other", None)
    with pytest.raises(InvalidInput, match="session-knn"):
        system("oracle")
