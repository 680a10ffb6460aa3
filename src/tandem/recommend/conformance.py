"""How every recommender has to behave, to be called from the tests of one's own.

    from tandem.recommend.conformance import check_recommender

    def test_mine_behaves():
        check_recommender(Mine)

Raises AssertionError with what was broken. The sessions and baskets are made up here, with a plain
pattern that a recommender worth its name finds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tandem.recommend.baskets import GUEST, Baskets, baskets_of, next_baskets
from tandem.recommend.models import Recommender
from tandem.recommend.next_basket import BasketRecommender
from tandem.recommend.sessions import Ints, Sessions, pairs_of

ITEMS, UNSEEN = 60, 3  # three items of the catalogue that nobody ever touched
K = 10


def check_recommender(make: Callable[[], Recommender], *, personal: bool = True) -> None:
    """Check a recommender of the next click. personal: whether it looks at the session."""
    size = ITEMS + UNSEEN
    lesson = Sessions.of(_walks(600, 0), size)
    asked = pairs_of(Sessions.of(_walks(60, 1), size), np.ones(size, bool))
    model = make()
    assert isinstance(model.name, str), "it needs a name"
    assert model.name, "it needs a name"
    before = lesson.items.copy()
    model.fit(lesson)
    assert (lesson.items == before).all(), "fit changed the sessions that it was given"
    items, scores = model.recommend(asked.prefixes, K)
    _sound(items, size, len(asked))
    assert scores.shape == items.shape, "scores and items differ in shape"
    assert (np.diff(scores, axis=1) <= 1e-6).all(), "scores have to fall along a list"
    again, _ = model.recommend(asked.prefixes, K)
    assert (items == again).all(), "the same question got another answer"
    for row in range(0, len(asked), 17):
        alone, _ = model.recommend(asked.prefixes[row : row + 1], K)
        assert (alone[0] == items[row]).all(), "one session alone is answered in another way"
    allowed = np.arange(size) % 3 > 0
    _filtered(model.recommend(asked.prefixes, K, allowed)[0], items, allowed)
    odd = Sessions.of([[], [size - 1], [1] * 200], size)
    _sound(model.recommend(odd, K)[0], size, 3)
    fresh = make()
    fresh.fit(Sessions.of(_walks(600, 5), size))
    fresh.fit(lesson)
    assert (fresh.recommend(asked.prefixes, K)[0] == items).all(), "an earlier fit left traces"
    hit = (items == asked.targets[:, None]).any(1).mean()
    least = (3.0 if personal else 0.5) * K / ITEMS
    assert hit > least, f"it finds {hit:.2f} of what comes next; {least:.2f} is the least"


def check_basket_recommender(
    make: Callable[[], BasketRecommender], *, personal: bool = True
) -> None:
    """Check a recommender of the next basket. personal: whether it looks at the person."""
    shop, now = _shop(0), 170.0
    asked = next_baskets(shop, now, np.inf)
    model = make()
    assert isinstance(model.name, str), "it needs a name"
    assert model.name, "it needs a name"
    before = asked.known.contents.items.copy()
    model.fit(asked.known, now)
    assert (asked.known.contents.items == before).all(), "fit changed the baskets it was given"
    items = model.recommend(asked.histories, now, K)
    _sound(items, shop.size, len(asked.people))
    again = model.recommend(asked.histories, now, K)
    assert (items == again).all(), "the same question got another answer"
    for row in range(0, len(asked.people), 29):
        one = asked.histories.of(np.array([row]))
        alone = model.recommend(one, now, K)
        assert (alone[0] == items[row]).all(), "one person alone is answered in another way"
    allowed = np.arange(shop.size) % 3 > 0
    _filtered(model.recommend(asked.histories, now, K, allowed), items, allowed)
    empty = asked.known.before(-1.0)
    stranger = Baskets(empty.contents, empty.person, empty.day, 1)
    cold = model.recommend(stranger, now, K)
    _sound(cold, shop.size, 1)
    assert (cold >= 0).all(), "a person without a history gets a full list of what sells"
    found = [np.isin(asked.targets[i : i + 1].items, items[i]).mean() for i in range(len(items))]
    least = (2.0 if personal else 1.0) * K / shop.size
    hit = float(np.mean(found))
    assert hit > least, f"it finds {hit:.2f} of the next basket; {least:.2f} is the least"


def _sound(items: Ints, size: int, rows: int) -> None:
    assert items.shape == (rows, K), f"asked for {rows} lists of {K}, got {items.shape}"
    assert np.issubdtype(items.dtype, np.integer), "items are whole numbers"
    assert ((items >= -1) & (items < size)).all(), "an item that there is not"
    for line in items:
        known = line[line >= 0]
        assert known.size == np.unique(known).size, "an item twice in one list"
        assert (line[: known.size] >= 0).all(), "-1 stands only at the end of a list"


def _filtered(found: Ints, items: Ints, allowed: NDArray[np.bool_]) -> None:
    """A filter takes items out and changes nothing else: what is left comes first, in order."""
    for line, all_ in zip(found, items, strict=True):
        assert allowed[line[line >= 0]].all(), "an item that the filter takes out"
        left = all_[(all_ >= 0) & allowed[all_]]
        assert (line[: left.size] == left).all(), "a filter changed the order of what is left"


def _walks(n: int, seed: int) -> list[list[int]]:
    """Sessions along one of six chains of ten items, with a stray click now and then."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        chain, at = int(rng.integers(6)) * 10, int(rng.integers(6))
        walk = [chain + (at + step) % 10 for step in range(int(rng.integers(2, 7)))]
        made.append([int(rng.integers(ITEMS)) if rng.random() < 0.1 else i for i in walk])
    return made


def _shop(seed: int) -> Baskets:
    """People who buy from a group of ten items each, and nearly always their favourite."""
    rng = np.random.default_rng(seed)
    contents, person, day = [], [], []
    for who in range(120):
        group, favourite = int(rng.integers(6)) * 10, int(rng.integers(ITEMS))
        for _ in range(int(rng.integers(2, 12))):
            some = (group + rng.integers(0, 10, int(rng.integers(1, 4)))).tolist()
            contents.append([favourite, *some] if rng.random() < 0.8 else some)
            person.append(GUEST if rng.random() < 0.1 else who)
            day.append(float(rng.uniform(0, 200)))
    return baskets_of(contents, person, day, ITEMS)
