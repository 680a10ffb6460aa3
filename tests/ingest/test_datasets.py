"""Finding data sets; the "public source" of these tests is a folder."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tandem.contracts.errors import InvalidInput
from tandem.ingest import datasets
from tandem.ingest.datasets import find
from tandem.ingest.door import Door
from tandem.ingest.judgments import read_judgments


@pytest.fixture(autouse=True)
def _nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data on this machine, and no network."""
    monkeypatch.setattr(
        datasets,
        "_folders",
        lambda folders=datasets._folders: iter([f for f in folders() if tmp_path in f.parents]),
    )
    monkeypatch.delenv("TANDEM_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    nowhere = {"products": (tmp_path / "gone").as_uri(), "judgments": (tmp_path / "gone").as_uri()}
    monkeypatch.setattr(datasets, "SOURCES", {"esci": nowhere, "icecat": nowhere})


def local(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "products.jsonl.gz").write_bytes(gzip.compress(b'{"id": "a", "title": "A"}\n'))
    (folder / "judgments.csv").write_text("query,product_id,rating\nq,a,3\n")
    return folder


def test_tandem_data_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = local(tmp_path / "mine" / "icecat")
    local(tmp_path / "shared" / "data" / "icecat")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("TANDEM_DATA", str(folder.parent))
    found = find("icecat")
    assert found is not None
    assert (found.products, found.judgments) == (
        (folder / "products.jsonl.gz",),
        folder / "judgments.csv",
    )
    assert (found.mapping, found.currency, found.origin) == ("icecat", "EUR", str(folder))


def test_then_shared_data_beside_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = local(tmp_path / "shared" / "data" / "esci")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("TANDEM_DATA", str(tmp_path / "empty"))
    found = find("esci")
    assert found is not None
    assert found.judgments.parent == folder


def test_a_failed_download_is_none_with_a_reason(tmp_path: Path) -> None:
    said: list[str] = []
    assert find("icecat", said.append) is None
    assert "could not be downloaded" in said[-1]
    assert "gone" in said[-1]
    assert not list((tmp_path / "cache").rglob("*.*"))


def test_unknown_names_are_an_error() -> None:
    with pytest.raises(InvalidInput, match="amazon"):
        find("amazon")


def source(monkeypatch: pytest.MonkeyPatch, name: str, products: Path, judgments: Path) -> None:
    uris = {"products": products.as_uri(), "judgments": judgments.as_uri()}
    monkeypatch.setattr(datasets, "SOURCES", {name: uris})


def test_icecat_is_fetched_converted_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {
        "id": "7",
        "name": "XR",
        "title": "Lamp",
        "ean": ["1"],
        "supplier": "HP",
        "price": 1999,
        "date_released": "2009-12-10T00:00:00Z",
        "img_high": "http://…",
        "attr_t_colour": "red",
        "attr_n_weight": 1.5,
        "attr_b_wifi": 1,
    }
    content = json.dumps([row]).encode()
    with tarfile.open(tmp_path / "p.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("products.json")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    (tmp_path / "j.csv").write_text("query,docid,rating\nlamp,7,3\nlamp,8,\n")
    source(monkeypatch, "icecat", tmp_path / "p.tar.gz", tmp_path / "j.csv")
    found = find("icecat")
    assert found is not None
    [product] = Door(found.products)
    assert product.attributes == {"colour": "red", "weight": 1.5, "wifi": True}
    assert read_judgments(found.judgments).by_query == {"lamp": {"7": 3}}
    (tmp_path / "p.tar.gz").unlink()
    again = find("icecat")
    assert again is not None
    assert again.judgments == found.judgments


def test_esci_is_fetched_converted_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "_ESCI_JUDGED_AT_LEAST", 2)
    rows = [{"asin": f"B{n}", "title": f"T{n}", "color": None, "query_id": []} for n in range(3)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "p.json.gz").write_bytes(gzip.compress(lines.encode()))
    judged = [
        ("often", "B0", "us", "E"),
        ("often", "B1", "us", "S"),
        ("often", "elsewhere", "us", "E"),
        ("often", "B2", "es", "E"),
        ("seldom", "B0", "us", "I"),
    ]
    names = ("query", "product_id", "product_locale", "esci_label")
    table = pa.table(dict(zip(names, map(list, zip(*judged, strict=True)), strict=True)))
    pq.write_table(table, tmp_path / "j.parquet")
    source(monkeypatch, "esci", tmp_path / "p.json.gz", tmp_path / "j.parquet")
    found = find("esci")
    assert found is not None
    assert [product.id for product in Door(found.products)] == ["B0", "B1", "B2"]
    assert read_judgments(found.judgments).by_query == {"often": {"B0": 3, "B1": 2}}


def test_a_broken_download_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p").write_bytes(b"<html>moved</html>")
    source(monkeypatch, "esci", tmp_path / "p", tmp_path / "p")
    said: list[str] = []
    assert find("esci", said.append) is None
    assert len(said) == 2
    assert not list((tmp_path / "cache").rglob("*.*"))
