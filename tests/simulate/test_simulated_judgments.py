"""The judgments of the invented catalogue are true by construction."""

from __future__ import annotations

import pytest

from tandem.simulate.catalogue import simulated_products
from tandem.simulate.judgments import AT_MOST, simulated_judgments
from tandem.simulate.lexicon import CATEGORIES, LANGUAGES, LEXICONS

N = 3000


@pytest.mark.parametrize("languages", [("en",), LANGUAGES])
def test_judgments_are_about_the_catalogue_and_cover_all_grades(languages: tuple[str, ...]) -> None:
    judgments = simulated_judgments(N, queries=40, languages=languages)
    assert judgments.name == "simulated"
    assert len(judgments.queries) == 40
    language = {p.id: p.language for p in simulated_products(N, languages=languages)}
    grades = set()
    for products in judgments.by_query.values():
        assert 3 in products.values(), "a query that nothing answers"
        assert len({language[product_id] for product_id in products}) == 1
        for grade in (3, 2, 1, 0):
            assert sum(r == grade for r in products.values()) <= AT_MOST[grade]
        grades |= set(products.values())
    assert grades == {0, 1, 2, 3}


def test_what_is_exact_is_in_the_category_that_the_query_names() -> None:
    judgments = simulated_judgments(N, queries=40)
    products = {p.id: p for p in simulated_products(N)}
    lexicon = LEXICONS["en"]
    for query, judged in judgments.by_query.items():
        exact = [products[i] for i, relevance in judged.items() if relevance == 3]
        [category] = {p.extra["category"] for p in exact}
        assert any(query.endswith(form) for form in lexicon.noun_forms[CATEGORIES.index(category)])
        for product_id, relevance in judged.items():
            same = products[product_id].extra["category"] == category
            assert same == (relevance >= 2)
        facts = query.split()
        for p in exact:
            if (p.brand or "").lower() in facts:
                others = [products[i] for i, r in judged.items() if r == 2]
                assert not all(o.brand == p.brand for o in others) or not others


def test_every_exact_product_is_judged() -> None:
    judgments = simulated_judgments(N, queries=40)
    products = list(simulated_products(N))
    for query, judged in judgments.by_query.items():
        exact = [p for p in products if judged.get(p.id) == 3]
        shared = {
            (name, value)
            for name, value in _facts(exact[0])
            if all((name, value) in _facts(p) for p in exact) and value.lower() in query
        }
        same = [
            p
            for p in products
            if p.extra["category"] == exact[0].extra["category"] and shared <= _facts(p)
        ]
        assert {p.id for p in same} == {p.id for p in exact}


def test_the_same_seed_gives_the_same_judgments() -> None:
    assert simulated_judgments(500, queries=10) == simulated_judgments(500, queries=10)
    assert simulated_judgments(500, queries=10) != simulated_judgments(500, queries=10, seed=1)


def _facts(product: object) -> set[tuple[str, str]]:
    attributes = product.attributes  # type: ignore[attr-defined]
    return {
        ("brand", product.brand),  # type: ignore[attr-defined]
        ("colour", attributes["colour"]),
        ("material", attributes["material"]),
    }
