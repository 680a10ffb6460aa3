from __future__ import annotations

import csv
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tandem.cli.matching import match_app
from tandem.contracts.errors import InvalidInput, NotFound, TandemError
from tandem.flows import match
from tandem.flows.match import MEASURES, collaborations_folder, evaluate_file, measure, score_pool
from tandem.matching.files import read_held_out, read_market
from tandem.matching.systems import SYSTEMS

FAST = ("random", "cosine_topics", "circle")


def test_measures_of_a_ranking_known_by_hand() -> None:
    scores = np.array([[4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 3.0], [1.0, 1.0, 1.0, 1.0]])
    truth = np.array([[1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], bool)
    values = measure(scores, truth)
    assert values.shape == (2, len(MEASURES))  # a brand without a collaborator says nothing
    ideal = 1 + 1 / math.log2(3)
    np.testing.assert_allclose(values[0], [0.75, (1 + 0.5) / ideal, 1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(values[1], [0, 1 / math.log2(5), 1, 1, 4], atol=1e-6)


def test_equal_scores_have_auc_one_half() -> None:
    assert measure(np.zeros((1, 6)), np.array([[1, 0, 0, 1, 0, 0]], bool))[0, 0] == 0.5


def rewrite(source: Path, target: Path, change: str) -> Path:
    with source.open(newline="") as handle:
        head, *rows = csv.reader(handle)
    rng = random.Random(4)
    if change == "labels":
        for row in rows:
            row[2] = str(rng.randint(1, 30))
    elif change == "partners":
        creators = [row[1] for row in rows]
        rng.shuffle(creators)
        rows = [
            list(r)
            for r in dict.fromkeys((b, c, "1") for (b, _, _), c in zip(rows, creators, strict=True))
        ]
    rng.shuffle(rows)
    with target.open("w", newline="") as handle:
        csv.writer(handle).writerows([head, *rows])
    return target


@pytest.mark.parametrize("change", ["labels", "partners"])
def test_scores_do_not_depend_on_the_labels_of_the_test_file(
    folder: Path, tmp_path: Path, change: str
) -> None:
    """Who worked with whom in the test file, how well, and in which order, changes no score."""
    market, known = read_market(folder)
    changed = rewrite(folder / "test.csv", tmp_path / "test.csv", change)
    pools = [read_held_out(path, market, known) for path in (folder / "test.csv", changed)]
    if change == "partners":
        assert (pools[0].truth != pools[1].truth).any()
    first, second = (dict(score_pool(market, pool, SYSTEMS, seed=7)) for pool in pools)
    for name in SYSTEMS:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_tested_brands_are_taken_out_of_what_is_learned(folder: Path, tmp_path: Path) -> None:
    market, known = read_market(folder)
    pool = read_held_out(folder / "train.csv", market, known)
    assert len(pool.train.pairs) == 0
    rows = (folder / "train.csv").read_text().splitlines()
    some = tmp_path / "some.csv"
    some.write_text("\n".join(rows[:8]) + "\n")
    pool = read_held_out(some, market, known)
    assert not np.isin(pool.brands, pool.train.brands).any()


def test_a_label_of_zero_makes_a_candidate_and_not_a_collaborator(
    folder: Path, tmp_path: Path
) -> None:
    market, known = read_market(folder)
    rows = (folder / "test.csv").read_text().splitlines()
    rows[1] = rows[1].rsplit(",", 1)[0] + ",0"
    path = tmp_path / "test.csv"
    path.write_text("\n".join(rows) + "\n")
    pool, before = (read_held_out(p, market, known) for p in (path, folder / "test.csv"))
    assert pool.truth.shape == before.truth.shape
    assert pool.truth.sum() == before.truth.sum() - 1


def test_files_as_spreadsheets_write_them_are_read_the_same(folder: Path, tmp_path: Path) -> None:
    """A byte order mark, CRLF, quotes, further columns in another order, buckets as labels."""
    with (folder / "test.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    path = tmp_path / "export.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as handle:
        names = ("rank", "creator", "engagement", "label", "brand")
        writer = csv.DictWriter(handle, names, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        writer.writeheader()
        for n, row in enumerate(rows):
            bucket = 0 if float(row["label"]) == 0 else 1 + n % 39
            writer.writerow({**row, "label": bucket, "rank": n, "engagement": 0.01})
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    told, plain = (evaluate_file(p, folder, FAST) for p in (path, folder / "test.csv"))
    assert told.systems == plain.systems
    assert (told.brands, told.candidates) == (plain.brands, plain.candidates)


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("brand,creator\nb0000,c0000\n", 1, "label"),
        ("brand,creator,label\nb0000,c0000,x\n", 2, "label"),
        ("brand,creator,label\nb0000,c0000,nan\n", 2, "label"),
        ("brand,creator,label\nb0000,c0000,-1\n", 2, "label"),
        ("brand,creator,label\nb0000,c0000,1\n,c0001,1\n", 3, "brand"),
        ("brand,creator,label\nb0000,c0000,1\nb0000\n", 3, "creator"),
        ("brand,creator,label\nb0000,c0000,1\nwho,c0001,1\n", 3, "brand"),
        ("brand,creator,label\nb0000,nobody,1\n", 2, "creator"),
        ("brand,creator,label\nb0000,c0000,1\nb0000,c0000,2\n", 3, "creator"),
        ("brand,creator,label\nb0000,c0000,0\n", None, "label"),
        ("brand,creator,label\n", None, None),
        ("", 1, "brand"),
    ],
)
def test_a_broken_test_file_is_told_by_file_line_and_field(
    folder: Path, tmp_path: Path, text: str, line: int | None, field: str | None
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        evaluate_file(path, folder, FAST)
    assert (caught.value.file, caught.value.line, caught.value.field) == (str(path), line, field)
    assert caught.value.remedy


def test_files_that_cannot_be_read_are_told(folder: Path, tmp_path: Path) -> None:
    binary = tmp_path / "test.csv"
    binary.write_bytes(b"brand,creator,label\n\xff\xfe\x00,1,2\n")
    with pytest.raises(InvalidInput, match="UTF-8"):
        evaluate_file(binary, folder, FAST)
    with pytest.raises(NotFound):
        evaluate_file(tmp_path / "none.csv", folder, FAST)
    with pytest.raises(NotFound, match="no collaborations"):
        collaborations_folder(tmp_path)
    for name in ("train.csv", "brand_features.parquet", "creator_features.parquet"):
        (tmp_path / name).write_bytes((folder / name).read_bytes()[:200])
    with pytest.raises(InvalidInput, match="Parquet"):
        evaluate_file(folder / "test.csv", tmp_path, FAST)


def test_the_command_prints_every_system_and_measure(folder: Path) -> None:
    arguments = ["evaluate", "--test", str(folder / "test.csv"), "--data", str(folder), "--json"]
    result = CliRunner().invoke(match_app, arguments)
    assert result.exit_code == 0, result.output
    systems = json.loads(result.stdout)["systems"]
    assert tuple(systems) == SYSTEMS
    for measures in systems.values():
        assert tuple(measures) == MEASURES
        for value in measures.values():
            assert value["low"] <= value["mean"] <= value["high"]
    assert systems["ltr"]["AUC"]["mean"] > 0.8 > systems["random"]["AUC"]["mean"]


def test_the_command_cross_validates(folder: Path) -> None:
    arguments = ["evaluate", "--cross-validate", "--folds", "2", "--data", str(folder)]
    result = CliRunner().invoke(match_app, [*arguments, "--systems", "random,circle"])
    assert result.exit_code == 0, result.output
    assert "leave-brands-out" in result.stdout.replace("\n", " ")


def test_the_command_wants_a_test_file_or_cross_validation() -> None:
    result = CliRunner().invoke(match_app, ["evaluate"])
    assert isinstance(result.exception, TandemError)


@pytest.mark.data
def test_real_collaborations_are_ranked_better_than_by_cosine() -> None:
    try:
        folder = collaborations_folder(None)
    except NotFound:
        pytest.skip("the shared collaborations data is not here (TANDEM_DATA or ../shared/data)")
    market, known = read_market(folder)
    pool = next(match.leave_brands_out(known, 4, seed=7))
    values = {
        name: measure(scores, pool.truth)
        for name, scores in score_pool(market, pool, ("cosine_topics", "circle"), seed=7)
    }
    auc = {name: v[:, 0].mean() for name, v in values.items()}
    recall = {name: v[:, 3].mean() for name, v in values.items()}
    assert auc["circle"] > auc["cosine_topics"] + 0.02
    assert recall["circle"] > recall["cosine_topics"] + 0.04
