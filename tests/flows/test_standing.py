"""Why don't I rank: what is foretold happens, and nothing happens by asking."""

from __future__ import annotations

import numpy as np
import pytest

import tandem
from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.search import Filters


@pytest.fixture(scope="module")
def shop(simulated_shop):
    with tandem.open(simulated_shop) as shop:
        yield shop


@pytest.fixture
def query(shop) -> str:
    judged = shop.judgment_list().by_query
    return next(q for q, j in judged.items() if max(j.values()) == 3 and shop.search(q).total > 8)


def test_the_place_is_the_one_that_shoppers_see(shop, query):
    hits = shop.search(query, k=100).hits
    for hit in (hits[0], hits[6], hits[-1]):
        standing = shop.standing(query, hit.product.id, trying=False)
        assert standing.position == hit.position
        expected = [h.product.id for h in hits[: min(10, hit.position - 1)]]
        assert [r.product_id for r in standing.above] == expected
        assert f"place {hit.position} " in standing.summary
    assert not shop.standing(query, hits[0].product.id).edits


def test_what_is_foretold_is_what_happens_when_the_change_is_made(shop_copy, query):
    with tandem.open(shop_copy) as shop:
        target = shop.search(query, k=100).hits[20].product
        bare = target.model_copy(update={"description": "", "category": ()})
        shop.upsert([bare])
        listing_before = shop.product(bare.id)
        ranking_before = [h.product.id for h in shop.search(query, k=100).hits]
        standing = shop.standing(query, bare.id)
        assert {"description", "category"} <= {e.kind for e in standing.edits}
        # Asking has changed nothing, here or on disk.
        assert shop.product(bare.id) == listing_before
        assert [h.product.id for h in shop.search(query, k=100).hits] == ranking_before
        with tandem.open(shop_copy) as again:
            assert [h.product.id for h in again.search(query, k=100).hits] == ranking_before
        for edit in standing.edits:
            if edit.kind == "description":
                changed = bare.model_copy(update={"description": edit.after})
            elif edit.kind == "category":
                changed = bare.model_copy(update={"category": tuple(edit.after.split(" > "))})
            else:
                continue
            shop.upsert([changed])
            assert shop.standing(query, bare.id, trying=False).position == edit.position
            if edit.position and standing.position:
                assert edit.gain == standing.position - edit.position


def test_a_what_if_sees_updates_made_before_and_none_made_in_another(shop_copy, query):
    with tandem.open(shop_copy) as shop:
        product = shop.search(query).hits[0].product
        shop.upsert([product.model_copy(update={"title": "Quite another thing"})])
        with shop.what_if() as one, shop.what_if() as other:
            view = one(product.model_copy(update={"title": "One"}))
            assert view.snapshot.products(view.snapshot.numbers([product.id]))[0].title == "One"
            view = other(product.model_copy(update={"title": "Other"}))
            assert view.snapshot.products(view.snapshot.numbers([product.id]))[0].title == "Other"
        found = shop.product(product.id)
        assert found is not None
        assert found.title == "Quite another thing"
        assert not list(shop.layout.root.rglob(".live-*/no-such"))


def test_what_holds_it_back_is_behind_and_adds_up_by_words(shop, query):
    hit = shop.search(query, k=100).hits[30]
    standing = shop.standing(query, hit.product.id, trying=False)
    effects = [d.effect for d in standing.differences]
    assert effects
    assert effects == sorted(effects)
    assert max(effects) < 0
    assert len({d.says for d in standing.differences}) == len(effects)


def test_conditions_of_the_search_are_named(shop):
    kind = "portable charger"
    prices = sorted((h.product.price.amount, h.product.id) for h in shop.search(kind, k=30).hits)
    limit = int(prices[len(prices) // 2][0])
    standing = shop.standing(f"{kind} under {limit} €", prices[-1][1])
    assert standing.filters == Filters(price_max=limit)
    assert any("price of at most" in s for s in standing.shut_out)
    assert "cannot be shown" in standing.summary
    assert not standing.edits


def test_a_product_that_is_not_found_at_all_is_told_so(shop, query):
    shown = {h.product.id for h in shop.search(query, k=200).hits}
    numbers = np.arange(shop.view.snapshot.size)
    other = next(i for i in shop.view.snapshot.ids(numbers) if i not in shown)
    standing = shop.standing(query, other, trying=False)
    assert standing.position is None or standing.position > 200


def test_bad_questions(shop, query):
    with pytest.raises(NotFound, match="no product"):
        shop.standing(query, "no such product")
    with pytest.raises(InvalidInput, match="empty"):
        shop.standing("  ", shop.search(query).hits[0].product.id)
