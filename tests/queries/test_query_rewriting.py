"""Spelling, compounds, synonyms and relaxation: careful, and open about what they did."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.contracts.errors import InvalidInput
from tandem.contracts.product import Product
from tandem.contracts.search import Understanding
from tandem.queries.model import QueryModel
from tandem.queries.synonyms import parse


def forms(u: Understanding) -> set[str]:
    return {f for t in u.terms for f in t.forms}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("bluetoth speaker", "bluetooth speaker"),
        ("bluetooth spaeker", "bluetooth speaker"),
        ("wirelesss headset", "wireless headset"),
        ("televison", "television"),
        ("water botttle without straw", "water bottle without straw"),
        ("bluetoth speaker under 50 €", "bluetooth speaker under 50 €"),
    ],
)
def test_sure_corrections_are_applied(model: QueryModel, typed: str, meant: str) -> None:
    u = model.understand(typed)
    assert u.corrected == meant
    assert forms(u) == forms(model.understand(meant))
    assert any(s.name == "spelling" and s.confidence for s in u.steps)


def test_unsure_corrections_are_only_suggested(model: QueryModel) -> None:
    u = model.understand("npeaker")
    assert u.corrected is None
    assert u.suggestion == "speaker"
    assert [t.text for t in u.terms] == ["npeaker"]


@pytest.mark.parametrize(
    "query",
    [
        "bluetooth speakers",
        "bottles",
        "tn-2111",
        "tn2111",
        "50000",
        "usb",
        "xyz",
        "acme",
        "speaker without wires",
        "headset -blak",
        "ワイヤレスイヤホン",
        "earbuds earbud",
        "flashlight",
    ],
)
def test_what_is_known_or_a_code_is_not_corrected(model: QueryModel, query: str) -> None:
    u = model.understand(query)
    assert (u.corrected, u.suggestion) == (None, None)


def test_rewriting_can_be_switched_off(model: QueryModel) -> None:
    u = model.understand("bluetoth tv", rewrite=False)
    assert (u.corrected, u.suggestion, u.expansions) == (None, None, ())
    assert [t.text for t in u.terms] == ["bluetoth", "tv"]


def test_two_words_that_the_catalogue_writes_as_one(model: QueryModel) -> None:
    assert forms(model.understand("head set")) == {"headset"}
    assert forms(model.understand("ear buds")) == forms(model.understand("earbuds"))


def test_words_that_the_catalogue_writes_both_ways(model: QueryModel) -> None:
    """Apart is commoner, so both words stay, and the compound counts as well."""
    u = model.understand("laser printer")
    assert [t.text for t in u.terms] == ["laser", "printer"]
    assert all(any(f.startswith("laserprint") for f in t.forms) for t in u.terms)
    joined = model.understand("laserprinter")
    assert {t.text for t in joined.expansions} == {"laser", "printer"}
    assert all(t.weight < 1 for t in joined.expansions)


def test_built_in_synonyms_expand_to_words_of_the_catalogue(model: QueryModel) -> None:
    u = model.understand("tv")
    assert [t.text for t in u.expansions] == ["television"]
    assert all(0 < t.weight < 1 for t in u.expansions)
    assert any(s.name == "synonym" for s in u.steps)
    assert model.understand("sofa").expansions == ()


def test_a_shops_own_synonyms(build: object, tmp_path: Path) -> None:
    file = tmp_path / "synonyms.txt"
    file.write_text("# ours\nboombox, speaker\ngizmo => water bottle\n", encoding="utf-8")
    products = [Product(id=str(i), title=t) for i, t in enumerate(["Speaker", "Water bottle"] * 3)]
    model = build(products, ("en",), file)  # type: ignore[operator]
    assert [t.text for t in model.understand("boombox").expansions] == ["speaker"]
    assert [t.text for t in model.understand("gizmo").expansions] == ["water", "bottle"]
    assert model.understand("water bottle").expansions == ()


@pytest.mark.parametrize(
    ("text", "line"), [("a, b\n\nalone\n", 3), ("a, , b", 1), ("a => b => c", 1), ("=> b", 1)]
)
def test_a_wrong_synonym_rule_names_its_line(text: str, line: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(text.splitlines(), "synonyms.txt")
    assert (caught.value.file, caught.value.line) == ("synonyms.txt", line)
    assert caught.value.remedy


def test_synonyms_that_are_not_text(build: object, tmp_path: Path) -> None:
    file = tmp_path / "synonyms.txt"
    file.write_bytes(b"\xff\xfe\x00a, b")
    with pytest.raises(InvalidInput, match="UTF-8"):
        build([], ("en",), file)  # type: ignore[operator]


def test_relaxation_gives_up_ever_more_and_says_so(model: QueryModel) -> None:
    u = model.understand("purple speaker gizmo under 5 €")
    ladder = list(model.relaxations(u))
    weaker = [w for w, _ in ladder]
    assert weaker[0].terms == u.terms
    assert weaker[0].filters.is_empty()
    assert all(w.filters.is_empty() for w in weaker)
    lengths = [len(w.terms) for w in weaker[1:]]
    assert lengths == sorted(lengths, reverse=True)
    assert [t.text for t in weaker[-3].terms] == ["speaker"]
    assert all(said.endswith(".") for _, said in ladder)
    assert "price" in ladder[0][1]
    assert len({said for _, said in ladder}) == len(ladder)


def test_relaxation_takes_up_a_suggested_spelling(model: QueryModel) -> None:
    ladder = list(model.relaxations(model.understand("npeaker")))
    assert [[t.text for t in w.terms] for w, _ in ladder] == [["speaker"]]
    assert "“speaker”" in ladder[0][1]


def test_nothing_is_weaker_than_one_known_word(model: QueryModel) -> None:
    assert list(model.relaxations(model.understand("headset"))) == []
