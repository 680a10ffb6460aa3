"""Analysis: one spelling for what is written in many ways."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.contracts.product import TEXT_FIELDS, Product
from tandem.queries.analysis import Analyser
from tandem.queries.normalise import fold, normalise

MARKET = ("en", "es", "pt", "fr", "de", "id", "ar", "ja", "ko", "zh")
SAMPLES = (
    *("usb-c", "tn-2110", "2.5mm", "500", "gb", '17"', "l'eau", "ß", "İ", "ﬁ", "½", "-x", "’s"),
    *("蓝牙耳机", "イヤホン", "무선", "سماعة"),
)
TEXT = st.text(max_size=80) | st.lists(st.sampled_from(SAMPLES)).map(" ".join)


@pytest.fixture(scope="module")
def english() -> Analyser:
    return Analyser()


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("TN-2110", ["tn", "2110", "tn2110"]),
        ("500GB", ["500", "gb", "500gb"]),
        ("500 GB", ["500", "gb", "500gb"]),
        ("2.5mm", ["2.5", "mm", "2.5mm"]),
        ("2,5 mm", ["2.5", "mm", "2.5mm"]),
        ("10,000mAh", ["10000", "mah", "10000mah"]),
        ("USB-C", ["usb", "c", "usbc"]),
        ("4K TV", ["4", "k", "4k", "tv"]),
        ("women's", ["women"]),
        ("don’t", ["dont"]),
        ("Café", ["cafe"]),
        ("4 in 1", ["4", "in", "1"]),
        ("1/2", ["1", "2"]),
        ("  ", []),
        ("!!! --- '' ", []),
    ],
)
def test_terms(english: Analyser, text: str, terms: list[str]) -> None:
    assert english.terms(text) == terms


@pytest.mark.parametrize(
    "spelling",
    ['17" monitor', "17 inch monitor", "17-inch monitor", "17in monitor", "17 zoll monitor"],
)
def test_a_quantity_is_one_term_however_it_is_written(english: Analyser, spelling: str) -> None:
    assert "17inch" in english.terms(spelling)
    assert any("17inch" in t.forms for t in english.query_terms(spelling))


def test_stop_words_are_left_out_of_queries_only(english: Analyser) -> None:
    assert "the" in english.terms("the lamp for you")
    assert [t.text for t in english.query_terms("the lamp for you")] == ["lamp"]
    assert [t.text for t in english.query_terms("the for")] == ["the", "for"]


def test_repeated_words_count_once_where_they_come_first(english: Analyser) -> None:
    texts = [t.text for t in english.query_terms("wall beds murphy bed")]
    assert texts == ["wall", "beds", "murphy"]


def test_query_terms_have_the_forms_of_every_language() -> None:
    (term,) = Analyser(("en", "de")).query_terms("kinder")
    assert set(term.forms) == {"kinder", "kind"}
    assert Analyser(("en", "de")).query_terms("kinder", "de")[0].forms[0] == "kind"


def test_every_text_field_is_analysed(english: Analyser) -> None:
    product = Product(
        id="X-1",
        title="Lamps",
        brand="Acme",
        category=("Home", "Lighting"),
        attributes={"color": "Red", "dimmable": True, "watts": 5.0},
        description="A lamp",
        identifiers=("0123456789012",),
    )
    terms = english.analyse(product).terms
    assert tuple(terms) == TEXT_FIELDS
    assert terms["attributes"] == ["red", "dimmabl"]
    assert "0123456789012" in terms["identifiers"]


@settings(max_examples=300, deadline=None)
@given(TEXT)
def test_terms_are_words_and_the_same_every_time(text: str) -> None:
    analyser = Analyser(MARKET)
    terms = analyser.terms(text)
    assert all(t and not any(c.isspace() for c in t) for t in terms)
    assert terms == analyser.terms(text) == Analyser(MARKET).terms(text)
    query = analyser.query_terms(text)
    assert all(
        t.forms and all(f and not any(c.isspace() for c in f) for f in t.forms) for t in query
    )
    assert bool(query) == bool(terms)


@settings(max_examples=200, deadline=None)
@given(TEXT)
def test_a_text_finds_itself(text: str) -> None:
    analyser = Analyser(MARKET)
    terms = set(analyser.terms(text))
    missing = [t for t in analyser.query_terms(text) if not terms & set(t.forms)]
    assert len(missing) <= len(analyser.query_terms(text)) // 3


@settings(max_examples=200, deadline=None)
@given(TEXT)
def test_normalise_and_fold_are_idempotent(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)
    assert fold(fold(text)) == fold(text)
