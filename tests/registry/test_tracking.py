"""What trackers are told: MLflow by its own local store, OpenLineage by its own classes."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.flows.import_ import import_judgments
from tandem.flows.telling import tracked
from tandem.flows.train_matcher import train_matcher
from tandem.flows.train_recommender import train_recommender
from tandem.registry import tracking
from tandem.registry.decisions import Decisions
from tandem.registry.lineage import DataSet, job
from tandem.storage.atomic import write_atomic, write_json_atomic
from tandem.storage.catalog import read_products
from tandem.storage.layout import Layout, Settings

MANIFEST = {
    "model": "linear",
    "seed": 7,
    "data_fingerprint": "ab" * 32,
    "features": ["bm25", "price"],
    "metrics": {"nDCG@10": {"mean": 0.5, "low": 0.4, "high": 0.6}},
}


def told(layout: Layout, **urls: str) -> Layout:
    settings = replace(layout.settings(), tracking=urls)
    write_atomic(layout.settings_file, settings.to_toml().encode())
    return layout


@pytest.fixture
def layout(tmp_path) -> Layout:
    return Layout.create(tmp_path / "shop", Settings(name="My shop"))


def test_a_server_that_is_away_stops_nothing_and_is_told_later(layout, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)  # the library may open a database where it is run
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert tracking.trained(layout, "models", "g000000-20260101T000000", MANIFEST) == 0
    assert tracking.untold(layout) == []

    def away(uri):
        raise OSError("nobody is there")

    told(layout, mlflow_uri="http://127.0.0.1:9")
    monkeypatch.setattr(tracking, "_mirror", lambda *_: away(None))
    first, second = "g000001-20260101T000000", "g000002-20260102T000000"
    assert tracking.trained(layout, "models", first, MANIFEST) == 1
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")

    uri = f"file://{tmp_path}/mlruns"
    told(layout, mlflow_uri=uri)
    book = Decisions(layout.decisions)
    assert tracking.decided(layout, "models", book.record(first, "live", who="a", why="first")) == 0
    assert tracking.trained(layout, "models", second, MANIFEST) == 0
    decision = book.record(second, "live", who="b", why="better", instead_of=first)
    assert tracking.decided(layout, "models", decision) == 0
    assert tracking.untold(layout) == []

    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    name = "tandem.My shop.models"
    versions = {
        v.tags["tandem.generation"]: v for v in client.search_model_versions(f"name = '{name}'")
    }
    assert versions[first].tags["tandem.stage"] == "retired"
    assert versions[second].tags["tandem.why"] == "better"
    assert client.get_model_version_by_alias(name, "live").version == versions[second].version
    run = client.get_run(versions[second].run_id).data
    assert run.metrics["nDCG_at_10.mean"] == 0.5
    assert run.params["data_fingerprint"] == "ab" * 32
    assert json.loads(run.tags["tandem.features"]) == ["bm25", "price"]


def test_lineage_is_what_openlineage_reads(layout):
    pytest.importorskip("openlineage")
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent

    with job(layout, "index", DataSet("catalog", "g1")) as running:
        running.outputs.append(DataSet("index", "g2", 60))
    with pytest.raises(ValueError, match="broken"), job(layout, "train ranker"):
        raise ValueError("broken")
    events = [json.loads(line) for line in layout.lineage.read_text().splitlines()]
    assert [e["eventType"] for e in events] == ["START", "COMPLETE", "START", "FAIL"]
    done = events[1]
    assert done["run"]["runId"] == events[0]["run"]["runId"] != events[2]["run"]["runId"]
    assert done["inputs"][0]["facets"]["version"]["datasetVersion"] == "g1"
    assert done["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 60
    assert events[3]["run"]["facets"]["errorMessage"]["message"] == "broken"
    for e in events:
        # The library's own classes check types, URIs and times; required fields are theirs.
        assert e["schemaURL"].startswith("https://openlineage.io/spec/")
        RunEvent(
            eventType=e["eventType"],
            eventTime=e["eventTime"],
            run=Run(e["run"]["runId"]),
            job=Job(e["job"]["namespace"], e["job"]["name"]),
            inputs=[InputDataset(d["namespace"], d["name"]) for d in e["inputs"]],
            outputs=[OutputDataset(d["namespace"], d["name"]) for d in e["outputs"]],
            producer=e["producer"],
        )


def test_a_catcher_that_is_away_stops_nothing(layout, caplog):
    pytest.importorskip("openlineage")
    told(layout, openlineage_url="http://127.0.0.1:9")
    with job(layout, "index"):
        pass
    assert "not delivered" in caplog.text
    assert not layout.lineage.exists()


def test_a_tracker_that_there_is_not_is_refused(layout):
    told(layout, wandb_uri="http://127.0.0.1:9")
    with pytest.raises(InvalidInput, match="tracking"):
        layout.settings()


def test_every_training_and_import_is_a_job_with_what_it_read_and_made(shop_copy, tmp_path):
    """Judgments, events, recommender and matcher: from files to generations, as OpenLineage."""
    pytest.importorskip("openlineage")
    layout = Layout.open(shop_copy)
    ids = [p.id for batch in read_products(layout) for p in batch][:12]
    judged = tmp_path / "judged.csv"
    judged.write_text(
        "query,product_id,rating\n" + "".join(f"shoe,{i},{n % 4}\n" for n, i in enumerate(ids))
    )
    import_judgments(layout, judged, "mine")
    clicks = tmp_path / "clicks.parquet"
    rows = [(f"s{n}", n, ids[(n + m) % 12]) for n in range(40) for m in range(3)]
    names = ("session_id", "timestamp", "item_id")
    pq.write_table(
        pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))), clicks
    )
    made = train_recommender(layout, clicks)
    with pytest.raises(NotFound):
        train_matcher(layout)
    done = {}
    for line in layout.lineage.read_text().splitlines():
        e = json.loads(line)
        done[e["job"]["name"], e["eventType"]] = e
    assert {n for n, state in done if state == "COMPLETE"} >= {
        "import judgments",
        "train recommender",
    }
    assert ("train matcher", "FAIL") in done
    (kept,) = done["import judgments", "COMPLETE"]["outputs"]
    assert kept["name"] == "judgments/mine"
    assert kept["outputFacets"]["outputStatistics"]["rowCount"] == 12
    trained = done["train recommender", "COMPLETE"]
    assert {d["name"] for d in trained["inputs"]} == {"index", "events"}
    assert trained["outputs"][0]["facets"]["version"]["datasetVersion"] == made.generation


def test_mlflow_is_told_of_every_kind_of_training(layout, monkeypatch):
    """A training of any kind, and what was decided about it, once it has a generation."""
    heard = []
    monkeypatch.setattr(
        "tandem.registry.tracking.trained", lambda *a: heard.append(("trained", a[1], a[2]))
    )
    monkeypatch.setattr(
        "tandem.registry.tracking.decided", lambda *a: heard.append(("decided", a[1], a[2].stage))
    )

    @dataclass(frozen=True)
    class Report:
        generation: str | None

    @tracked("matchers")
    def train(layout, made):
        if made:
            write_json_atomic(layout.matchers.root / made / "manifest.json", {"seed": 7})
            Decisions(layout.decisions).record(made, "live", who="x", why="y", kind="matchers")
        return Report(made)

    train(layout, None)
    assert heard == []
    train(layout, "g000001-20260301T000000")
    assert heard == [
        ("trained", "matchers", "g000001-20260301T000000"),
        ("decided", "matchers", "live"),
    ]
