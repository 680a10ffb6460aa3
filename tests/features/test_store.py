"""The feature store: what goes in comes out, whether it was built, reopened or updated."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.contracts.candidates import Candidates
from tandem.contracts.product import TEXT_FIELDS, AnalysedProduct, Money, Product
from tandem.contracts.search import Term, Understanding
from tandem.features.evidence import Evidence
from tandem.features.store import FeatureStore, FeatureStoreBuilder, term_hash


def analysed(number: int, title: str, **fields: str) -> AnalysedProduct:
    product = Product(
        id=f"p{number}",
        title=title or "x",
        brand=fields.get("brand"),
        price=Money(amount="12.50", currency="EUR") if number % 2 else None,
        rating=4.5 if number % 3 else None,
        created=datetime(2024, 1, 1, tzinfo=UTC),
        extra={"margin": 0.25} if number % 2 else {"margin": "unknown"},
    )
    texts = {"title": title, **fields}
    return AnalysedProduct(product, {f: texts.get(f, "").split() for f in TEXT_FIELDS})


def build(path: Path, products: list[AnalysedProduct]) -> FeatureStore:
    builder = FeatureStoreBuilder(path)
    builder.add(products)
    builder.finish()
    return FeatureStore.open(path)


def evidence(store: FeatureStore, numbers: list[int], *words: str) -> Evidence:
    text = " ".join(words)
    understanding = Understanding(
        raw=text, text=text, terms=tuple(Term(text=w, forms=(w,)) for w in words)
    )
    return Evidence(
        understanding,
        Candidates(np.array(numbers, np.int64), np.zeros(len(numbers), np.float32)),
        store,
    )


SAMPLE = ["red", "blue", "shoe", "lamp", "usb", "cable", "big"]
words = st.lists(st.sampled_from(SAMPLE), max_size=6)


@settings(max_examples=40, deadline=None)
@given(titles=st.lists(words, min_size=1, max_size=8), cut=st.integers(0, 8), data=st.data())
def test_updates_and_base_are_indistinguishable(tmp_path_factory, titles, cut, data):
    """A product's terms and columns are the same whether it was indexed or upserted later."""
    products = [analysed(i, " ".join(t)) for i, t in enumerate(titles)]
    cut = min(cut, len(products))
    path = tmp_path_factory.mktemp("store")
    whole = build(path / "whole", products)
    first = max(cut, 1)
    parts = build(path / "parts", products[:first])
    middle = data.draw(st.integers(first, len(products)))
    parts = parts.with_products(products[first:middle]).with_products(products[middle:])
    assert parts.size == whole.size
    numbers = np.array(data.draw(st.permutations(range(len(products)))), np.int64)
    for field in TEXT_FIELDS:
        for store in (whole, parts):
            terms, owner, lengths = store.gather(field, numbers)
            for row, number in enumerate(numbers.tolist()):
                expected = [term_hash(w) for w in products[number].terms[field]]
                assert terms[owner == row].tolist() == expected
                assert lengths[row] == len(expected)
    for name in whole.columns(numbers).NAMES:
        np.testing.assert_array_equal(
            getattr(whole.columns(numbers), name), getattr(parts.columns(numbers), name)
        )


def test_unknown_is_not_zero(tmp_path):
    store = build(tmp_path, [analysed(0, "lamp"), analysed(1, "lamp", brand="Acme")])
    columns = store.columns(np.array([0, 1]))
    assert np.isnan(columns.price[0])
    assert columns.price[1] == 12.5
    assert np.isnan(columns.margin[0])
    assert columns.margin[1] == 0.25
    assert columns.brand.tolist() == [-1, 0]
    assert store.names.code("brand", "Acme") == 0
    assert store.names.code("brand", "unheard of") == -1


def test_positions_counts_and_bm25_by_hand(tmp_path):
    store = build(
        tmp_path,
        [analysed(0, "red shoe"), analysed(1, "shoe lamp shoe"), analysed(2, "lamp")],
    )
    e = evidence(store, [2, 1, 0], "shoe", "red")
    m = e.matches["title"]
    assert m.counts.tolist() == [[0, 0], [2, 0], [1, 1]]
    assert list(zip(m.row.tolist(), m.term.tolist(), m.position.tolist(), strict=True)) == [
        (1, 0, 0),
        (1, 0, 2),
        (2, 1, 0),
        (2, 0, 1),
    ]
    idf_shoe = np.log1p((3 - 2 + 0.5) / (2 + 0.5))
    norm = 1.2 * (1 - 0.5 + 0.5 * 3 / 2)
    assert e.bm25["title"][1] == pytest.approx(idf_shoe * 2 * 2.2 / (2 + norm), rel=1e-5)
    assert e.bm25["title"][0] == 0


def test_a_form_that_two_terms_share_counts_for_both(tmp_path):
    store = build(tmp_path, [analysed(0, "laserprinter toner"), analysed(1, "toner")])
    terms = tuple(Term(text=w, forms=(w, "laserprinter")) for w in ("laser", "printer"))
    understanding = Understanding(raw="laser printer", text="laser printer", terms=terms)
    found = Candidates(np.array([1, 0], np.int64), np.zeros(2, np.float32))
    m = Evidence(understanding, found, store).matches["title"]
    assert m.counts.tolist() == [[0, 0], [1, 1]]
    assert m.position.tolist() == [0, 0]


def test_no_candidates_and_no_terms(tmp_path):
    store = build(tmp_path, [analysed(0, "lamp")])
    for e in (evidence(store, [], "lamp"), evidence(store, [0]), evidence(store, [])):
        assert e.bm25["title"].shape == (e.n,)
        assert e.matches["title"].counts.shape == (e.n, len(e.terms))


def test_another_format_is_refused(tmp_path):
    build(tmp_path, [analysed(0, "lamp")])
    manifest = tmp_path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(Exception, match="tandem index"):
        FeatureStore.open(tmp_path)
