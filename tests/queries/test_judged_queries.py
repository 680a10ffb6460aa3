"""On real judged queries, understanding must not get in the way."""

from __future__ import annotations

import csv
import gzip
import json
import os
from pathlib import Path

import pytest

from tandem.contracts.product import Product
from tandem.queries.analysis import Analyser
from tandem.queries.model import QueryModelBuilder

DATA = Path(os.environ.get("TANDEM_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.mark.data
@pytest.mark.parametrize(("dataset", "brand"), [("esci", "brand"), ("icecat", "supplier")])
def test_hardly_any_judged_query_is_corrected(dataset: str, brand: str, tmp_path: Path) -> None:
    folder = DATA / dataset
    if not (folder / "products.jsonl.gz").is_file():
        pytest.skip(f"no {dataset} data in {DATA}: set TANDEM_DATA")
    analyser = Analyser()
    builder = QueryModelBuilder(analyser)
    with gzip.open(folder / "products.jsonl.gz", "rt", encoding="utf-8") as lines:
        for n, line in enumerate(lines):
            row = json.loads(line)
            title = (row.get("title") or "").strip()[:2000]
            if title:
                named = row.get(brand) or None
                builder.add(analyser.analyse(Product(id=str(n), title=title, brand=named)))
    model = builder.finish(tmp_path)
    with (folder / "judgments.csv").open(encoding="utf-8", newline="") as file:
        queries = list(dict.fromkeys(row["query"] for row in csv.DictReader(file)))
    corrected = {q: u.corrected for q in queries if (u := model.understand(q)).corrected}
    assert len(corrected) <= 0.03 * len(queries), corrected
    assert all(model.understand(q).terms for q in queries)
