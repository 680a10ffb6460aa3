"""The embedded engine against a model: a plain list of products, searched one by one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.contracts.product import TEXT_FIELDS, AnalysedProduct, Money, Product, field_text
from tandem.contracts.search import Filters, Sort, Term
from tandem.features.store import FeatureStore, FeatureStoreBuilder
from tandem.retrieval.engines.embedded import EmbeddedBuilder, EmbeddedEngine
from tandem.retrieval.port import LexicalQuery
from tandem.storage.updates import Update

D = 8
WORDS = ("red", "blue", "shoe", "lamp", "usb", "cable")
BOOSTS = {"title": 2.0, "description": 0.5}


def analysed(product: Product) -> AnalysedProduct:
    return AnalysedProduct(
        product, {f: field_text(product, f).lower().split() for f in TEXT_FIELDS}
    )


def vector(product: Product) -> np.ndarray:
    rng = np.random.default_rng(abs(hash((product.id, product.title))) % 2**32)
    v = rng.normal(size=D).astype(np.float32)
    return v / np.linalg.norm(v)


@st.composite
def products(draw: st.DrawFn, number: int | None = None) -> Product:
    number = draw(st.integers(0, 12)) if number is None else number
    price = draw(st.none() | st.integers(1, 50))
    return Product(
        id=f"p{number}",
        title=" ".join(draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4))),
        description=" ".join(draw(st.lists(st.sampled_from(WORDS), max_size=4))),
        brand=draw(st.sampled_from([None, "Acme", "Bolt Ünï"])),
        category=draw(st.sampled_from([(), ("A",), ("A", "B"), ("C",)])),
        attributes=draw(
            st.sampled_from([{}, {"color": "Red Blue", "size": 4.0}, {"size": 5.0, "a.b": True}])
        ),
        price=None if price is None else Money(amount=price, currency="EUR"),
        stock=draw(st.sampled_from([None, 0, 3])),
    )


filters = st.builds(
    Filters,
    brand=st.sampled_from([(), ("Acme",), ("Acme", "Bolt Ünï"), ("Nobody",)]),
    category=st.sampled_from([(), ("A",), ("A > B",), ("C",)]),
    attributes=st.sampled_from(
        [{}, {"color": ("Red Blue",)}, {"size": (4.0,)}, {"size": ("4", 5)}, {"a.b": (True,)}]
    ),
    price_max=st.sampled_from([None, 20]),
    in_stock=st.sampled_from([None, True]),
)


def satisfies(p: Product, f: Filters) -> bool:
    path = " > ".join(p.category)
    below = any(path == c or path.startswith(c + " > ") for c in f.category)
    sizes = {"color": {"Red Blue"}, "size": {4.0, 5.0}, "a.b": {True}}
    for key, wanted in f.attributes.items():
        values = {float(v) if key == "size" else v for v in wanted} & sizes[key]
        if p.attributes.get(key) not in values:
            return False
    return (
        (not f.brand or p.brand in f.brand)
        and (not f.category or below)
        and (f.price_max is None or (p.price is not None and p.price.amount <= f.price_max))
        and not (f.in_stock and p.stock == 0)
    )


def has(p: Product, word: str) -> bool:
    return word in p.title.split() or word in p.description.split()


def query(*words: str, required: int = 1) -> LexicalQuery:
    return LexicalQuery(
        tuple(Term(text=w, forms=(w,)) for w in words), BOOSTS, minimum_match=required
    )


class Shop:
    """An engine and its store, as the workspace keeps them together."""

    def __init__(self, path: Path, initial: list[Product]) -> None:
        directory = path / "index" / "g" / "engine"
        builder = EmbeddedBuilder(directory, D)
        store = FeatureStoreBuilder(path / "features")
        items = [analysed(p) for p in initial]
        if items:
            builder.add(items, np.stack([vector(p) for p in initial]))
            store.add(items)
        builder.finish()
        store.finish()
        self.engine = EmbeddedEngine.open(directory, "g")
        self.store = FeatureStore.open(path / "features")
        self.sequence = 0

    def apply(self, operations: list[tuple[str, Product | None]]) -> None:
        updates = [Update(self.sequence + i, n, p) for i, (n, p) in enumerate(operations, 1)]
        self.sequence += len(updates)
        items = [analysed(p) for _, p in operations if p is not None]
        vectors = np.stack([vector(i.product) for i in items]) if items else None
        self.engine.apply(updates, items, vectors)
        self.store = self.store.with_products(items)

    @property
    def snapshot(self):
        return self.engine.snapshot(self.store)


def check(
    shop: Shop, model: dict[str, Product], f: Filters, words: list[str], required: int
) -> None:
    s = shop.snapshot
    live = {p.id: p for p in model.values() if satisfies(p, f)}
    matching = {
        i for i, p in live.items() if sum(has(p, w) for w in dict.fromkeys(words)) >= required
    }
    q = query(*dict.fromkeys(words), required=required)
    assert s.size == len(model)
    assert set(s.ids(s.lexical(q, 50, f).numbers)) == matching
    assert s.matching(q, f) == len(matching)
    assert s.matching(None, f) == len(live)
    found = s.browse(f, Sort.PRICE_ASC, 50)
    ids = s.ids(found.numbers)
    assert sorted(ids) == sorted(live)
    prices = [model[i].price.amount if model[i].price else float("inf") for i in ids]
    assert prices == sorted(prices)
    target = vector(Product(id="query", title="x"))
    dense = s.dense(target, 5, f)
    exact = sorted(-float(vector(p) @ target) for p in live.values())[:5]
    np.testing.assert_allclose(-dense.scores, exact, atol=2e-3)
    assert set(s.ids(dense.numbers)) <= set(live)
    numbers = s.numbers(sorted(model))
    assert [p.title for p in s.products(numbers)] == [model[i].title for i in sorted(model)]
    gone = [f"p{i}" for i in range(13) if f"p{i}" not in model]
    assert (s.numbers(gone) == -1).all()
    assert set(s.ids(s.satisfying(numbers, f))) == set(live)
    np.testing.assert_allclose(
        s.vectors(numbers),
        np.stack([vector(model[i]) for i in sorted(model)]) if model else 0,
        atol=2e-3,
    ) if model else None
    for facet, field in (("brand", "brand"), ("color", "attributes"), ("size", "attributes")):
        own = f.model_copy(
            update={"brand": ()}
            if facet == "brand"
            else {"attributes": {k: v for k, v in f.attributes.items() if k != facet}}
        )
        counts = Counter(
            value
            for p in model.values()
            if satisfies(p, own) and sum(has(p, w) for w in dict.fromkeys(words)) >= required
            for value in [p.brand if field == "brand" else p.attributes.get(facet)]
            if value is not None
        )
        got = {c.value: c.count for c in s.facets(q, f, [facet], 10)[facet]}
        assert got == dict(counts)


@settings(max_examples=25, deadline=None)
@given(
    initial=st.lists(products(), max_size=8, unique_by=lambda p: p.id),
    steps=st.lists(
        st.lists(
            st.one_of(
                products().map(lambda p: (p.id, p)),
                st.integers(0, 12).map(lambda n: (f"p{n}", None)),
            ),
            min_size=1,
            max_size=4,
        ),
        max_size=3,
    ),
    f=filters,
    words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3),
    required=st.integers(1, 2),
)
def test_the_engine_is_its_model_after_any_updates(
    tmp_path_factory, initial, steps, f, words, required
):
    shop = Shop(tmp_path_factory.mktemp("shop"), initial)
    model = {p.id: p for p in initial}
    required = min(required, len(set(words)))
    check(shop, model, f, words, required)
    for step in steps:
        shop.apply(step)
        for product_id, product in step:
            model.pop(product_id, None)
            if product is not None:
                model[product_id] = product
        check(shop, model, f, words, required)
    shop.engine.close()


@pytest.fixture
def shop(tmp_path) -> Shop:
    titles = ["red shoe", "blue shoe", "shoe red lamp", "usb cable", "red usb lamp"]
    shop = Shop(tmp_path, [Product(id=f"p{i}", title=t) for i, t in enumerate(titles)])
    yield shop
    shop.engine.close()


def ids(shop: Shop, q: LexicalQuery) -> list[str]:
    return shop.snapshot.ids(shop.snapshot.lexical(q, 10, Filters()).numbers)


def test_a_phrase_ranks_before_scattered_words(shop):
    plain = LexicalQuery(
        (Term(text="red", forms=("red",)), Term(text="lamp", forms=("lamp",))), BOOSTS
    )
    near = LexicalQuery(plain.terms, BOOSTS, phrase_boost=5.0)
    assert ids(shop, near)[0] == "p2"


def test_forms_weights_exclusion_and_fuzziness(shop):
    forms = LexicalQuery((Term(text="shoes", forms=("shoes", "shoe")),), BOOSTS)
    assert sorted(ids(shop, forms)) == ["p0", "p1", "p2"]
    excluded = LexicalQuery(forms.terms, BOOSTS, excluded=(Term(text="red", forms=("red",)),))
    assert ids(shop, excluded) == ["p1"]
    fuzzy = LexicalQuery((Term(text="cabel", forms=("cabel",)),), BOOSTS, fuzzy=1)
    assert ids(shop, fuzzy) == ["p3"]
    expansion = LexicalQuery(
        (Term(text="usb", forms=("usb",)),),
        BOOSTS,
        expansions=(Term(text="lamp", forms=("lamp",), weight=0.5),),
        minimum_match=1,
    )
    assert ids(shop, expansion)[0] == "p4"


def test_a_snapshot_does_not_change_under_a_reader(shop):
    before = shop.snapshot
    shop.apply([("p0", None), ("p9", Product(id="p9", title="red shoe"))])
    assert "p0" in before.ids(before.lexical(query("red"), 10, Filters()).numbers)
    assert before.size == 5
    after = shop.snapshot
    assert "p0" not in after.ids(after.lexical(query("red"), 10, Filters()).numbers)
    assert "p9" in after.ids(after.lexical(query("red"), 10, Filters()).numbers)


def test_updates_leave_the_generation_as_it_was(shop, tmp_path):
    words = tmp_path / "index" / "g" / "engine" / "words"
    before = {p.name: p.read_bytes() for p in words.iterdir() if p.suffix != ".lock"}
    shop.apply([("p0", None), ("p7", Product(id="p7", title="lamp"))])
    after = {p.name: p.read_bytes() for p in words.iterdir() if p.suffix != ".lock"}
    assert after == before


def test_clones_of_dead_processes_are_swept(shop, tmp_path):
    dead = tmp_path / "index" / ".live-999999999-x"
    dead.mkdir()
    EmbeddedEngine.open(tmp_path / "index" / "g" / "engine", "g").close()
    assert not dead.exists()
