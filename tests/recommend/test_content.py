"""Goods that nobody bought yet are found by their text, and makers' shares are counted."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tandem.contracts.errors import InvalidInput, MissingExtra
from tandem.flows.next_basket import _exposure, evaluate_next_basket
from tandem.recommend.baskets import GUEST, Baskets, baskets_of, next_baskets
from tandem.recommend.conformance import check_basket_recommender
from tandem.recommend.content import ContentBased
from tandem.recommend.goods import GOODS, UNKNOWN, Goods, read_goods
from tandem.recommend.two_tower import TwoTower, lessons
from tandem.recommend.weights import manifest_of

ITEMS = 12  # three kinds of four; the last of every kind is new
KINDS = np.eye(3, dtype=np.float32)[np.arange(ITEMS) // 4]
NEW = np.arange(ITEMS) % 4 == 3


def kinds(seed: int = 0) -> Baskets:
    """Everybody buys of one kind, twice to six times; nothing new."""
    rng = np.random.default_rng(seed)
    contents, person, day = [], [], []
    for who in range(60):
        for _ in range(int(rng.integers(2, 7))):
            contents.append((who % 3 * 4 + rng.choice(3, 2, replace=False)).tolist())
            person.append(who)
            day.append(float(rng.uniform(0, 100)))
    return baskets_of(contents, person, day, ITEMS)


@pytest.fixture
def shop() -> Baskets:
    return kinds()


def one_of(model: TwoTower | ContentBased, shop: Baskets, k: int = 1) -> np.ndarray:
    """For everybody, the best new items."""
    return model.recommend(shop.of(np.arange(60)), 101.0, k, NEW)[:, 0]


def test_what_reads_alike_is_found_though_nobody_bought_it(shop):
    model = ContentBased()
    model.describe(KINDS)
    model.fit(shop, 101.0)
    assert (one_of(model, shop) // 4 == np.arange(60) % 3).all()


def test_content_without_text_is_what_sells():
    check_basket_recommender(ContentBased, personal=False)


# --- Two towers without torch ---------------------------------------------------------------------


def towers(shop: Baskets, content: np.ndarray, **parameters: object) -> TwoTower:
    """Random weights."""
    model = TwoTower(**{"dimensions": 5, **parameters})
    model.describe(content)
    rng = np.random.default_rng(4)
    arrays = {
        name: rng.standard_normal(shape).astype(np.float32)
        for name, shape in model.shapes(shop.size, content.shape[1]).items()
    }
    arrays |= {"known": ~NEW, "content": content, "selling": np.linspace(0.1, 1, ITEMS, dtype="f4")}
    mark = model.fingerprint(shop, 101.0)
    model.use(arrays, manifest_of(model, mark, len(shop), shop.size, [], content.shape[1]))
    return model


def test_towers_are_the_formulas(shop):
    model = towers(shop, KINDS)
    w = {k: np.asarray(v, np.float64) for k, v in model.arrays.items()}
    who = shop.of(np.array([5]))
    goods = [
        w["content"][i] @ w["project"] + (0 if NEW[i] else 1) * w["items"][i] for i in range(ITEMS)
    ]
    goods = [g / np.linalg.norm(g) for g in goods]
    pooled, total = np.zeros(5), 0.0
    for basket in range(len(who)):
        weight = 0.5 ** ((101.0 - who.day[basket]) / model.recency)
        for item in who.contents[basket : basket + 1].items.tolist():
            pooled, total = pooled + weight * goods[item], total + weight
    pooled = pooled / total
    hidden = np.maximum(w["inner.weight"] @ pooled + w["inner.bias"], 0)
    person = pooled + w["outer.weight"] @ hidden + w["outer.bias"]
    cosines = np.array([person @ g for g in goods]) / np.linalg.norm(person)
    assert model.recommend(who, 101.0, ITEMS)[0].tolist() == np.argsort(-cosines).tolist()


def test_towers_are_kept_and_read_without_torch(shop, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    model = towers(shop, KINDS)
    model.save(tmp_path)
    again = TwoTower(dimensions=5)
    again.load(tmp_path)
    everybody = shop.of(np.arange(60))
    np.testing.assert_array_equal(
        again.recommend(everybody, 101.0, 4), model.recommend(everybody, 101.0, 4)
    )
    stranger = Baskets(shop.contents[:0], shop.person[:0], shop.day[:0], 1)
    assert again.recommend(stranger, 101.0, 3)[0].tolist() == [11, 10, 9]
    with pytest.raises(InvalidInput, match="other parameters"):
        TwoTower(dimensions=6).load(tmp_path)
    with pytest.raises(MissingExtra, match="torch"):
        TwoTower().fit(shop, 101.0)


def test_weights_know_which_baskets_and_texts_they_learned_from(shop):
    marks = set()
    for baskets, content in ((shop, KINDS), (kinds(1), KINDS), (shop, KINDS[::-1])):
        model = TwoTower()
        model.describe(content)
        marks.add(model.fingerprint(baskets, 101.0))
    assert len(marks) == 3


def test_a_lesson_is_of_what_came_before_the_basket_only(shop):
    model = TwoTower(baskets_back=3, examples=10_000)
    histories, bought = lessons(shop, model, np.random.default_rng(0))
    expected = []
    for who in sorted(set(shop.person.tolist()) - {GUEST}):
        hers = np.flatnonzero(shop.person == who)
        for at in range(1, hers.size):
            before = {
                i
                for b in hers[max(0, at - 3) : at]
                for i in shop.contents[b : b + 1].items.tolist()
            }
            expected.append((before, set(shop.contents[hers[at] : hers[at] + 1].items.tolist())))
    found = [
        (set(h.indices.tolist()), set(b.indices.tolist()))
        for h, b in zip(histories, bought, strict=True)
    ]
    assert found == expected
    np.testing.assert_allclose(histories.sum(1), 1, rtol=1e-5)


# --- Goods and makers -----------------------------------------------------------------------------


def test_goods_are_what_is_said_of_them_most_often(tmp_path):
    layout = GOODS["retail"]
    told = {"stock_code": list("aaabb"), "description": ["lamp", "LAMP", "lamp", None, ""]}
    pq.write_table(pa.table(told), tmp_path / "t.parquet")
    goods = read_goods([tmp_path / "t.parquet"], layout, np.array(["a", "b", "c"]))
    assert goods.texts == ("lamp", "", "")
    assert goods.maker.tolist() == [UNKNOWN] * 3
    layout = GOODS["complete_journey"]
    told = {"product_id": [7.0, 8.0], "manufacturer_id": [9, 2], "department": ["PASTRY", "MEAT"]}
    pq.write_table(pa.table(told), tmp_path / "p.parquet")
    goods = read_goods([tmp_path / "p.parquet"], layout, np.array([6, 7, 8]))
    assert goods.texts == ("", "PASTRY", "MEAT")
    assert goods.maker.tolist() == [UNKNOWN, 1, 0]
    with pytest.raises(InvalidInput, match="stock_code"):
        read_goods([tmp_path / "p.parquet"], GOODS["retail"], np.array(["a"]))


def test_makers_share_the_places():
    known = baskets_of([[0, 1], [0, 2], [0, 3]], [0, 1, 2], [1.0, 2.0, 3.0], 5)
    goods = Goods(("",) * 5, np.array([0, 0, 1, 2, UNKNOWN]))
    found = _exposure(np.array([[0, 1], [2, 4]]), known, goods)
    assert (found.makers, found.coverage) == (3, round(2 / 3, 4))
    assert found.largest == round(2 / 3, 4)  # two of the three places of known makers
    # Sold: 4, 1 and 1 lines of six; shown: 2, 1 and 0 of three.
    assert found.shifted == round((abs(2 / 3 - 4 / 6) + abs(1 / 3 - 1 / 6) + 1 / 6) / 2, 4)
    assert _exposure(np.array([[0]]), known, Goods(("",) * 5, np.full(5, UNKNOWN))) is None


def receipts(folder: Path) -> Path:
    """Everybody buys of one kind; in the last days, something new of it, too."""
    start = np.datetime64("2020-01-01", "us")
    rows = []
    shop = kinds()
    for basket in range(len(shop)):
        who, day = int(shop.person[basket]), float(shop.day[basket])
        items = shop.contents[basket : basket + 1].items.tolist()
        if day > 80:
            items.append(who % 3 * 4 + 3)
        words = ("wooden table", "bluetooth speaker", "summer dress")
        rows += [
            (f"{basket}", f"{i:05d}", who, start + np.timedelta64(int(day * 24 * 3600), "s"), 1,
             f"{words[i // 4]} {i}")
            for i in items
        ]  # fmt: skip
    names = ("invoice", "stock_code", "customer_id", "invoice_date", "quantity", "description")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    pq.write_table(
        pa.table({k: list(v) for k, v in columns.items()}), folder / "transactions.parquet"
    )
    return folder


def test_new_goods_are_reported_apart(tmp_path, monkeypatch):
    monkeypatch.setattr("tandem.flows.next_basket.HELD_DAYS", 20.0)
    monkeypatch.setattr("tandem.flows.next_basket.CUTOFF", 1)
    found = evaluate_next_basket(
        "retail", data=receipts(tmp_path), systems=("popularity", "content")
    )
    rows = found.to_json()["systems"]
    assert rows["popularity"]["cold_items"] is None
    cold = rows["content"]["cold_items"]
    assert cold["items"] == 3
    assert cold["Recall@1"] > 90 > cold["by_lot"]
    assert rows["content"]["exposure"] == {"merchant": None, "creator": None}


# --- With torch -----------------------------------------------------------------------------------


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="training needs the extra neural")


def test_towers_behave(torch):
    check_basket_recommender(TwoTower)


def test_towers_learn_to_read(torch, shop):
    model = TwoTower(least_steps=60)
    model.describe(KINDS)
    model.fit(shop, 101.0)
    assert (one_of(model, shop) // 4 == np.arange(60) % 3).mean() > 0.95
    asked = next_baskets(shop, 90.0, np.inf)
    assert len(asked.people)
