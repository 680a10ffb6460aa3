"""Judgment lists on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.judgment import Judgment, JudgmentList
from tandem.storage.judgments import judgment_names, load_judgments, save_judgments
from tandem.storage.layout import Layout, Settings


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "shop", Settings())


LIST = JudgmentList.of(
    [Judgment("z", "p2", 3), Judgment("z", "p1", 0), Judgment("日本", "p1", 1)], "human"
)


def test_a_list_comes_back_in_its_order(layout: Layout) -> None:
    save_judgments(layout, LIST)
    save_judgments(layout, LIST.subset(["z"]), "part")
    loaded = load_judgments(layout, "human")
    assert (loaded, loaded.queries) == (LIST, ("z", "日本"))
    assert list(loaded.by_query["z"]) == ["p2", "p1"]
    assert judgment_names(layout) == ("human", "part")


def test_a_list_is_replaced_whole(layout: Layout) -> None:
    save_judgments(layout, LIST)
    save_judgments(layout, LIST.subset(["z"]), "human")
    assert load_judgments(layout, "human").queries == ("z",)
    assert [p.name for p in layout.judgments.iterdir()] == ["human.parquet"]


def test_missing_lists_and_bad_names(layout: Layout) -> None:
    with pytest.raises(NotFound, match="'human'"):
        load_judgments(layout, "human")
    with pytest.raises(NotFound):
        load_judgments(layout, "../human")
    for name in ("../human", "", "Big", "a/b", "x" * 65):
        with pytest.raises(InvalidInput):
            save_judgments(layout, LIST, name)
    assert judgment_names(layout) == ()
