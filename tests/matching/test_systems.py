from __future__ import annotations

import numpy as np
import pytest

from tandem.contracts.errors import InvalidInput
from tandem.flows.match import measure
from tandem.matching.affinities import Scorer
from tandem.matching.market import Collaborations, HeldOut, Market, leave_brands_out
from tandem.matching.systems import SYSTEMS, Lesson, fit_systems

People = tuple[Market, Collaborations]


@pytest.fixture(scope="module")
def fitted(market: People, held: HeldOut) -> dict[str, Scorer]:
    return fit_systems(Lesson(market[0], held.train))


def auc(scorer: Scorer, held: HeldOut) -> float:
    return float(measure(scorer(held.brands, held.creators), held.truth)[:, 0].mean())


def test_learned_systems_beat_chance_by_far_on_unseen_brands(
    fitted: dict[str, Scorer], held: HeldOut
) -> None:
    assert tuple(fitted) == SYSTEMS
    assert 0.35 < auc(fitted["random"], held) < 0.65
    for name in ("circle", "logistic", "ltr_alone", "ltr"):
        assert auc(fitted[name], held) > 0.85, name


def test_popularity_is_the_same_for_every_brand(fitted: dict[str, Scorer], held: HeldOut) -> None:
    scores = fitted["popularity"](held.brands, held.creators)
    assert (scores == scores[0]).all()
    seen = np.isin(held.creators, held.train.creators)
    assert (scores[0, seen] > 0).all()
    assert (scores[0, ~seen] == 0).all()


def test_the_same_lesson_gives_the_same_scores(market: People, held: HeldOut) -> None:
    names = ("random", "ltr")
    first, second = (fit_systems(Lesson(market[0], held.train), names) for _ in range(2))
    for name in names:
        np.testing.assert_array_equal(
            first[name](held.brands, held.creators), second[name](held.brands, held.creators)
        )


def test_the_collaborations_of_unseen_brands_are_never_learned(market: People) -> None:
    folds = list(leave_brands_out(market[1], 4, seed=5))
    assert sorted(np.concatenate([f.brands for f in folds])) == sorted(market[1].brands)
    for fold in folds:
        assert not np.isin(fold.train.brands, fold.brands).any()
        assert fold.truth.any(axis=0).all()
        assert fold.truth.sum() + len(fold.train.pairs) == len(market[1].pairs)


def test_an_unknown_system_and_too_few_brands_are_told(market: People) -> None:
    with pytest.raises(InvalidInput, match="no matching system 'magic'"):
        fit_systems(Lesson(*market), ("magic",))
    with pytest.raises(InvalidInput, match="too few"):
        Lesson(market[0], market[1].of(np.arange(5)))
