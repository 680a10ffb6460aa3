"""What several test packages share: one small simulated shop, built once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tandem.flows.import_ import create_workspace, import_simulated
from tandem.flows.index import build_index
from tandem.flows.train import train_ranker
from tandem.governance.pseudonyms import VARIABLE
from tandem.storage.judgments import load_judgments, save_judgments

SIMULATED = 400
QUERIES = 24


@pytest.fixture(scope="session", autouse=True)
def _keys_apart(tmp_path_factory) -> Iterator[None]:
    """Keys and witnesses of test workspaces lie in a folder of their own, not in one's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(tmp_path_factory.mktemp("keys")))
        yield


@pytest.fixture(scope="session")
def simulated_shop(tmp_path_factory) -> Path:
    """A trained, indexed, evaluated workspace of simulated products. Read only: copy to change."""
    path = tmp_path_factory.mktemp("simulated") / "shop"
    layout = create_workspace(path, name="simulated", currency="EUR", simulated=True)
    import_simulated(layout, SIMULATED)
    judged = load_judgments(layout, "simulated")
    save_judgments(layout, judged.subset(judged.queries[:QUERIES]), "simulated")
    build_index(layout)
    train_ranker(layout, folds=2)
    return path


@pytest.fixture
def shop_copy(simulated_shop, tmp_path) -> Path:
    """A copy of the simulated shop that a test may change."""
    return Path(shutil.copytree(simulated_shop, tmp_path / "shop"))
