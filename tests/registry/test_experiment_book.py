"""The book of experiments: read as earlier versions wrote it, and whole after SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from tandem.registry.experiments import Experiments

AT = "2026-03-01T12:00:00Z"
RANKER = {"kind": "models", "generation": "g000002-20260301T120000", "share": 0.1, "started": AT}
OTHER = {**RANKER, "kind": "recommenders"}
CANARY = {
    "name": "canary-3",
    "kind": "canary",
    "of": "models",
    "layer": "canary",
    "started": AT,
    "variants": [
        {"name": "control", "weight": 0.9},
        {
            "name": "canary",
            "weight": 0.1,
            "configuration": {"ranker": "ltr", "model": "g000001-20260201T120000"},
        },
    ],
}
# As it was written while rankers had a registry of their own.
OLD = {"salt": "ab", "holdout": 0.1, "experiments": [CANARY], "shadow": RANKER, "shadows": [OTHER]}

CHANGING = """
import sys
from pathlib import Path
from tandem.registry.experiments import Experiments
book = Experiments(Path(sys.argv[1]))
for i in range(100_000):
    book.change(lambda b: b.model_copy(update={"holdout": (i % 90) / 100}))
    print(i, flush=True)
"""


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "experiments.json"
    file.write_text(json.dumps(OLD))
    return file


def test_the_rankers_shadow_of_an_earlier_version_is_read_and_written_anew(file):
    book = Experiments(file).book()
    assert [s.kind for s in book.shadows] == ["models", "recommenders"]
    assert book.shadow_of("models").started == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert book.canary_of("models").tried == "g000001-20260201T120000"
    assert json.loads(file.read_text()) == OLD, "reading changes nothing"
    Experiments(file).change(lambda b: b.model_copy(update={"holdout": 0.2}))
    kept = json.loads(file.read_text())
    assert "shadow" not in kept
    assert [s["kind"] for s in kept["shadows"]] == ["models", "recommenders"]
    assert Experiments(file).book().model_copy(update={"holdout": 0.1}) == book
    file.write_text(json.dumps({**OLD, "shadow": None}))
    assert [s.kind for s in Experiments(file).book().shadows] == ["recommenders"]


@pytest.mark.crash
def test_a_kill_while_it_is_written_anew_loses_nothing(file):
    before = Experiments(file).book()
    for _ in range(3):
        worker = subprocess.Popen(
            [sys.executable, "-c", CHANGING, str(file)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(5):
            told = worker.stdout.readline()
        os.kill(worker.pid, signal.SIGKILL)
        told = (told + worker.stdout.read()).split()[-1]
        worker.wait()
        after = Experiments(file).book()
        assert after.model_copy(update={"holdout": before.holdout}) == before
        # What was acknowledged is there, or the change after it, which was under way.
        assert after.holdout in ((int(told) % 90) / 100, (int(told) + 1) % 90 / 100)
