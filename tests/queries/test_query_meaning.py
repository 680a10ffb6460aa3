"""What a query rules out, what it may cost, and what it names."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tandem.contracts.search import Filters, Understanding
from tandem.queries.categories import Lesson, Lessons, lesson
from tandem.queries.model import QueryModel
from tandem.queries.negation import negations, triggers
from tandem.queries.prices import price_of

MARKET = ("en", "es", "pt", "fr", "de", "id", "ar", "it")


@pytest.mark.parametrize(
    ("query", "kept", "ruled_out"),
    [
        ("water bottle without straw", "water bottle", "straw"),
        ("zipper sweaters for women without hoodie", "zipper sweaters for women", "hoodie"),
        ("lamp without cord and without plug", "lamp", "cord and plug"),
        ("silicone not clear", "silicone", "clear"),
        ("botas sin cordones", "botas", "cordones"),
        ("tênis sem cadarço", "tênis", "cadarço"),
        ("chaussures sans lacets", "chaussures", "lacets"),
        ("Fahrrad ohne Licht", "Fahrrad", "Licht"),
        ("scarpe senza lacci", "scarpe", "lacci"),
        ("kopi tanpa gula", "kopi", "gula"),
        ("حذاء بدون رباط", "حذاء", "رباط"),
        ("ストローなし水筒", "水筒", "ストロー"),
        ("水筒 ストローなし", "水筒", "ストロー"),
        ("끈 없는 신발", "신발", "끈"),
        ("饼干 不含糖", "饼干", "糖"),
        ("no 7 serum", "no 7 serum", ""),
        ("food that is not enough", "food that is not enough", ""),
        ("gift not included batteries", "gift", "included batteries"),
        ("non stick pan", "non stick pan", ""),
        ("without", "without", ""),
        ("without straw", "without straw", ""),
        ("bottle without", "bottle without", ""),
    ],
)
def test_negation(query: str, kept: str, ruled_out: str) -> None:
    found = negations(query, triggers(MARKET))
    assert (found.text, found.ruled_out) == (kept, ruled_out)


def test_another_languages_negation_is_a_word_like_any() -> None:
    assert negations("sin city poster", triggers(("en",))).ruled_out == ""


def test_negated_words_are_kept_apart(model: QueryModel) -> None:
    u = model.understand("water bottle without straw")
    assert [t.text for t in u.terms] == ["water", "bottle"]
    assert [t.text for t in u.negated] == ["straw"]
    assert any(i.kind == "exclude" and i.value == "straw" and not i.hard for i in u.intents)
    assert u.excluded == ()


def test_a_minus_excludes(model: QueryModel) -> None:
    u = model.understand("speaker -black tn-2110")
    assert [t.text for t in u.excluded] == ["black"]
    assert [t.text for t in u.terms] == ["speaker", "tn", "2110", "tn2110"]
    assert model.understand("-black").terms


@pytest.mark.parametrize(
    ("query", "rest", "least", "most"),
    [
        ("shoes under 50 €", "shoes", None, "50"),
        ("shoes under €49.99", "shoes", None, "49.99"),
        ("tv below $1,299.50", "tv", None, "1299.50"),
        ("schuhe unter 50 euro", "schuhe", None, "50"),
        ("fernseher bis zu 1.000 €", "fernseher", None, "1000"),
        ("zapatos menos de 30 euros", "zapatos", None, "30"),
        ("chaussures moins de 40 €", "chaussures", None, "40"),
        ("sepatu di bawah rp 200000", "sepatu", None, "200000"),
        ("حذاء أقل من 50 دولار", "حذاء", None, "50"),
        ("イヤホン 5000円以下", "イヤホン", None, "5000"),
        ("이어폰 30000원 이하", "이어폰", None, "30000"),
        ("耳机 300元以下", "耳机", None, "300"),
        ("watch over 100 usd", "watch", "100", None),
        ("watch 100-200 usd", "watch", "100", "200"),
        ("watch $20-$40", "watch", "20", "40"),
        ("watch between 20 and 40 dollars", "watch", "20", "40"),
        ("under $20 gifts", "gifts", None, "20"),
        ("under armour shoes", "under armour shoes", None, None),
        ("tv 50", "tv 50", None, None),
        ("under 50", "under 50", None, None),
        ("dumbbells under 40 pounds", "dumbbells under 40 pounds", None, None),
        ("500-1000 gb", "500-1000 gb", None, None),
        ("iphone 11 to iphone 12", "iphone 11 to iphone 12", None, None),
    ],
)
def test_prices(query: str, rest: str, least: str | None, most: str | None) -> None:
    price = price_of(query)
    assert price.text == rest
    assert price.least == (None if least is None else Decimal(least))
    assert price.most == (None if most is None else Decimal(most))


def test_a_price_filters_and_is_no_word(model: QueryModel) -> None:
    u = model.understand("bluetooth speaker under 50 €")
    assert u.filters == Filters(price_max=Decimal(50))
    assert [t.text for t in u.terms] == ["bluetooth", "speaker"]
    assert [i.value for i in u.intents if i.hard] == ["50"]
    assert model.understand("under 50 €").terms


def named(u: Understanding, kind: str) -> dict[str, float]:
    return {i.value: i.confidence for i in u.intents if i.kind == kind}


def test_brands_are_recognised(model: QueryModel) -> None:
    assert named(model.understand("acme speaker"), "brand").keys() == {"Acme"}
    assert named(model.understand("north peak earbuds"), "brand")["North Peak"] > 0.9
    assert named(model.understand("peak earbuds"), "brand") == {}
    assert not any(i.hard for i in model.understand("acme speaker").intents)


def test_a_category_is_chosen_by_the_whole_query(model: QueryModel) -> None:
    men = named(model.understand("men pants"), "category")
    baby = named(model.understand("baby pants"), "category")
    assert max(men, key=lambda c: men[c]).startswith("Clothing > Men")
    assert max(baby, key=lambda c: baby[c]).startswith("Clothing > Baby")


def test_attribute_values_and_flags(model: QueryModel) -> None:
    intents = model.understand("white wireless headset").intents
    fields = {(i.field, i.value) for i in intents if i.kind == "attribute"}
    assert {("color", "White"), ("wireless", "true")} <= fields


@pytest.mark.parametrize("query", ["500gb drive", "hard drive 500 GB", "500-gb hdd"])
def test_a_quantity_is_read_as_the_attribute_it_measures(model: QueryModel, query: str) -> None:
    intents = model.understand(query).intents
    assert ("capacity", "500") in {(i.field, i.value) for i in intents}


def test_a_quantity_nobody_sells_means_no_attribute(model: QueryModel) -> None:
    assert not [i for i in model.understand("750gb drive").intents if i.kind == "attribute"]


def test_category_distribution(model: QueryModel) -> None:
    likely = model.category_distribution(model.understand("laser printer"))
    assert max(likely, key=lambda c: likely[c]) == "Computers > Printers"
    assert 0 < sum(likely.values()) <= 1.001
    assert model.category_distribution(model.understand("qwertyuiop")) == {}


def test_judged_queries_teach_the_classifier(model: QueryModel) -> None:
    u = model.understand("qwertyuiop", rewrite=False)
    assert model.category_distribution(u) == {}
    path = next(iter(model.category_distribution(model.understand("laser printer"))))
    taught = lesson(u.terms, {"a": 3, "b": 2, "c": 0}, [path, path, "Nowhere"])
    assert taught is not None
    assert taught.weight == 2
    lessons = Lessons([taught])
    assert next(iter(model.category_distribution(u, lessons))) == path
    assert model.category_distribution(u, lessons.without(u.terms)) == {}
    again = Lessons.from_json(lessons.to_json())
    assert model.category_distribution(u, again) == model.category_distribution(u, lessons)


def test_a_lesson_of_a_category_that_is_gone_teaches_nothing(model: QueryModel) -> None:
    u = model.understand("laser printer")
    gone = Lessons([Lesson(("laser",), "No > Such", 10)])
    assert model.category_distribution(u, gone) == model.category_distribution(u)
    assert lesson(u.terms, {"a": 3}, []) is None
