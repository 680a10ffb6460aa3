"""A network that answers what comes next in a shop: kept with the recommender, read without torch,
asked only where it foretells better. Torch's part of the training is stood in for by a network
whose attention is nothing and whose item vectors are a factorisation."""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tandem.contracts.errors import InvalidInput, MissingExtra
from tandem.contracts.recommend import Kind, RecommendRequest, Source
from tandem.flows import train_recommender as training
from tandem.flows.import_ import create_workspace, import_simulated
from tandem.flows.index import build_index
from tandem.flows.train_recommender import train_recommender
from tandem.flows.workspace import open_workspace
from tandem.recommend.baskets import Baskets
from tandem.recommend.factors import item_factors
from tandem.recommend.following import (
    CODES,
    FOLDER,
    Following,
    ServedModel,
    load_served,
    most_clicked,
    over,
)
from tandem.recommend.models import unit
from tandem.recommend.sequence import SelfAttention
from tandem.recommend.sessions import Sessions
from tandem.recommend.stacking import Sources, Stacked
from tandem.recommend.tables import MANIFEST, Tables
from tandem.recommend.weights import manifest_of

WALK = [f"SIM-{i:07d}" for i in range(1, 41)]


def untrained(model: SelfAttention, sessions: Sessions) -> None:
    """What `fit` leaves behind, without torch: a session leads to what is like its last item."""
    arrays = {k: np.zeros(shape, np.float32) for k, shape in model.shapes(sessions.size).items()}
    arrays |= {k: np.ones_like(v) for k, v in arrays.items() if k.endswith("last.weight")}
    arrays["items"] = item_factors(sessions, model.dimensions)
    arrays["known"] = sessions.counts() > 0
    about = manifest_of(model, model.fingerprint(sessions), 0, sessions.size, [])
    model.use(arrays, about)


@pytest.fixture
def without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(SelfAttention, "fit", untrained)


@pytest.fixture(scope="module")
def shop_root(tmp_path_factory):
    layout = create_workspace(tmp_path_factory.mktemp("shop") / "ws", simulated=True)
    import_simulated(layout, 60)
    build_index(layout)
    return layout


@pytest.fixture(scope="module")
def sessions_file(tmp_path_factory):
    """Simulated sessions along one walk, in steps of one or two."""
    rng = np.random.default_rng(4)
    rows = []
    for session in range(300):
        at = int(rng.integers(0, 30))
        for step in range(4):
            rows.append((f"s{session}", WALK[at], 1_000 * session + step))
            at += int(rng.integers(1, 3))
    names = ("session_id", "item_id", "timestamp")
    table = pa.table({name: [r[i] for r in rows] for i, name in enumerate(names)})
    path = tmp_path_factory.mktemp("sessions") / "sessions.parquet"
    pq.write_table(table.replace_schema_metadata({"simulated": "true"}), path)
    return path


def test_a_network_is_kept_served_and_said(shop_root, sessions_file, without_torch, monkeypatch):
    monkeypatch.setattr(training, "max", lambda ways, key: "network", raising=False)
    report = train_recommender(shop_root, sessions_file, "gsasrec")
    assert (report.manifest.network, report.manifest.next_by) == ("gsasrec", "network")
    assert set(report.manifest.metrics["next_by"]) == {"tables", "network", "both"}
    assert report.manifest.metrics["next"] == report.manifest.metrics["next_by"]["network"]
    with open_workspace(shop_root.root) as shop:
        network = shop.view.following.network
        asked = RecommendRequest(kind=Kind.NEXT, recent=(WALK[10], WALK[11]), size=8)
        found = shop.recommend(asked)
        codes = shop.view.recommender.known(asked.recent)
        ids = [shop.view.recommender.ids[c] for c in network.after(codes).tolist()]
        feed = shop.recommend(asked.model_copy(update={"kind": Kind.FEED}))
    assert found.model_generation == report.generation
    assert found.personal
    expected = [i for i in ids if i not in asked.recent][:8]
    assert [i.product.id for i in found.items] == expected
    for item in found.items:
        assert item.source in (Source.SESSIONS, Source.NETWORK)
        if item.source is Source.NETWORK:
            assert item.because == "Visits like yours lead here"
            assert item.from_product == WALK[11]
    assert {i.product.id for i in feed.items} & set(expected)


def test_it_is_asked_only_where_it_foretells_better(shop_root, sessions_file, without_torch):
    report = train_recommender(shop_root, sessions_file, "sasrec")
    figures = report.manifest.metrics["next_by"]
    best = max(figures, key=lambda way: figures[way]["MRR@20"])
    assert report.manifest.next_by == best
    kept = (shop_root.recommenders.path(report.generation) / FOLDER).exists()
    assert kept == (best != "tables") == (report.manifest.network == "sasrec")
    plain = train_recommender(shop_root, sessions_file)
    assert (plain.manifest.network, plain.manifest.next_by) == (None, "tables")
    assert plain.manifest.metrics["next"] == figures["tables"]


def test_both_are_fused_and_say_which_item_led_there():
    rng = np.random.default_rng(1)
    walks = [(np.arange(5) + rng.integers(0, 20)).tolist() for _ in range(200)]
    sessions = Sessions.of(walks, 30)
    baskets = Baskets(Sessions.of([], 30), np.empty(0, np.int64), np.empty(0), 0)
    tables = Tables.fit([str(i) for i in range(30)], sessions, baskets)
    codes = most_clicked(sessions)
    model = SelfAttention(dimensions=8)
    untrained(model, over(sessions, codes))
    network = ServedModel(model, codes)
    recent = np.array([8, 9])
    by_tables, _, causes = tables.after(recent)
    by_network = network.after(recent)
    items, scores, said_by = Following(tables, network, "both").after(recent)
    assert set(items.tolist()) == {*by_tables.tolist(), *by_network.tolist()}
    assert (np.diff(scores) <= 0).all()
    table_causes = dict(zip(by_tables.tolist(), causes.tolist(), strict=True))
    for item, cause in zip(items.tolist(), said_by.tolist(), strict=True):
        assert cause == table_causes.get(item, -1)
        ranks = [np.flatnonzero(some == item) for some in (by_tables, by_network)]
        expected = sum(1 / (20 + r[0] + 1) for r in ranks if r.size)
        assert scores[items.tolist().index(item)] == pytest.approx(expected, abs=1e-6)
    # What the network does not know is left to the tables.
    unknown = np.array([29])
    assert 29 not in codes
    assert (Following(tables, network, "both").after(unknown)[0] == tables.after(unknown)[0]).all()


def test_a_network_knows_what_is_clicked_most():
    sessions = Sessions.of([[5, 1, 5], [1, 9], [7]], 12)
    codes = most_clicked(sessions)
    assert codes.tolist() == [1, 5, 7, 9]
    some = over(sessions, np.array([1, 5]))
    assert (some.starts.tolist(), some.items.tolist()) == ([0, 3, 4, 4], [1, 0, 1, 0])


def test_what_cannot_be_served_or_judged_is_refused(
    shop_root, sessions_file, tmp_path, monkeypatch
):
    with pytest.raises(InvalidInput, match="no 'gru'"):
        train_recommender(shop_root, sessions_file, "gru")
    few = tmp_path / "few.parquet"
    pq.write_table(pq.read_table(sessions_file)[:40], few)
    with pytest.raises(InvalidInput, match="too few sessions"):
        train_recommender(shop_root, few, "sasrec")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match="torch"):
        train_recommender(shop_root, sessions_file, "sasrec")


def test_broken_weights_are_refused(tmp_path):
    sessions = Sessions.of([[0, 1, 2], [1, 2, 3]], 4)
    model = SelfAttention(dimensions=4)
    untrained(model, sessions)
    ServedModel(model, np.arange(4)).save(tmp_path)
    assert load_served(tmp_path).after(np.array([1])).size
    (tmp_path / CODES).write_bytes(b"nothing of the kind")
    with pytest.raises(InvalidInput, match="not the weights"):
        load_served(tmp_path)
    text = (tmp_path / MANIFEST).read_text().replace('"sasrec"', '"semantic-ids"')
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(InvalidInput, match="not served"):
        load_served(tmp_path)


def test_a_network_is_one_more_source_of_the_stack(without_torch):
    """It brings candidates that nobody else has, and says of every candidate how near it is."""
    rng = np.random.default_rng(3)
    walks = [(np.arange(4) + start).tolist() for start in rng.integers(0, 36, 300)]
    lesson = Sessions.of(walks, 40)
    asked = Sessions.of([[3, 4], [20], []], 40)
    plain, more = Sources(), Sources(network=SelfAttention(dimensions=8))
    for sources in (plain, more):
        sources.fit(lesson)
    before, after = plain.candidates(asked), more.candidates(asked)
    assert after.features.shape[1] == before.features.shape[1] + 5
    assert len(set(zip(after.row, after.item, strict=True))) > before.row.size
    network = more.network
    rows, clicks, held = network.window(asked)
    state = network.states(clicks, held)[rows.tolist().index(1)]
    near = network.alike(asked, after.row, after.item)
    one = np.flatnonzero((after.row == 1) & (after.item == 21))
    assert near[one] == pytest.approx(float(state @ unit(network.arrays["items"])[21]), abs=1e-6)
    assert np.isin(near, after.features).all()
    model = Stacked(network=True, rounds=5)
    model.fit(lesson)
    items, _ = model.recommend(asked, 5)
    assert 5 in items[0]
    assert (items[2] == -1).all()
