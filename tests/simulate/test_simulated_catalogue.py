"""The invented catalogue: lawful, lifelike and always the same."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest

from tandem.contracts.product import Product
from tandem.simulate.catalogue import BATCH, simulated_products, word, zipf
from tandem.simulate.lexicon import CATEGORIES, DEPARTMENTS, LANGUAGES, LEXICONS


def test_products_satisfy_the_contract_and_say_that_they_are_simulated() -> None:
    for product in simulated_products(500, languages=LANGUAGES):
        assert Product.model_validate(product.model_dump()) == product
        assert product.extra["simulated"] is True
        assert product.title == product.title.strip()
        assert "  " not in product.title


def test_the_same_seed_gives_the_same_products_whatever_the_size() -> None:
    small = list(simulated_products(100, seed=3))
    assert small == list(islice(simulated_products(2 * BATCH, seed=3), 100))
    assert small != list(simulated_products(100, seed=4))
    ids = [product.id for product in simulated_products(BATCH + 10)]
    assert len(set(ids)) == BATCH + 10


def test_languages_take_turns_and_use_their_words() -> None:
    products = list(simulated_products(200, languages=("en", "ar", "zh")))
    assert Counter(p.language for p in products) == {"en": 67, "ar": 67, "zh": 66}
    for product in products:
        forms = LEXICONS[product.language or ""].noun_forms[
            CATEGORIES.index(product.extra["category"])
        ]
        assert any(form in product.title for form in forms)
        assert product.category[-1] == forms[0]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_word(language: str) -> None:
    lexicon = LEXICONS[language]
    sizes = [
        len(words)
        for words in (
            lexicon.department_names,
            lexicon.noun_forms,
            lexicon.adjective_list,
            lexicon.colour_list,
            lexicon.material_list,
            lexicon.label_list,
        )
    ]
    assert sizes == [len(DEPARTMENTS), len(CATEGORIES), 10, 8, 8, 2]
    assert len(set(lexicon.colour_list)) == 8
    assert len({forms[0] for forms in lexicon.noun_forms}) == len(CATEGORIES)


def test_statistics_are_those_of_a_shop() -> None:
    products = list(simulated_products(8000))
    prices: dict[str, list[float]] = {}
    for p in products:
        assert p.price is not None
        prices.setdefault(p.extra["category"], []).append(float(p.price.amount))
    assert len(prices) == len(CATEGORIES)
    assert np.median(prices["television"]) > 10 * np.median(prices["notebook"])
    logs = np.log(prices["headphones"])
    assert 0.4 < logs.std() < 0.7  # log-normal with a spread of 0.55
    counts = sorted((p.rating_count or 0 for p in products), reverse=True)
    assert sum(counts[:800]) > 0.5 * sum(counts)  # a tenth of the products has most ratings
    unrated = [p for p in products if p.rating_count == 0]
    assert unrated
    assert all(p.rating is None for p in unrated)
    brands = Counter(p.brand for p in products).most_common()
    assert brands[0][1] > 20 * brands[-1][1]


def test_zipf_follows_its_law() -> None:
    drawn = np.bincount(zipf(np.random.default_rng(0), 200_000, 1000, 1.0), minlength=1000)
    expected = 1 / np.arange(1, 1001)
    expected *= 200_000 / expected.sum()
    assert np.abs(drawn[:50] - expected[:50]).max() < 6 * np.sqrt(expected[0])


def test_words_of_different_ranks_are_different() -> None:
    words = [word(rank) for rank in range(50_000)]
    assert len(set(words)) == len(words)
    assert len(words[0]) < len(words[-1])
