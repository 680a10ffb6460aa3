"""Simulated judgments: the generator knows what every product is, so it knows what fits a query.

A query asks for a category and up to two facts (brand, colour, material). A product of the category
with all the facts is exact (3), of the category without one of them a substitute (2), of a category
that goes with it a complement (1), anything else irrelevant (0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tandem.contracts.judgment import Judgment, JudgmentList
from tandem.contracts.product import Product
from tandem.simulate.catalogue import simulated_products
from tandem.simulate.lexicon import CATEGORIES, LEXICONS

NAME = "simulated"
# Judged products by relevance. Exact ones are always all judged: a query with more is not asked.
AT_MOST = {3: 200, 2: 400, 1: 20, 0: 20}
_FACTS = ("brand", "colour", "material")
COMPLEMENTS = {
    "smartphone": "case",
    "case": "smartphone",
    "headphones": "smartphone",
    "speaker": "television",
    "laptop": "backpack",
    "tablet": "case",
    "camera": "backpack",
    "television": "speaker",
    "smartwatch": "charger",
    "charger": "smartphone",
    "lamp": "table",
    "chair": "table",
    "table": "chair",
    "sofa": "pillow",
    "mattress": "pillow",
    "pillow": "mattress",
    "blanket": "pillow",
    "pan": "knife",
    "knife": "pan",
    "kettle": "coffee_maker",
    "coffee_maker": "kettle",
    "blender": "knife",
    "shirt": "trousers",
    "dress": "shoes",
    "trousers": "shirt",
    "jacket": "shirt",
    "shoes": "trousers",
    "handbag": "dress",
    "lipstick": "face_cream",
    "shampoo": "face_cream",
    "face_cream": "shampoo",
    "perfume": "lipstick",
    "bicycle": "backpack",
    "football": "shoes",
    "yoga_mat": "football",
    "tent": "backpack",
    "puzzle": "doll",
    "doll": "puzzle",
    "notebook": "backpack",
    "backpack": "notebook",
}


@dataclass(eq=False)
class _Query:
    text: str
    language: str
    category: str
    facts: dict[str, str]
    judged: dict[int, list[str]] = field(default_factory=lambda: {3: [], 2: [], 1: [], 0: []})

    def judge(self, product: Product) -> None:
        """Take the product into the list, unless there are enough of its kind."""
        relevance = self.relevance(product)
        # One exact product too many stays, as the mark of a query that is too broad.
        if len(self.judged[relevance]) <= AT_MOST[relevance] - (relevance < 3):
            self.judged[relevance].append(product.id)

    def relevance(self, product: Product) -> int:
        category = product.extra["category"]
        if category == self.category:
            return 3 if all(_fact(product, f) == v for f, v in self.facts.items()) else 2
        return 1 if category == COMPLEMENTS[self.category] else 0


def simulated_judgments(
    n: int,
    *,
    queries: int = 100,
    seed: int = 0,
    languages: Sequence[str] = ("en",),
) -> JudgmentList:
    """Judgments on what `simulated_products(n, seed=seed, languages=languages)` makes.

    At most `queries` queries, each drawn from a random product, so that at least that one is exact,
    and judged on products of its own language: all exact ones, and up to 400 substitutes, 20
    complements and 20 irrelevant ones. The list is called `simulated`.
    """
    rng = np.random.default_rng([seed, 7])
    asked = _asked(n, 2 * queries, seed, languages, rng)
    near: dict[tuple[str, str], list[_Query]] = {}
    for query in asked:
        for category in (query.category, COMPLEMENTS[query.category]):
            near.setdefault((query.language, category), []).append(query)
    spoken = {code: [q for q in asked if q.language == code] for code in languages}
    for product in simulated_products(n, seed=seed, languages=languages):
        language = product.language or ""
        of_language = spoken[language]
        if not of_language:
            continue
        # One query chosen by chance stands for all those to which the product is irrelevant.
        any_query = of_language[int(rng.integers(len(of_language)))]
        candidates = near.get((language, product.extra["category"]), [])
        for query in candidates if any_query in candidates else [*candidates, any_query]:
            query.judge(product)
    kept = [query for query in asked if len(query.judged[3]) <= AT_MOST[3]][:queries]
    return JudgmentList.of(
        (
            Judgment(query.text, product_id, relevance)
            for query in kept
            for relevance, products in query.judged.items()
            for product_id in products
        ),
        NAME,
    )


def _asked(
    n: int, count: int, seed: int, languages: Sequence[str], rng: np.random.Generator
) -> list[_Query]:
    """Up to `count` different queries, each of which some product answers."""
    drawn = set(rng.choice(n, size=min(n, count), replace=False).tolist())
    asked: dict[str, _Query] = {}
    for number, product in enumerate(simulated_products(n, seed=seed, languages=languages)):
        if number in drawn:
            query = _ask(product, rng)
            asked.setdefault(query.text, query)
            drawn.remove(number)
            if not drawn:
                break
    queries = list(asked.values())
    rng.shuffle(queries)  # type: ignore[arg-type]
    return queries


def _fact(product: Product, name: str) -> str:
    return (product.brand or "") if name == "brand" else str(product.attributes[name])


def _ask(product: Product, rng: np.random.Generator) -> _Query:
    """A query that `product` answers exactly, in its language."""
    language = product.language or "en"
    lexicon = LEXICONS[language]
    category = str(product.extra["category"])
    forms = lexicon.noun_forms[CATEGORIES.index(category)]
    noun = forms[int(rng.random() < 0.3)]
    count = int(rng.choice(3, p=(0.15, 0.5, 0.35)))
    chosen = sorted(rng.choice(len(_FACTS), size=count, replace=False).tolist())
    facts = {_FACTS[i]: _fact(product, _FACTS[i]) for i in chosen}
    adjective_first = lexicon.title.startswith("{brand}")
    words = [*facts.values(), noun] if adjective_first else [noun, *facts.values()]
    return _Query(" ".join(words).lower(), language, category, facts)
