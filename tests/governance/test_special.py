"""Special categories in twelve languages, measured on labelled queries and against floors."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.governance.special import KINDS, _lists, special_category

LABELLED = Path(__file__).parent / "labelled_special.tsv"


def labelled() -> list[tuple[str, str | None]]:
    lines = LABELLED.read_text(encoding="utf-8").splitlines()
    return [(text, None if kind == "-" else kind) for text, kind in (x.split("\t") for x in lines)]


def test_precision_and_recall_stay_above_their_floors():
    rows = labelled()
    telling = [(text, kind) for text, kind in rows if kind]
    right = sum(special_category(text) == kind for text, kind in telling)
    false = [text for text, kind in rows if kind is None and special_category(text)]
    assert len(rows) >= 130
    assert {kind for _, kind in telling} == set(KINDS)
    assert right / len(telling) >= 0.88
    assert right / (right + len(false)) >= 0.98, false


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("HIV  Test", "health"),
        ("windeln fur erwachsene", "health"),
        ("WINDELN FÜR ERWACHSENE", "health"),
        ("test d’ovulation", "health"),
        ("ﾍﾙﾍﾟｽ 薬", "health"),
        ("당뇨가 있는", "health"),
        ("للسرطان", "health"),
        ("aidsman", None),
        ("ゲイン", None),
        ("", None),
        ("   ", None),
    ],
)
def test_words_are_found_as_they_are_typed(text, kind):
    assert special_category(text) == kind


def test_every_list_names_kinds_that_there_are():
    lists = _lists()
    assert set(lists.phrases.values()) == set(KINDS)
    assert () not in lists.phrases
