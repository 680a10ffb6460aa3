"""Merchandising rules survive ranking, and never push relevance past its guardrail."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.contracts.candidates import Candidates
from tandem.contracts.errors import InvalidInput
from tandem.contracts.product import TEXT_FIELDS, AnalysedProduct, Product
from tandem.features.store import FeatureStore, FeatureStoreBuilder
from tandem.ranking.business import (
    BusinessPolicy,
    Exposure,
    Objectives,
    Rule,
    apply_policy,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
N = 12


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> FeatureStore:
    path = tmp_path_factory.mktemp("store")
    builder = FeatureStoreBuilder(path)
    builder.add(
        [
            AnalysedProduct(
                Product(
                    id=f"p{i}",
                    title="t",
                    brand="Acme" if i % 2 else "Bolt",
                    merchant=f"m{i % 3}",
                    category=("A", "B") if i < 6 else ("C",),
                    rating=1 + 4 * i / N,
                ),
                {f: [] for f in TEXT_FIELDS},
            )
            for i in range(N)
        ]
    )
    builder.finish()
    return FeatureStore.open(path)


NUMBERS = {f"p{i}": i for i in range(N)}


def ranked(store, policy, query="lamp", numbers=range(10), now=NOW, scores=None):
    numbers = list(numbers)
    values = np.linspace(1, 0, len(numbers)) if scores is None else np.array(scores)
    candidates = Candidates(np.array(numbers, np.int64), values.astype(np.float32))
    return apply_policy(policy, query, candidates, store, NUMBERS, now)


def policy(*rules, **rest) -> BusinessPolicy:
    return BusinessPolicy(rules=tuple(Rule(id=f"r{i}", **r) for i, r in enumerate(rules)), **rest)


def test_the_empty_policy_changes_nothing(store):
    applied = ranked(store, BusinessPolicy())
    assert applied.candidates.numbers.tolist() == list(range(10))
    assert applied.fired == {}


def test_pins_stand_where_they_were_put_even_when_retrieval_missed_them(store):
    applied = ranked(store, policy({"kind": "pin", "products": ["p11", "p5"], "position": 2}))
    assert applied.candidates.numbers.tolist()[:4] == [0, 11, 5, 1]
    assert applied.fired[11] == ("r0",)


def test_a_pin_survives_bury_boost_objectives_and_caps(store):
    applied = ranked(
        store,
        policy(
            {"kind": "pin", "products": ["p4"], "position": 1},
            {"kind": "bury", "brand": "Bolt"},
            {"kind": "boost", "brand": "Acme", "weight": 1},
            exposure=Exposure(per_brand=1, window=10),
            objectives=Objectives(rating=1, guardrail=1),
        ),
    )
    assert applied.candidates.numbers[0] == 4


def test_bury_hide_and_boost(store):
    buried = ranked(store, policy({"kind": "bury", "products": ["p0"]})).candidates
    assert buried.numbers[-1] == 0
    hidden = ranked(store, policy({"kind": "hide", "category": "A"})).candidates
    assert hidden.numbers.tolist() == [6, 7, 8, 9]
    boosted = ranked(store, policy({"kind": "boost", "merchant": "m2", "weight": 1})).candidates
    assert boosted.numbers[0] == 2


def test_rules_apply_in_their_time_and_to_their_query_only(store):
    rule = {
        "kind": "pin",
        "products": ["p9"],
        "query": "*LAMP*",
        "starts": NOW,
        "ends": NOW + timedelta(hours=1),
    }
    first = lambda **kw: int(ranked(store, policy(rule), **kw).candidates.numbers[0])  # noqa: E731
    assert first(query="desk lamp") == 9
    assert first(query="desk") == 0
    assert first(now=NOW - timedelta(seconds=1)) == 0
    assert first(now=NOW + timedelta(hours=1)) == 0


def test_exposure_caps_hold_within_the_window(store):
    applied = ranked(store, policy(exposure=Exposure(per_merchant=2, window=6)))
    merchants = [n % 3 for n in applied.candidates.numbers[:6].tolist()]
    assert max(merchants.count(m) for m in range(3)) <= 2
    assert sorted(applied.candidates.numbers.tolist()) == list(range(10))


@settings(max_examples=60, deadline=None)
@given(
    scores=st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=N),
    guardrail=st.floats(0, 1),
)
def test_no_objective_overtakes_beyond_the_guardrail(store, scores, guardrail):
    scores = sorted(scores, reverse=True)
    applied = ranked(
        store,
        policy(objectives=Objectives(rating=1, guardrail=guardrail)),
        numbers=range(len(scores)),
        scores=scores,
    )
    spread = max(scores) - min(scores)
    relevance = [(s - min(scores)) / spread if spread else 0 for s in scores]
    order = applied.candidates.numbers.tolist()
    for i, above in enumerate(order):
        for below in order[i + 1 :]:
            assert relevance[below] - relevance[above] <= guardrail + 1e-5


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_product_is_lost_or_doubled(store, data):
    kinds = st.sampled_from(["pin", "boost", "bury"])
    products = st.lists(st.sampled_from([f"p{i}" for i in range(N)]), min_size=1, max_size=3)
    rules = data.draw(
        st.lists(
            st.fixed_dictionaries(
                {"kind": kinds, "products": products, "position": st.integers(1, 15)}
            ),
            max_size=4,
        )
    )
    applied = ranked(store, policy(*rules))
    pinned = {int(p[1:]) for r in rules if r["kind"] == "pin" for p in r["products"]}
    assert sorted(applied.candidates.numbers.tolist()) == sorted(set(range(10)) | pinned)
    assert (np.diff(applied.candidates.scores) <= 0).all()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("{", "not valid JSON"),
        ({"rules": [{"id": "a", "kind": "pin"}]}, "needs products"),
        ({"rules": [{"id": "a", "kind": "shove", "brand": "x"}]}, "kind"),
        ({"rules": [{"id": "a", "kind": "bury", "brand": "x"}] * 2}, "used twice"),
        ({"rulez": []}, "rulez"),
    ],
)
def test_a_bad_policy_names_file_and_field(tmp_path, value, says):
    path = tmp_path / "rules.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    with pytest.raises(InvalidInput, match=says) as caught:
        BusinessPolicy.load(path)
    assert str(path) in caught.value.message


def test_no_file_is_the_empty_policy(tmp_path):
    assert BusinessPolicy.load(tmp_path / "rules.json") == BusinessPolicy()
