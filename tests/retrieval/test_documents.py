"""Products by number, and numbers by id."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.contracts.product import Product
from tandem.retrieval.engines.embedded import documents
from tandem.retrieval.engines.embedded.documents import Documents, DocumentWriter


def written(folder: Path, ids: list[str]) -> Documents:
    writer = DocumentWriter(folder)
    writer.add([Product(id=i, title=f"Of {i}") for i in ids])
    writer.finish()
    return Documents(folder)


@pytest.mark.parametrize("hashed", [hash, len, lambda name: 0])
def test_an_id_is_found_whatever_it_hashes_to(tmp_path, monkeypatch, hashed):
    monkeypatch.setattr(documents, "hash", hashed, raising=False)
    ids = ["a", "b", "ab", "é", "a b"]
    found = written(tmp_path, ids)
    assert found.find(["b", "é", "missing", "a", "a b", "ab"]).tolist() == [1, 3, -1, 0, 4, 2]
    assert [found.product(n).title for n in found.find(ids).tolist()] == [f"Of {i}" for i in ids]


def test_nothing_is_found_where_there_is_nothing(tmp_path):
    found = written(tmp_path, [])
    assert found.find(["a"]).tolist() == [-1]
    assert found.find([]).tolist() == []
