"""A stack that answers what comes next in a shop: kept with the recommender, read back without
learning, asked only where it foretells better, gone with those it learned from. All simulated."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from tandem.contracts.errors import InvalidInput
from tandem.contracts.recommend import STORED_EVENTS, Kind, RecommendRequest
from tandem.flows import rights
from tandem.flows.generations import retire_generation
from tandem.flows.import_ import create_workspace, import_simulated
from tandem.flows.index import build_index
from tandem.flows.train_recommender import train_recommender
from tandem.flows.workspace import open_workspace
from tandem.recommend import following
from tandem.recommend.following import CODES, FOLDER, ServedModel, load_served, newest
from tandem.recommend.models import SessionKNN
from tandem.recommend.sessions import Sessions
from tandem.recommend.stacking import TREES_FILE, Sources, Stacked
from tandem.recommend.tables import MANIFEST, load_tables
from tandem.recommend.weights import WEIGHTS
from tandem.storage.layout import Layout
from tandem.storage.seal import seal

PRODUCTS = 40


def pairs_decide(n: int = 400) -> list[list[int]]:
    """The third product follows from the first two together, and from neither alone."""
    rng = np.random.default_rng(4)
    made = []
    for _ in range(n):
        group, (one, two) = int(rng.integers(6)) * 6, rng.integers(0, 2, 2).tolist()
        made.append([group + one, group + 2 + two, group + 4 + (one ^ two)])
    return made


def one_way(n: int = 400) -> list[list[int]]:
    """What follows a product is always the same one: tables cannot be beaten."""
    starts = np.random.default_rng(4).integers(0, PRODUCTS - 4, n).tolist()
    return [list(range(at, at + 4)) for at in starts]


def product(code: int) -> str:
    return f"SIM-{code + 1:07d}"


def file_of(folder, walks):
    rows = [
        (f"s{s}", product(i), 100 * s + at) for s, w in enumerate(walks) for at, i in enumerate(w)
    ]
    names = ("session_id", "item_id", "timestamp")
    table = pa.table({name: [r[i] for r in rows] for i, name in enumerate(names)})
    path = folder / "sessions.parquet"
    pq.write_table(table.replace_schema_metadata({"simulated": "true"}), path)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A shop with a published stack."""
    layout = create_workspace(tmp_path_factory.mktemp("shop") / "ws", simulated=True)
    import_simulated(layout, 60)
    build_index(layout)
    events = file_of(tmp_path_factory.mktemp("sessions"), pairs_decide())
    return layout, train_recommender(layout, events, "stacked")


@pytest.fixture(scope="module")
def stack() -> ServedModel:
    return ServedModel.fit("stacked", Sessions.of(pairs_decide(), PRODUCTS + 5))


def test_the_last_tenth_can_choose_the_stack_and_it_is_served(trained, monkeypatch):
    layout, report = trained
    figures = report.manifest.metrics["next_by"]
    assert (report.manifest.network, report.manifest.next_by) == ("stacked", "network")
    assert figures["network"]["MRR@20"] > figures["tables"]["MRR@20"] + 5
    assert report.manifest.metrics["next"] == figures["network"]
    assert report.manifest.simulated

    def learning(*_):
        raise AssertionError("serving must not learn")

    for kind in (Sources, Stacked, SessionKNN):
        monkeypatch.setattr(kind, "fit", learning)
    with open_workspace(layout.root) as shop:
        asked = RecommendRequest(kind=Kind.NEXT, recent=(product(6), product(9)), size=5)
        found = shop.recommend(asked)
        other = shop.recommend(asked.model_copy(update={"recent": (product(6), product(8))}))
        feed = shop.recommend(asked.model_copy(update={"kind": Kind.FEED}))
        stack, tables = shop.view.following.network, shop.view.recommender
        named = [tables.ids[c] for c in stack.after(tables.known(asked.recent)).tolist()]
    assert found.model_generation == report.generation
    expected = [i for i in named if i not in asked.recent][: asked.size]
    assert [i.product.id for i in found.items][: len(expected)] == expected
    assert found.items[0].product.id == product(6 + 4 + 1)
    assert other.items[0].product.id == product(6 + 4)
    assert found.items[0].product.id in {i.product.id for i in feed.items}


def test_the_last_tenth_can_choose_the_tables_and_no_stack_is_kept(trained, tmp_path):
    layout, before = trained
    report = train_recommender(layout, file_of(tmp_path, one_way()), "stacked", live=False)
    figures = report.manifest.metrics["next_by"]
    assert figures["tables"]["MRR@20"] == max(f["MRR@20"] for f in figures.values()) == 100
    assert (report.manifest.network, report.manifest.next_by) == (None, "tables")
    assert not (layout.recommenders.path(report.generation) / FOLDER).exists()
    assert layout.recommenders.live() == before.generation


def test_answers_after_loading_are_those_before(stack, tmp_path):
    stack.save(tmp_path)
    again = load_served(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        (MANIFEST, WEIGHTS, TREES_FILE, CODES)
    )
    rng = np.random.default_rng(2)
    asked = Sessions.of([rng.integers(0, 36, rng.integers(1, 6)) for _ in range(50)], 36)
    for one, other in zip(
        stack.model.recommend(asked, 20), again.model.recommend(asked, 20), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    before, after = stack.model.sources.candidates(asked), again.model.sources.candidates(asked)
    np.testing.assert_array_equal(before.features, after.features)
    for recent in ([6, 9], [PRODUCTS + 1], []):
        known = np.array(recent, np.int64)
        np.testing.assert_array_equal(stack.after(known), again.after(known))
    # Nobody clicked it: the tables answer.
    assert not again.after(np.array([PRODUCTS + 1])).size


def changed(folder, name, how):
    (folder / name).write_bytes(how((folder / name).read_bytes()))


def other(**values):
    return lambda text: json.dumps(json.loads(text) | values).encode()


@pytest.mark.parametrize(
    ("file", "how", "why"),
    [
        (TREES_FILE, lambda _: b"nothing of the kind", "its trees are not"),
        (TREES_FILE, lambda text: text[: len(text) // 3], "its trees are not"),
        (WEIGHTS, lambda data: data[:-9], "not the weights"),
        (MANIFEST, other(items=12), "not the weights"),
        (MANIFEST, lambda text: text.replace(b'"reach": 20', b'"reach": 19'), "other sources"),
        (MANIFEST, other(parameters={"sessions": 400, "sources": {}}), "not those that were"),
        (MANIFEST, other(parameters=None), "no stack"),
        (MANIFEST, other(kind="semantic-ids"), "not served"),
    ],
)
def test_what_does_not_fit_is_refused(stack, tmp_path, file, how, why):
    stack.save(tmp_path)
    changed(tmp_path, file, how)
    with pytest.raises(InvalidInput, match=why):
        load_served(tmp_path)


def test_tables_that_name_what_is_not_there_are_refused(stack, tmp_path):
    stack.save(tmp_path)
    arrays = load_file(tmp_path / WEIGHTS)
    arrays["around.columns"][0] = PRODUCTS
    save_file(arrays, tmp_path / WEIGHTS)
    with pytest.raises(InvalidInput, match="'around' does not hold together"):
        load_served(tmp_path)


def test_a_stack_of_another_shop_is_refused(trained, stack, tmp_path):
    layout, report = trained
    folder = tmp_path / "generation"
    shutil.copytree(layout.recommenders.path(report.generation), folder)
    ServedModel(stack.model, stack.codes + PRODUCTS).save(folder / FOLDER)
    with pytest.raises(InvalidInput, match="not those of the tables"):
        following.load_following(folder, *load_tables(folder))


def test_it_keeps_the_newest_sessions_and_the_last_clicks_of_each(monkeypatch):
    monkeypatch.setattr(following, "MOST_SESSIONS", 2)
    monkeypatch.setattr(following, "MOST_CLICKS", 3)
    kept = newest(Sessions.of([[1], [2, 3, 4, 5], [6, 7]], 9))
    assert (kept.starts.tolist(), kept.items.tolist()) == ([0, 3, 5], [3, 4, 5, 6, 7])


def test_too_few_sessions_to_learn_from_are_refused():
    for walks in ([], [[1], [2]], [[n, n + 20] for n in range(20)]):
        with pytest.raises(InvalidInput, match="too few sessions"):
            ServedModel.fit("stacked", Sessions.of(walks, PRODUCTS))


def test_a_stack_that_learned_from_people_goes_with_one_of_them(trained, tmp_path):
    """From the disk with its sessions, and from the memory of a server that has it loaded."""
    published, report = trained
    shutil.copytree(published.root, tmp_path / "ws")
    layout = Layout.open(tmp_path / "ws")
    for name in set(layout.recommenders.names()) - {report.generation}:
        retire_generation(layout, "recommenders", name)
    folder = layout.recommenders.path(report.generation)
    changed(folder, MANIFEST, other(data=STORED_EVENTS))  # as if it had been from the stored ones
    seal(folder)
    with open_workspace(layout.root) as shop:
        asked = RecommendRequest(kind=Kind.NEXT, recent=(product(6),), size=5)
        shop.with_artefact(shop.view, "recommenders", report.generation)
        assert shop.recommend(asked).model_generation == report.generation
        done = rights.erase(layout, ["a" * 32])
        assert f"recommenders/{report.generation}" in done.counts["models"]
        assert not folder.exists()
        shop.refresh()
        assert shop.view.following is None
        assert "recommenders" not in shop._held
        assert not shop._tried
        assert shop.recommend(asked).model_generation is None
