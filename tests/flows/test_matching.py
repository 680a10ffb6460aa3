"""Matching in a workspace: trained, served as creators allow, rolled back, erased."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput, NotFound
from tandem.flows import rights
from tandem.flows import train_matcher as training
from tandem.flows.alliance import simulate_alliance
from tandem.flows.consent import decide, subjects_of
from tandem.flows.generations import roll_back
from tandem.flows.import_ import create_workspace, import_simulated
from tandem.flows.match_truth import PROPOSED, SYSTEMS, evaluate_on_truth
from tandem.flows.matching import MatchOffice, find_matches
from tandem.flows.train_matcher import train_matcher
from tandem.governance.creators import CreatorConsent
from tandem.storage.catalog import read_products
from tandem.storage.layout import Layout, Settings
from tandem.storage.parties import read_creators


@pytest.fixture(scope="module", autouse=True)
def _few_trees():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tandem.matching.expectation._ROUNDS", 40)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Layout:
    layout = create_workspace(
        tmp_path_factory.mktemp("matching") / "shop", encoder=None, simulated=True
    )
    import_simulated(layout, 400)
    with pytest.raises(NotFound, match="no creators"):
        train_matcher(layout)
    simulate_alliance(layout, 60, 900, 60)
    with pytest.raises(NotFound, match="no matcher"):
        MatchOffice(layout).products_for_creator("x")
    train_matcher(layout)
    return layout


def some_product(layout: Layout):
    return next(p for batch in read_products(layout) for p in batch if p.merchant)


def test_creators_for_a_product_come_as_they_allow(trained):
    found = MatchOffice(trained).creators_for_product(some_product(trained).id, 20)
    assert found.simulated
    assert len(found.matches) == 20
    consent = CreatorConsent.of(trained)
    declared = {c.id: c for c in read_creators(trained)}
    for match in found.matches:
        exact = consent.exact(match.creator.id)
        assert match.creator.follower_count.exact == exact
        assert (match.creator == declared[match.creator.id]) == exact
        assert match.reasons
        assert match.one_piece.orders.low <= match.one_piece.orders.high
    assert found.matches[0].score >= found.matches[-1].score
    assert all(declared[m.creator.id].slots != 0 for m in found.matches)


def test_who_withdraws_is_gone_from_the_next_answer(trained):
    office, product = MatchOffice(trained), some_product(trained).id
    first = office.creators_for_product(product, 5).matches[0].creator.id
    subjects = subjects_of(trained, first, "creator")
    decide(trained, subjects, [Purpose.CREATOR_MARKETING], "withdrawn")
    after = office.creators_for_product(product, 60)
    assert first not in {m.creator.id for m in after.matches}
    with pytest.raises(NotFound, match="no creator"):
        office.products_for_creator(first)
    decide(trained, subjects, [Purpose.CREATOR_MARKETING], "granted")
    assert office.creators_for_product(product, 5).matches[0].creator.id == first


def test_brands_and_products_for_a_creator_agree(trained):
    office = MatchOffice(trained)
    creator = read_creators(trained)[0]
    products = office.products_for_creator(creator.id, 10)
    assert len({m.product_id for m in products.matches}) == 10
    for match in products.matches:
        share = creator.commission_rate / 10_000
        expected = share * match.one_piece.gmv.expected
        assert match.commission.expected == pytest.approx(expected, abs=0.01)
    brands = office.brands_for_creator(creator.id, 5)
    assert len({b.merchant for b in brands.matches}) == 5
    assert all(p.merchant == b.merchant for b in brands.matches for p in b.products)
    best = products.matches[0]
    assert best.product_id in {p.product_id for b in office.brands_for_creator(
        creator.id, 100).matches for p in b.products}  # fmt: skip


def test_creators_for_a_brand_name_the_product_they_suit(trained):
    merchant = some_product(trained).merchant
    found = MatchOffice(trained).creators_for_brand(merchant, 10)
    assert {m.product_id for m in found.matches} <= set(found.product_ids)
    assert len({m.creator.id for m in found.matches}) == len(found.matches) == 10
    with pytest.raises(NotFound):
        MatchOffice(trained).creators_for_brand("nobody")


def test_a_product_without_a_merchant_is_its_brands(trained):
    office, product = MatchOffice(trained), some_product(trained)
    assert office.merchant_of(product.id) == product.merchant
    known = office._now().products
    known[product.id] = product.model_copy(update={"merchant": None, "brand": "Bramble"})
    assert office.merchant_of(product.id) == "Bramble"
    known[product.id] = product.model_copy(update={"merchant": None, "brand": None})
    assert office.merchant_of(product.id) is None


def test_one_thing_is_asked_for_at_once(trained):
    with pytest.raises(InvalidInput):
        find_matches(trained, product="a", merchant="b", creator=None, k=1)


def test_held_against_the_truth_it_beats_chance(trained, monkeypatch):
    monkeypatch.setattr("tandem.flows.match_truth.QUERIES", 40)
    report = evaluate_on_truth(trained)
    value = report.value["creators for products"]
    assert set(value) == set(SYSTEMS)
    assert value["matcher"].mean > value["random"].mean
    lots = {"known creators", "new creators", "unseen brands"}
    assert set(report.coverage) == {*lots, *PROPOSED}
    assert set(report.promised) == set(report.coverage)
    assert all(ratio > 0 for told in report.promised.values() for ratio in told.values())
    assert report.simulated


def test_a_matcher_rolls_back_and_goes_with_a_creator_who_is_erased(trained):
    first = trained.matchers.live()
    second = train_matcher(trained).generation
    assert MatchOffice(trained).products_for_creator("sim-c000001").matcher_generation == second
    back = roll_back(trained, "matchers")
    assert (back.instead_of, back.generation) == (second, first)
    assert MatchOffice(trained).products_for_creator("sim-c000001").matcher_generation == first
    request = rights.erase(trained, subjects_of(trained, "sim-c000001", "creator"))
    assert set(request.counts["models"]) >= {f"matchers/{first}", f"matchers/{second}"}
    assert trained.matchers.live() is None


def test_a_video_that_is_paused_is_watched_once(tmp_path, monkeypatch):
    layout = Layout.create(tmp_path / "shop", Settings())
    layout.events.mkdir(parents=True)
    creators = [SimpleNamespace(id=name) for name in ("a", "b")]
    shown = {"va": ("pa",), "v1": ("p1",), "v2": ("p2",)}
    content = [SimpleNamespace(id=name, product_ids=ids) for name, ids in shown.items()]
    products = [SimpleNamespace(id=name) for name in ("pa", "p1", "p2")]

    def viewed(pauses: int):
        told = [
            {"client": f"c{i}", "creator_id": creator, "object_id": piece, "query_id": "q"}
            for i in range(training.MIN_VIEWERS)
            for creator, piece in (("a", "va"), *[("b", "v1")] * pauses, ("b", "v2"))
        ]
        rows = [{**r, "action_name": "watch", "seconds": 9.0, "traffic": "shopper"} for r in told]
        events = SimpleNamespace(table=lambda _: SimpleNamespace(table=pa.Table.from_pylist(rows)))
        reader = SimpleNamespace(reading=lambda: nullcontext(events))
        monkeypatch.setattr(training, "EventReader", lambda *_, **__: reader)
        return training._viewed(layout, creators, content, products, np.eye(3, dtype=np.float32))[0]

    assert viewed(3)[0].tolist() == viewed(1)[0].tolist() == pytest.approx([0, 0.5**0.5, 0.5**0.5])
