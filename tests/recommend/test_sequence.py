"""Networks over sessions: trained where torch is, answered where it is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tandem.contracts.errors import InvalidInput, MissingExtra
from tandem.flows.recommend import evaluate_next_item
from tandem.recommend.conformance import check_recommender
from tandem.recommend.files import CLICKS, read_clicks
from tandem.recommend.sequence import SelfAttention
from tandem.recommend.sessions import Sessions
from tandem.recommend.weights import MANIFEST, WEIGHTS, NetworkManifest, save_weights

ITEMS = 12


def small(**parameters: object) -> SelfAttention:
    return SelfAttention(**{"dimensions": 6, "blocks": 2, "reach": 4, **parameters})


def written(model: SelfAttention, folder: Path, lesson: Sessions | None = None) -> Path:
    """Random weights of a model's shapes; item 11 was never clicked."""
    items = lesson.size if lesson is not None else ITEMS
    rng = np.random.default_rng(3)
    arrays = {
        name: rng.standard_normal(shape).astype(np.float32)
        for name, shape in model.shapes(items).items()
    }
    arrays["known"] = np.arange(items) != 11
    fingerprint = model.fingerprint(lesson) if lesson is not None else "0"
    folder.mkdir(parents=True)
    save_weights(
        folder,
        arrays,
        NetworkManifest(model.name, model.parameters(), fingerprint, 0, items, model.seed),
    )
    return folder


@pytest.fixture
def served(tmp_path) -> SelfAttention:
    written(small(), tmp_path / "sasrec")
    model = small()
    model.load(tmp_path / "sasrec")
    return model


def norm(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * w + b


def one_by_one(model: SelfAttention, clicks: list[int]) -> np.ndarray:
    """The same network, one click and one number after the other, out of the paper's formulas."""
    w = {k: v.astype(np.float64) for k, v in model.arrays.items()}
    hidden = [w["items"][i] / np.linalg.norm(w["items"][i]) for i in clicks[-model.reach :]]
    for block in range(model.blocks):
        p = {k.removeprefix(f"blocks.{block}."): v for k, v in w.items()}
        x = [norm(h, p["first.weight"], p["first.bias"]) for h in hidden]
        query, key, value = (
            [p[f"{n}.weight"] @ v + p[f"{n}.bias"] for v in x] for n in ("query", "key", "value")
        )
        after = []
        for at, h in enumerate(hidden):
            logits = [
                query[at] @ key[j] / np.sqrt(model.dimensions) + p["distance"][at - j]
                for j in range(at + 1)
            ]
            share = np.exp(logits) / np.exp(logits).sum()
            seen = sum(s * v for s, v in zip(share, value[: at + 1], strict=True))
            h = h + p["out.weight"] @ seen + p["out.bias"]
            y = norm(h, p["second.weight"], p["second.bias"])
            y = np.maximum(p["inner.weight"] @ y + p["inner.bias"], 0)
            after.append(h + p["outer.weight"] @ y + p["outer.bias"])
        hidden = after
    last = norm(hidden[-1], w["last.weight"], w["last.bias"])
    return last / np.linalg.norm(last)


@pytest.mark.parametrize("clicks", [[3], [3, 5], [1, 2, 1, 2], [9, 8, 7, 6, 5, 4]])
def test_what_serves_is_the_network_of_the_paper(served, clicks):
    """Also beside longer sessions, and with an item that nobody knows among the clicks."""
    batch = Sessions.of([[0, 1, 2, 3, 4], [*clicks[:1], 11, *clicks[1:]]], ITEMS)
    state = served.states(*served.window(batch)[1:])[1]
    np.testing.assert_allclose(state, one_by_one(served, clicks), atol=2e-5)
    items, scores = served.recommend(batch, ITEMS)
    vectors = served.arrays["items"] / np.linalg.norm(served.arrays["items"], axis=1)[:, None]
    cosines = vectors @ one_by_one(served, clicks)
    assert items[1].tolist() == [*(i for i in np.argsort(-cosines) if i != 11), -1]
    np.testing.assert_allclose(scores[1][:-1] - 1.001, np.sort(cosines[:11])[::-1], atol=2e-5)


def test_sessions_without_a_known_item_get_nothing(served):
    items, _ = served.recommend(Sessions.of([[], [11], [2]], ITEMS), 3)
    assert (items[:2] == -1).all()
    assert (items[2] >= 0).all()
    assert (served.recommend(Sessions.of([[]], ITEMS), 3)[0] == -1).all()


@pytest.fixture
def data(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    walks = [(int(rng.integers(10)) + np.arange(4)) % 12 for _ in range(100)]
    rows = [(s, p, int(i)) for s, walk in enumerate(walks) for p, i in enumerate(walk)]
    session, position, item = zip(*rows, strict=True)
    pq.write_table(
        pa.table({"session_id": session, "position": position, "item_id": item}), tmp_path / CLICKS
    )
    pq.write_table(pa.table({"prefix": [[1, 2]], "target": [3]}), tmp_path / "test.parquet")
    return tmp_path


def test_trained_weights_are_measured_without_torch(data):
    lesson = read_clicks(data / CLICKS).sessions
    written(SelfAttention(), data / "networks" / "sasrec", lesson)
    code = (
        "import sys; sys.modules['torch'] = None\n"
        f"sys.argv = ['tandem', 'recommend', 'evaluate', '--systems', 'sasrec', '--data', "
        f"{str(data)!r}, '--test', {str(data / 'test.parquet')!r}, '--weights', "
        f"{str(data / 'networks')!r}, '--json']\n"
        "from tandem.cli.main import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert set(found["systems"]) == {"sasrec"}
    assert {"P@20", "MRR@20", "train_s", "p99_ms"} <= set(found["systems"]["sasrec"])


def test_weights_that_learned_from_something_else_are_refused(data):
    """Else a network could have seen what it is asked for."""
    lesson = read_clicks(data / CLICKS).sessions
    written(SelfAttention(), data / "networks" / "sasrec", lesson)
    with pytest.raises(InvalidInput, match="something else"):
        evaluate_next_item(data=data, systems=("sasrec",), weights=data / "networks")
    with pytest.raises(InvalidInput, match="other parameters"):
        SelfAttention(blocks=2).load(data / "networks" / "sasrec")


@pytest.mark.parametrize("spoil", ["gone", "cut", "shape", "nan", "manifest"])
def test_broken_weights_say_so(tmp_path, spoil):
    folder = written(small(), tmp_path / "sasrec")
    if spoil == "gone":
        (folder / WEIGHTS).unlink()
    elif spoil == "cut":
        (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-40])
    elif spoil == "manifest":
        (folder / MANIFEST).write_text("{}")
    else:
        from safetensors.numpy import load_file, save_file

        arrays = load_file(folder / WEIGHTS)
        arrays["last.bias"] = (
            arrays["last.bias"][:-1] if spoil == "shape" else arrays["last.bias"] * np.nan
        )
        save_file(arrays, folder / WEIGHTS)
    with pytest.raises(InvalidInput) as caught:
        small().load(folder)
    assert caught.value.remedy
    assert str(folder) in caught.value.message


def test_training_without_torch_names_the_extra(monkeypatch, data, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra) as raised:
        evaluate_next_item(data=data, systems=("gsasrec",), weights=tmp_path / "new")
    assert "tandem-commerce[neural]" in raised.value.remedy
    assert not list((tmp_path / "new").glob("*"))


# --- With torch -----------------------------------------------------------------------------------


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="training needs the extra neural")


@pytest.mark.parametrize("loss", ["softmax", "gbce"])
def test_networks_behave(torch, loss):
    check_recommender(lambda: SelfAttention(loss=loss, least_steps=120))


def test_torch_and_numpy_agree(torch):
    from tandem.recommend import sequence

    model = small()
    lesson = Sessions.of([[i, i + 1, i + 2] for i in range(9)] * 10, ITEMS)
    model.least_steps = 20
    model.fit(lesson)
    network = sequence._network(torch, model, model.arrays["items"])
    weights = {k: v for k, v in model.arrays.items() if k != "known"}
    network.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
    network.eval()
    rows, clicks, held = model.window(Sessions.of([[1, 2], [3, 4, 5, 6, 7]], ITEMS))
    with torch.no_grad():
        theirs = network(torch.from_numpy(clicks)).numpy()[rows, held.sum(1) - 1]
    np.testing.assert_allclose(model.states(clicks, held), theirs, atol=1e-5)


def test_what_is_trained_is_read_again_and_the_same_each_time(torch, data):
    lists = []
    for folder in ("one", "two", "one"):
        found = evaluate_next_item(
            data=data,
            test=data / "test.parquet",
            systems=("gsasrec",),
            weights=data / folder,
        )
        lists.append(found.systems["gsasrec"].mrr)
    one, two = ((data / f / "gsasrec" / WEIGHTS).read_bytes() for f in ("one", "two"))
    assert one == two
    assert len(set(lists)) == 1


def test_the_binary_loss_starts_from_nothing_being_next(torch):
    """A coin tossed for every negative would drown the one that is next, and push all items to one
    side: the loss is below that from the start."""
    starts = np.random.default_rng(2).integers(0, 996, 1_000)
    lesson = Sessions.of([(np.arange(4) + start).tolist() for start in starts], 1_000)
    model = small(name="gsasrec", loss="gbce", dimensions=8, blocks=1, epochs=1, least_steps=1)
    model.fit(lesson)
    assert model.manifest.losses[0] < model.negatives * np.log(2)
