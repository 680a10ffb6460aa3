"""The next basket: planted habits are found, and nothing of the future is known."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.flows.next_basket import evaluate_next_basket, gini
from tandem.recommend.baskets import GUEST, Baskets, baskets_of, next_baskets
from tandem.recommend.blending import BasketSources, Blended
from tandem.recommend.next_basket import BasketItemKNN, Ease, best, selling
from tandem.recommend.systems import BASKET_SYSTEMS, basket_system
from tandem.recommend.transactions import LAYOUTS, read_baskets

ITEMS, PEOPLE, DAYS = 80, 150, 200


def habits(seed: int = 0) -> Baskets:
    """Everybody buys a favourite of hers nearly always, and from her one of eight groups of ten
    items otherwise; a tenth of the baskets are guests'."""
    rng = np.random.default_rng(seed)
    contents, person, day = [], [], []
    for who in range(PEOPLE):
        group = int(rng.integers(8)) * 10
        favourite = int(rng.integers(ITEMS))
        for _ in range(int(rng.integers(2, 12))):
            some = group + rng.integers(0, 10, int(rng.integers(1, 4)))
            contents.append([favourite] * (rng.random() < 0.8) + some.tolist())
            person.append(GUEST if rng.random() < 0.1 else who)
            day.append(float(rng.uniform(0, DAYS)))
    return baskets_of(contents, person, day, ITEMS)


@pytest.fixture(scope="module")
def shop() -> Baskets:
    return habits()


def test_the_split_keeps_all_that_is_later_away(shop):
    asked = next_baskets(shop, 150.0, 180.0)
    assert asked.known.day.max() < 150
    assert len(asked.people) == len(asked.targets) == np.unique(asked.people).size
    for row, person in enumerate(asked.people.tolist()):
        hers = np.flatnonzero((shop.person == person) & (shop.day >= 150))
        first = shop.contents[int(hers[0]) : int(hers[0]) + 1]
        assert shop.day[hers[0]] < 180
        assert asked.targets[row : row + 1].items.tolist() == first.items.tolist()
    assert asked.histories.day.max() < 150


def test_histories_keep_only_the_people_asked_in_their_order(shop):
    people = np.array([7, 3])
    some = shop.of(people)
    whole = shop.table().toarray()
    np.testing.assert_array_equal(some.table().toarray(), whole[people])
    assert (np.diff(some.day) >= 0).all()


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30), st.integers(1, 6))
def test_best_is_sorting(values, k):
    scores = np.array([values], np.float32)
    expected = sorted(range(len(values)), key=lambda i: (-values[i], i))[: min(k, len(values))]
    found = best(scores, k)[0].tolist()
    assert [values[i] for i in found] == [values[i] for i in expected]


def test_ease_solves_the_constrained_least_squares(shop):
    """The closed form is the minimum: the gradient off the diagonal is zero (Steck 2019, eq. 4)."""
    model = Ease(ridge=5.0)
    model.fit(shop, DAYS)
    bought = (shop.table()[:, model.modelled].toarray() > 0).astype(float)
    weights = model.weights.astype(float)
    gradient = bought.T @ (bought @ weights - bought) + 5.0 * weights
    off = gradient[~np.eye(len(gradient), dtype=bool)]
    assert np.abs(np.diag(weights)).max() == 0
    assert np.abs(off).max() < 2e-2
    assert np.abs(bought.T @ bought).max() > 10  # the scale that the gradient is small against


def test_item_knn_is_the_cosine_of_baskets():
    model = BasketItemKNN(damping=0.0)
    model.fit(baskets_of([[0, 1], [0, 1], [0], [2]], [0, 1, GUEST, 2], [0, 1, 2, 3], 3), 4.0)
    assert model.similarity[0, 1] == pytest.approx(2 / np.sqrt(3 * 2))
    assert model.similarity[0, 2] == 0


def test_what_sells_now_halves_with_age():
    shop = baskets_of([[0], [1]], [0, 0], [0.0, 10.0], 2)
    np.testing.assert_allclose(selling(shop, 10.0, half_life=10.0), [0.5, 1.0])


@pytest.mark.parametrize("name", BASKET_SYSTEMS)
def test_habits_are_found_and_newcomers_get_what_sells(name, shop):
    if name in ("ials", "two-tower"):
        pytest.importorskip("implicit" if name == "ials" else "torch")
    asked = next_baskets(shop, 170.0, np.inf)
    model = Blended(rounds=30, windows=1) if name == "blended" else basket_system(name)
    model.fit(asked.known, 170.0)
    found = model.recommend(asked.histories, 170.0, 10)
    hits = [
        np.isin(asked.targets[i : i + 1].items, found[i]).mean() for i in range(len(asked.people))
    ]
    chance = 10 / ITEMS
    assert np.mean(hits) > (1.0 if name in ("popularity", "content") else 3.0) * chance
    nobody = baskets_of([], [], [], ITEMS).of(np.array([], np.int64))
    cold = Baskets(nobody.contents, nobody.person, nobody.day, 1)
    items = model.recommend(cold, 170.0, 5)[0].tolist()
    assert len(set(items)) == 5
    now = selling(asked.known, 170.0, 14.0)
    assert now[items].min() > np.median(now) or name == "blended"


@pytest.mark.parametrize("name", ["user-knn", "ease", "blended"])
def test_leakage_nothing_that_happens_later_moves_a_recommendation(name, shop):
    """Other baskets from the split on, even absurd ones: the same people get the same lists."""
    asked = next_baskets(shop, 150.0, np.inf)
    later = np.flatnonzero(shop.day >= 150)
    starts = shop.contents.starts
    items = shop.contents.items.copy()
    items[starts[later[0]] :] = (items[starts[later[0]] :] + 37) % ITEMS
    contents = type(shop.contents)(starts, items, ITEMS)
    other = next_baskets(Baskets(contents, shop.person, shop.day, shop.people), 150.0, np.inf)
    assert (asked.targets.items != other.targets.items).any()
    lists = []
    for one in (asked, other):
        model = Blended(rounds=10, windows=1) if name == "blended" else basket_system(name)
        model.fit(one.known, one.now)
        lists.append(model.recommend(one.histories, one.now, 10))
    np.testing.assert_array_equal(*lists)


def test_features_of_a_window_do_not_know_its_baskets(shop):
    past = next_baskets(shop.before(170.0), 140.0, 170.0)
    sources = BasketSources(recommenders=[BasketItemKNN()])
    sources.fit(past.known, past.now)
    found = sources.candidates(past.histories, past.now)
    since = found.features[:, 4]
    had = found.features[:, 2] > 0
    assert (since[had] > 0).all()
    assert (since[~had] > 1_000).all()
    assert had.any()


def test_gini_of_equal_and_single_shares():
    assert gini(np.array([3, 3, 3])) == 0
    assert gini(np.array([0, 0, 9])) == pytest.approx(2 / 3)


def receipts(folder: Path, **columns: list[object]) -> Path:
    layout = LAYOUTS["retail"]
    rows: dict[str, object] = {
        layout.basket: ["a", "a", "b", "C1", "d"],
        layout.item: ["10001", "10002x", "10001", "10001", "POST"],
        layout.person: pa.array([5, 5, None, 5, 5], pa.int64()),
        layout.time: [dt.datetime(2020, 1, d) for d in (2, 2, 1, 3, 4)],
        layout.quantity: [1, 2, 1, -1, 1],
    }
    path = folder / layout.file
    pq.write_table(pa.table({**rows, **columns}), path)
    return path


def test_receipts_are_read_without_returns_and_postage(tmp_path):
    shop, begins = read_baskets(receipts(tmp_path), LAYOUTS["retail"])
    assert shop.ids.tolist() == ["10001", "10002x"]
    assert shop.baskets.person.tolist() == [GUEST, 0]
    assert shop.baskets.contents[1:2].items.tolist() == [0, 1]
    assert np.diff(shop.baskets.day).tolist() == [1.0]
    assert begins == np.inf


def test_a_bad_file_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(InvalidInput, match="rows without stock_code") as caught:
        read_baskets(receipts(tmp_path, stock_code=["10001", *[None] * 4]), LAYOUTS["retail"])
    assert caught.value.remedy
    with pytest.raises(InvalidInput, match="no column"):
        read_baskets(receipts(tmp_path), LAYOUTS["complete_journey"])
    with pytest.raises(NotFound):
        read_baskets(tmp_path / "none.parquet", LAYOUTS["retail"])
    with pytest.raises(InvalidInput, match="no baskets in"):
        evaluate_next_basket("diginetica")


def written(shop: Baskets, folder: Path, rows: slice = slice(None)) -> Path:
    layout = LAYOUTS["complete_journey"]
    owner = shop.contents.owner
    start = np.datetime64("2020-01-01", "s")
    moments = start + (shop.day * 86_400).astype("timedelta64[s]")
    kept = np.isin(owner, np.arange(len(shop))[rows])
    people = pa.array([None if p < 0 else int(p) + 900 for p in shop.person[owner][kept]])
    folder.mkdir(exist_ok=True)
    path = folder / layout.file
    columns = {
        layout.basket: owner[kept].astype(float),
        layout.item: shop.contents.items[kept] + 5_000,
        layout.person: people,
        layout.time: [str(m).replace("T", " ") for m in moments[owner][kept]],
        layout.quantity: np.ones(int(kept.sum())),
    }
    pq.write_table(pa.table(columns), path)
    return path


def test_evaluating_measures_what_was_planted(shop, tmp_path):
    written(shop, tmp_path)
    named = ("popularity", "personal-frequency", "item-knn")
    result = evaluate_next_basket("complete_journey", data=tmp_path, systems=named).to_json()
    popular, personal = (result["systems"][n] for n in named[:2])
    assert personal["Recall@20"] > popular["Recall@20"] + 10
    low, high = personal["Recall@20_interval"]
    assert low < personal["Recall@20"] < high
    assert personal["Recall@20_of_repeats"] > 95
    assert popular["difference_from_baseline"]["Recall@20"] < 0
    assert popular["coverage"] == pytest.approx(20 / ITEMS)
    assert result["people"] == result["people_warm"] + result["people_cold"]
    assert not result["simulated"]


def test_a_test_file_is_what_came_later(shop, tmp_path):
    half = int(np.searchsorted(shop.day, 150.0))
    written(shop, tmp_path, slice(0, half))
    later = written(shop, tmp_path / "later", slice(half, None))
    named = ("personal-frequency",)
    result = evaluate_next_basket("complete_journey", later, tmp_path, named).to_json()
    asked = next_baskets(shop, 150.0, np.inf)
    assert result["people"] == asked.people.size
    assert result["baskets_known"] == half
