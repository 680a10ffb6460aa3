import numpy as np
import pytest

from tandem.insights.clicks import cascade, ctr_by_position, position_bias
from tandem.insights.tables import Tables
from tandem.simulate.shoppers import (
    DCM_CONTINUATION,
    PBM_EXAMINATION,
    SCHEMA,
    SHOWN,
    simulated_shopping,
)


@pytest.fixture(scope="module")
def by_model():
    made = {}
    for model in ("pbm", "dcm"):
        made[model] = Tables(memory="800MB")
        made[model].load(simulated_shopping(12_000, seed=3, clicks=model, products=1_500).events)
    yield made
    for tables in made.values():
        tables.close()


def test_the_position_model_finds_how_far_the_simulated_shoppers_look(by_model):
    found = position_bias(by_model["pbm"])
    assert found.examination == pytest.approx(PBM_EXAMINATION, abs=0.05)
    # Raw click-through rates tell another story: ranking puts the attractive ones on top.
    raw = np.array([r["ctr"] for r in ctr_by_position(by_model["pbm"])])
    assert (
        np.abs(raw / raw[0] - PBM_EXAMINATION).max()
        > np.abs(found.examination - PBM_EXAMINATION).max()
    )


def test_the_cascade_model_finds_who_looks_on_after_a_click(by_model):
    found = cascade(by_model["dcm"])
    assert found.continuation[:6] == pytest.approx(DCM_CONTINUATION[:6], abs=0.05)
    assert found.continuation[:9] == pytest.approx(DCM_CONTINUATION[:9], abs=0.12)
    assert np.isnan(found.continuation[-1])


def test_rates_by_place_are_counts_over_counts(by_model):
    rates = ctr_by_position(by_model["pbm"])
    assert [r["position"] for r in rates] == list(range(1, SHOWN + 1))
    assert all(r["ctr"] == r["clicks"] / r["impressions"] for r in rates)


def test_nothing_shown_is_no_rate():
    with Tables(memory="500MB") as tables:
        tables.load(SCHEMA.empty_table())
        assert ctr_by_position(tables) == []
        assert np.isnan(position_bias(tables).examination).all()
        assert np.isnan(cascade(tables).continuation).all()
