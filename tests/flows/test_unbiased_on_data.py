"""Learning from clicks on real judgments: shoppers are simulated, all else is Icecat's."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tandem.flows.import_ import create_workspace, import_catalog, import_judgments
from tandem.flows.index import build_index
from tandem.flows.unbiased import FULL_PAIRWISE, study_unbiased
from tandem.flows.workspace import Workspace
from tandem.ingest.datasets import find
from tandem.storage.judgments import load_judgments

SEARCHES, EVERY = 20_000, 10


@pytest.mark.data
def test_most_of_the_way_from_naive_clicks_to_judgments_is_won_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All judged products and each tenth of the others, words alone, one seed: to stay quick. The
    curve over the whole catalogue, with intervals, is in docs/ranking.md."""
    monkeypatch.setattr("tandem.ingest.datasets._download", _refuse)
    files = find("icecat")
    if files is None:
        pytest.skip("Icecat is neither in TANDEM_DATA nor in ../shared/data")
    layout = create_workspace(tmp_path / "shop", encoder=None, currency=files.currency)
    import_judgments(layout, files.judgments, "icecat")
    known = {j.product_id for j in load_judgments(layout, "icecat")}
    few = tmp_path / "few.jsonl"
    with gzip.open(files.products[0], "rt") as lines, few.open("w") as out:
        for number, line in enumerate(lines):
            if number % EVERY == 0 or json.loads(line)["id"] in known:
                out.write(line)
    import_catalog(layout, [few], files.mapping)
    build_index(layout)
    with Workspace(layout, ranked=False) as shop:
        study = study_unbiased(shop, sessions=(SEARCHES,), methods=("pairwise",), seeds=1)
    naive, unbiased = (study.point(m, SEARCHES) for m in ("naive-pairwise", "pairwise"))
    full = study.point(FULL_PAIRWISE)
    assert naive.mean < full.mean
    assert unbiased.recovered is not None
    assert unbiased.recovered > 0.5, "most of the distance"


def _refuse(name: str, target: Path) -> None:
    raise OSError("no network in tests")
