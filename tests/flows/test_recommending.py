"""Recommendations of a workspace: from the catalogue alone, and from what people did."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.product import Product
from tandem.contracts.recommend import Kind, RecommendRequest, RecommendResponse, Source
from tandem.contracts.search import Filters
from tandem.flows.generations import roll_back
from tandem.flows.import_ import create_workspace, import_simulated
from tandem.flows.index import build_index
from tandem.flows.train_recommender import measured_baskets, train_recommender
from tandem.flows.workspace import Workspace, open_workspace
from tandem.recommend.baskets import GUEST, Baskets
from tandem.recommend.behaviour import Behaviour, behaviour_of, read_behaviour
from tandem.recommend.sessions import Sessions
from tandem.recommend.tables import TABLES, Neighbours, load_tables
from tandem.storage.layout import Layout

WALKS = [[f"SIM-{i:07d}" for i in range(start, start + 6)] for start in (1, 21, 41, 61)]
BOUGHT = ["SIM-0000100", "SIM-0000101", "SIM-0000102"]


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    layout = create_workspace(tmp_path_factory.mktemp("shop") / "ws", simulated=True)
    import_simulated(layout, 250)
    build_index(layout)
    return layout


def events(folder: Path) -> Path:
    """Simulated sessions along four walks, each again and again, and baskets of two or three."""
    rng = np.random.default_rng(0)
    rows = []
    for session in range(240):
        walk = WALKS[session % 4]
        at = int(rng.integers(0, 3))
        for step, item in enumerate(walk[at : at + 4]):
            rows.append((f"s{session}", item, 1_000 * session + step, "click"))
        if session % 6 == 0:
            rows += [
                (f"s{session}", i, 1_000 * session + 9, "purchase")
                for i in BOUGHT[: 2 + session % 12 // 6]
            ]
    rows.append(("s0", "NOT-HERE", 5, "click"))
    names = ("session_id", "item_id", "timestamp", "action")
    table = pa.table({n: [r[i] for r in rows] for i, n in enumerate(names)})
    path = folder / "events.parquet"
    pq.write_table(table.replace_schema_metadata({"simulated": "true"}), path)
    return path


@pytest.fixture(scope="module")
def bare(layout: Layout):
    with open_workspace(layout.root) as shop:
        yield shop


@pytest.fixture(scope="module")
def trained(layout: Layout, bare: Workspace, tmp_path_factory: pytest.TempPathFactory):
    """The same workspace once a recommender has learned."""
    report = train_recommender(layout, events(tmp_path_factory.mktemp("events")))
    with open_workspace(layout.root) as shop:
        yield shop, report


def asked(shop: Workspace, kind: Kind, **fields: object) -> RecommendResponse:
    return shop.recommend(RecommendRequest.model_validate({"kind": kind, **fields}))


def ids(response: RecommendResponse) -> list[str]:
    return [item.product.id for item in response.items]


def test_a_shop_without_events_has_similar_products(bare):
    start = bare.product("SIM-0000001")
    found = asked(bare, Kind.SIMILAR, product_id=start.id, size=10)
    assert len(found.items) == 10
    assert start.id not in ids(found)
    assert found.simulated
    assert found.index_generation == bare.layout.index.live()
    assert found.model_generation is None
    assert not found.personal
    same = sum(item.product.category[0] == start.category[0] for item in found.items)
    share = np.mean(
        [h.product.category[0] == start.category[0] for h in bare.search("", k=200).hits]
    )
    assert same / 10 > 2 * share
    assert {i.because for i in found.items} == {f"Similar to {start.title}"}


def test_filters_hold_for_every_recommendation(bare):
    brand = bare.product("SIM-0000001").brand
    for kind in (Kind.SIMILAR, Kind.FEED, Kind.NEXT):
        found = asked(
            bare, kind, product_id="SIM-0000001", filters=Filters(brand=(brand,)), size=50
        )
        assert found.items
        assert {i.product.brand for i in found.items} == {brand}


def test_a_deleted_product_is_not_recommended(bare):
    other = Product(id="GONE", title=bare.product("SIM-0000003").title)
    bare.upsert([other])
    assert "GONE" in ids(asked(bare, Kind.SIMILAR, product_id="SIM-0000003", size=20))
    bare.delete(["GONE"])
    assert "GONE" not in ids(asked(bare, Kind.SIMILAR, product_id="SIM-0000003", size=20))
    with pytest.raises(NotFound):
        asked(bare, Kind.SIMILAR, product_id="GONE")
    with pytest.raises(InvalidInput, match="start from"):
        asked(bare, Kind.SIMILAR)


def test_without_baskets_nothing_is_said_to_go_with(bare):
    assert asked(bare, Kind.COMPLEMENTARY, product_id=BOUGHT[0]).items == ()


def test_a_feed_without_a_visitor_is_not_personal_and_explores(bare):
    found = asked(bare, Kind.FEED, size=20)
    assert len(found.items) == 20
    assert len(set(ids(found))) == 20
    assert not found.personal
    assert sum(i.source is Source.EXPLORATION for i in found.items) == 2
    assert [i.position for i in found.items] == list(range(1, 21))
    assert ids(found) == ids(asked(bare, Kind.FEED, size=20))


def test_what_came_next_in_sessions_is_recommended(trained):
    shop, _ = trained
    found = asked(shop, Kind.NEXT, recent=(WALKS[1][2],), size=5)
    first = found.items[0]
    assert first.product.id in WALKS[1]
    assert first.source is Source.SESSIONS
    assert first.from_product == WALKS[1][2]
    assert shop.product(WALKS[1][2]).title[:20] in first.because
    assert found.personal
    assert found.model_generation == shop.layout.recommenders.live()
    assert WALKS[1][2] not in ids(found)


def test_what_is_bought_together_goes_together(trained):
    shop, _ = trained
    found = asked(shop, Kind.COMPLEMENTARY, product_id=BOUGHT[0])
    assert ids(found)[0] == BOUGHT[1]
    assert set(ids(found)) == set(BOUGHT[1:])
    assert {i.source for i in found.items} == {Source.BASKETS}
    hidden = asked(shop, Kind.COMPLEMENTARY, product_id=BOUGHT[0], hidden=(BOUGHT[1],))
    assert ids(hidden) == [BOUGHT[2]]


def test_an_unknown_past_falls_back_to_favourites(trained):
    shop, _ = trained
    found = asked(shop, Kind.NEXT, recent=("NOT-HERE",), size=5)
    assert {i.source for i in found.items} == {Source.POPULARITY}
    assert not found.personal


def test_the_manifest_says_what_was_learned_and_measured(trained):
    shop, report = trained
    learned = report.manifest
    assert (learned.sessions, learned.baskets, learned.unknown_items) == (240, 40, 1)
    assert learned.simulated
    assert learned.metrics["next"]["P@20"] > 90
    assert learned.metrics["next"]["MRR@20"] > 2 * learned.metrics["popularity"]["MRR@20"]
    goes = learned.metrics["complementary"]
    assert goes is None  # four baskets are too few to say
    tables, again = load_tables(shop.layout.recommenders.path(report.generation))
    assert again == learned
    assert tables.following.starts.size - 1 == len(tables.ids) == learned.items


def test_what_goes_together_is_measured_on_later_baskets():
    """Planted pairs: the other one is always found, among the most bought rarely."""
    rng = np.random.default_rng(2)
    first = rng.integers(0, 50, 400) * 2
    contents = Sessions.of(np.column_stack([first, first + 1]).tolist(), 100)
    guests, days = np.full(400, GUEST), np.arange(400.0)
    found = Behaviour(
        tuple(map(str, range(100))),
        Sessions.of([], 100),
        Baskets(contents, guests, days, 0),
        0,
    )
    measured = measured_baskets(found)
    assert measured["baskets"] == 40
    assert measured["Recall@20"] == 100
    assert 0 < measured["Recall@20_of_most_bought"] < 60


def test_generations_switch_and_roll_back(layout, trained, tmp_path):
    shop, report = trained
    second = train_recommender(layout, events(tmp_path))
    assert shop.refresh()
    assert asked(shop, Kind.FEED).model_generation == second.generation
    roll_back(layout, "recommenders")
    assert shop.refresh()
    assert asked(shop, Kind.FEED).model_generation == report.generation


def test_a_recommender_that_does_not_hold_together_is_refused(trained, tmp_path):
    shop, report = trained
    path = shop.layout.recommenders.path(report.generation)
    for name in path.iterdir():
        (tmp_path / name.name).write_bytes(name.read_bytes())
    pq.write_table(pa.table({"item_id": ["only"]}), tmp_path / "items.parquet")
    with pytest.raises(InvalidInput, match="do not fit"):
        load_tables(tmp_path)
    (tmp_path / TABLES).write_bytes(b"nothing of the kind")
    with pytest.raises(InvalidInput, match="can be used"):
        load_tables(tmp_path)


@given(st.integers(0, 5), st.integers(1, 4))
def test_neighbours_are_the_best_of_every_row(seed, k):
    rng = np.random.default_rng(seed)
    dense = rng.integers(0, 4, (7, 7)).astype(np.float32)
    found = Neighbours.of(csr_matrix(dense), k)
    assert found.sound
    for row, line in enumerate(dense):
        others = [i for i in range(7) if i != row and line[i] > 0]
        best = sorted(others, key=lambda i: (-line[i], i))[:k]
        assert found.codes[found.row(row)].tolist() == best
        assert found.weights[found.row(row)].tolist() == [line[i] for i in best]


def test_events_that_say_they_are_simulated_stay_so(tmp_path):
    assert read_behaviour(events(tmp_path), WALKS[0]).simulated
    bare = pq.read_table(tmp_path / "events.parquet").replace_schema_metadata(None)
    pq.write_table(bare, tmp_path / "real.parquet")
    assert not read_behaviour(tmp_path / "real.parquet", WALKS[0]).simulated
    row = {"session_id": "a", "item_id": WALKS[0][0]}
    for said in (True, False):
        path = tmp_path / f"{said}.jsonl"
        path.write_text(json.dumps({**row, "simulated": said}))
        assert read_behaviour(path, WALKS[0]).simulated is said


def test_events_in_lines_and_in_stored_columns_say_the_same(tmp_path):
    rows = [
        {"session_id": "b", "item_id": 2, "timestamp": "2026-01-01T10:00:00Z"},
        {"session_id": "a", "item_id": 1, "timestamp": "2026-01-01T09:00:01Z"},
        {"session_id": "a", "item_id": 2, "timestamp": "2026-01-01T09:00:00Z"},
    ]
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    found = read_behaviour(path, ["1", "2"])
    assert found.sessions.starts.tolist() == [0, 2, 3]
    assert found.sessions.items.tolist() == [1, 0, 1]
    stored = pa.table(
        {
            "session": ["a", "a", "a", "b"],
            "object_id": ["1", "2", "1", "2"],
            "action_name": ["click", "purchase", "impression", "click"],
            "order": [None, "o", None, None],
            "timestamp": [1, 2, 3, 4],
        }
    )
    found = behaviour_of(stored, ["1", "2"])
    assert found.sessions.items.tolist() == [0, 1]
    assert found.baskets.contents.items.tolist() == [1]


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"session_id": "a"}, "item_id"),
        ({"session_id": None, "item_id": "1"}, "session_id"),
        ({"session_id": "a", "item_id": "1", "timestamp": "yesterday"}, "timestamp"),
    ],
)
def test_a_bad_file_names_the_field(tmp_path, row, field):
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps({"session_id": "z", "item_id": "1", **row}) if field == "timestamp"
                    else json.dumps(row))  # fmt: skip
    with pytest.raises(InvalidInput) as caught:
        read_behaviour(path, ["1"])
    assert caught.value.field == field
    assert caught.value.remedy


def test_nothing_to_learn_from_is_an_error(layout, tmp_path):
    path = tmp_path / "other.jsonl"
    path.write_text('{"session_id": "a", "item_id": "NOT-HERE"}\n')
    with pytest.raises(InvalidInput, match="about a product of the catalogue"):
        train_recommender(layout, path)
    with pytest.raises(InvalidInput, match="no events"):
        train_recommender(layout)


def test_nothing_is_called_rated_best_or_new_that_nobody_rated_or_dated(shop_copy):
    """A catalogue without ratings and dates still has a feed, and it claims neither."""
    with open_workspace(shop_copy) as shop:
        numbers = np.arange(shop.view.snapshot.size)
        shop.upsert(
            [
                p.model_copy(update={"rating": None, "rating_count": None, "created": None})
                for p in shop.view.snapshot.products(numbers)
            ]
        )
        items = shop.recommend(RecommendRequest(kind=Kind.FEED, size=40)).items
    assert len(items) == 40
    assert {i.source for i in items} <= {Source.CATALOGUE, Source.EXPLORATION}
    assert not any("Rated" in i.because or "New" in i.because for i in items)
