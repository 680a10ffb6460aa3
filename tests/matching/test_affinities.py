from __future__ import annotations

import numpy as np
import pytest

from tandem.flows.match import measure
from tandem.matching import affinities
from tandem.matching.affinities import AFFINITIES, Views, fit_affinities
from tandem.matching.market import Accounts, Collaborations, HeldOut, Market

People = tuple[Market, Collaborations]


def auc(scores: np.ndarray, held: HeldOut) -> float:
    return float(np.nanmean(measure(scores, held.truth)[:, 0]))


@pytest.mark.parametrize("name", [a.name for a in AFFINITIES if a.name != "past_brands"])
def test_every_affinity_finds_the_planted_circles(market: People, held: HeldOut, name: str) -> None:
    scores = fit_affinities(market[0], held.train)[name](held.brands, held.creators)
    assert scores.shape == held.truth.shape
    assert np.isfinite(scores).all()
    assert auc(scores, held) > 0.65


def test_the_circle_model_ignores_directions_that_scatter_within_circles() -> None:
    """One coordinate tells circles apart, a much louder one is noise: cosine drowns in it."""
    rng = np.random.default_rng(3)
    owner = np.repeat(np.arange(60), 6)
    centres = np.zeros((60, 3))
    centres[:, 0] = rng.normal(size=60)
    loud = np.array([0.15, 3.0, 3.0])
    brands = centres + rng.normal(size=(60, 3)) * loud
    creators = centres[owner] + rng.normal(size=(360, 3)) * loud
    known = Collaborations(np.stack([owner, np.arange(360)], axis=1)).of(np.arange(40))
    unseen, pool = np.arange(40, 60), np.arange(240, 360)
    truth = owner[pool][None, :] == unseen[:, None]
    learned = affinities.same_circle((brands, creators), known)(unseen, pool)
    plain = affinities.dot(affinities.unit(brands), affinities.unit(creators))(unseen, pool)
    assert measure(learned, truth)[:, 0].mean() > measure(plain, truth)[:, 0].mean() + 0.1


def test_past_brands_is_missing_for_creators_without_a_collaboration(
    market: People, held: HeldOut
) -> None:
    scorer = affinities.past_brands(Views.of(market[0]), held.train)
    scores = scorer(held.brands, held.creators)
    seen = np.isin(held.creators, held.train.creators)
    assert seen.any()
    assert not seen.all()
    assert np.isfinite(scores[:, seen]).all()
    assert np.isnan(scores[:, ~seen]).all()


def test_scores_follow_the_rows_asked_for(market: People, held: HeldOut) -> None:
    fitted = fit_affinities(market[0], held.train)
    whole = {n: s(held.brands, held.creators) for n, s in fitted.items()}
    some = np.array([4, 0, 2])
    for name, scorer in fitted.items():
        part = scorer(held.brands[some], held.creators[some])
        np.testing.assert_allclose(part, whole[name][np.ix_(some, some)], atol=1e-9)


def test_views_survive_a_profile_of_zeros_and_a_constant_column() -> None:
    rng = np.random.default_rng(0)
    topics, tags = rng.dirichlet(np.ones(4), 9), rng.normal(size=(9, 5))
    tags[:, 2] = 1.0
    tags[3] = 0.0
    accounts = Accounts(tuple(map(str, range(9))), topics, tags)
    for view in Views.of(Market(accounts, accounts)).both:
        assert np.isfinite(view).all()
