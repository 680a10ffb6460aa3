"""Learning from clicks on real judgments: shoppers are simulated, all else is Icecat's."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tandem.flows.import_ import create_workspace, import_catalog, import_judgments
from tandem.flows.index import build_index
from tandem.flows.unbiased import FULL, study_unbiased
from tandem.flows.workspace import Workspace
from tandem.ingest.datasets import find
from tandem.simulate.clicks import ClickBehaviour
from tandem.storage.judgments import load_judgments

SEARCHES, EVERY = 100_000, 10
STRONG = ClickBehaviour(severity=2.0)
"""Shoppers who rarely look further down: where clicks are most misleading, and a few seeds tell."""


@pytest.mark.data
def test_most_of_the_way_from_naive_clicks_to_judgments_is_won_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All judged products and each tenth of the others, words alone, a linear model: to stay quick.
    The curve over the whole catalogue, with intervals, is in docs/ranking.md."""
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
        study = study_unbiased(
            shop, sessions=(SEARCHES,), methods=("dr",), seeds=3, behaviour=STRONG
        )
    naive, unbiased = (study.point(m, SEARCHES) for m in ("naive", "dr"))
    assert naive.mean < study.point(FULL).mean
    assert unbiased.recovered is not None
    assert unbiased.recovered > 0.5, "most of the distance"
    assert unbiased.p is not None
    assert unbiased.p < 0.05


def _refuse(name: str, target: Path) -> None:
    raise OSError("no network in tests")
