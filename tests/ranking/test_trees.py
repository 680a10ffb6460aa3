"""A text of LightGBM that is torn or altered is told of, and ends no process."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tandem.contracts.errors import InvalidInput
from tandem.ranking.models import LambdaMART, TrainingSet
from tandem.ranking.trees import read_trees

FEATURES = 4
NAMES = tuple(f"f{i}" for i in range(FEATURES))
# Reads every file that is named, and predicts with what can be read: in a process of its own, which
# has to end well.
READING = """
import sys
from pathlib import Path
import numpy as np
from tandem.contracts.errors import InvalidInput
from tandem.ranking.trees import read_trees
read = 0
for file in sorted(Path(sys.argv[1]).glob("*.txt")):
    try:
        booster = read_trees(file, int(sys.argv[2]))
    except InvalidInput:
        continue
    booster.predict(np.ones((2, int(sys.argv[2]))), pred_contrib=True, num_threads=1)
    read += 1
print(read)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    rng = np.random.default_rng(0)
    features = rng.random((400, FEATURES)).astype(np.float32)
    relevance = (features[:, 0] * 3 + rng.random(400)).astype(np.int64).astype(np.float32)
    groups = np.full(20, 20, np.int64)
    folder = tmp_path_factory.mktemp("trees")
    LambdaMART.fit(TrainingSet(features, relevance, groups, NAMES)).save(folder)
    return folder


def test_what_is_whole_answers_as_the_library_reads_it(trained):
    import lightgbm

    file = trained / "lambdamart-0.txt"
    ours, plain = read_trees(file, FEATURES), lightgbm.Booster(model_file=str(file))
    rows = np.random.default_rng(1).random((50, FEATURES))
    rows[::7, 2] = np.nan
    assert (ours.predict(rows) == plain.predict(rows)).all()
    told = [b.predict(rows, pred_contrib=True) for b in (ours, plain)]
    assert (np.asarray(told[0]) == np.asarray(told[1])).all()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("num_leaves=", "num_leaves=9"),
        ("left_child=1 ", "left_child=7777 "),
        ("decision_type=2 ", "decision_type=5 "),
        ("threshold=", "threshold=nan "),
        ("num_class=1", "num_class=3"),
        ("end of trees", "end"),
        ("tree_sizes=", "tree_sizes=1"),
        ("leaf_value=", "leaf_values="),
    ],
)
def test_what_was_altered_is_named(trained, tmp_path, old, new):
    for file in trained.iterdir():
        text = file.read_text()
        assert old in text
        (tmp_path / file.name).write_text(text.replace(old, new, 1))
    with pytest.raises(InvalidInput, match="trees cannot be read") as told:
        LambdaMART.load(tmp_path, NAMES)
    assert told.value.file.startswith(str(tmp_path))
    with pytest.raises(InvalidInput, match="no model of 3 features"):
        LambdaMART.load(trained, NAMES[:3])


def test_no_torn_or_altered_text_ends_the_process(trained, tmp_path):
    text = (trained / "lambdamart-0.txt").read_text()
    rng = random.Random(5)
    end = text.index("end of trees")
    step = end // 40
    for number, at in enumerate(range(0, end, step)):
        (tmp_path / f"cut-{number}.txt").write_text(text[:at])
    for number in range(120):
        at, taken = rng.randrange(end), rng.choice((0, 1, 1, 2))
        altered = text[:at] + rng.choice("0123456789 .=\n-xe") + text[at + taken :]
        (tmp_path / f"new-{number}.txt").write_text(altered)
    done = subprocess.run(
        [sys.executable, "-c", READING, str(tmp_path), str(FEATURES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
    # Another digit of a number is still a number; nothing that is cut is read.
    assert 0 < int(done.stdout) < 120
