"""Models of how people click through a list, held against each other on lists they have not seen.

| model | people | source |
|---|---|---|
| `pbm` | look at place k with a chance of its own | Richardson, Dominowska & Ragno, WWW 2007 |
| `cascade` | read from the top and stop at the first click | Craswell et al., WSDM 2008 |
| `dcm` | read from the top; after a click at place k they go on with a chance of its own | \
Guo, Liu & Wang, WSDM 2009 |

No library of click models is kept up that would do for this; the estimators are those of Chuklin,
Markov & de Rijke, *Click Models for Web Search*, 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.clicks import Floats, Ints, totals
from tandem.contracts.errors import InvalidInput

ModelName = Literal["pbm", "cascade", "dcm"]
MODELS: tuple[ModelName, ...] = get_args(ModelName)
FEWEST = 50  # lists that are kept out, at least
_PRIOR = 3.0  # looks that a pair's attraction is drawn to the mean with
_ROUNDS = 200
_TOLERANCE = 1e-4
_LEAST = 1e-6


@dataclass(frozen=True)
class Lists:
    """Result lists and their clicks. pair: (n, places) number of query with product, -1 where the
    list had ended; clicked: (n, places); pairs: how many there are."""

    pair: Ints
    clicked: NDArray[np.bool_]
    pairs: int

    def rows(self, keep: NDArray[np.bool_]) -> Lists:
        return Lists(self.pair[keep], self.clicked[keep], self.pairs)

    @property
    def there(self) -> NDArray[np.bool_]:
        return self.pair >= 0


@dataclass(frozen=True)
class ClickModel:
    """A fitted model. attraction: (pairs,), the mean where a pair was never looked at; looks:
    (pairs,) expected examinations behind it. places: (places,) examination of `pbm`, continuation
    after a click of `dcm` and `cascade`."""

    name: ModelName
    attraction: Floats
    looks: Floats
    places: Floats

    def chances(self, lists: Lists) -> tuple[Floats, Floats]:
        """(n, places) chance of a click at each place: whatever came before it, and given the
        clicks above it."""
        a = np.where(lists.there, self.attraction[np.maximum(lists.pair, 0)], 0.0)
        if self.name == "pbm":
            each = a * self.places
            return each, each
        alone, given = np.empty_like(a), np.empty_like(a)
        looked, known = np.ones(len(a)), np.ones(len(a))
        for k in range(a.shape[1]):
            alone[:, k], given[:, k] = looked * a[:, k], known * a[:, k]
            looked = looked * (a[:, k] * self.places[k] + 1 - a[:, k])
            unclicked = known * (1 - a[:, k]) / np.maximum(1 - known * a[:, k], _LEAST)
            known = np.where(lists.clicked[:, k], self.places[k], unclicked)
        return alone, given


@dataclass(frozen=True)
class Fit:
    """How well a model foretells lists that it has not seen. perplexity: of a click at a place,
    over places; 1 is certainty, 2 a coin. by_place: (places,). given: the same with the clicks
    above known. lists: how many were kept out."""

    name: ModelName
    perplexity: float
    given: float
    by_place: tuple[float, ...]
    lists: int


def fit_clicks(lists: Lists, name: ModelName) -> ClickModel:
    """By expectation-maximisation. InvalidInput for a log without clicks, or an unknown model."""
    if name not in MODELS:
        raise InvalidInput(
            f"no click model '{name}'", field="model", remedy=f"use: auto, {', '.join(MODELS)}"
        )
    if not lists.clicked.any():
        raise InvalidInput("nobody clicked", field="clicks", remedy="wait for more searches")
    return _position(lists) if name == "pbm" else _reading(lists, name)


def _position(lists: Lists) -> ClickModel:
    """Examination and attraction in turn; examination relative to the place looked at most."""
    there, clicked = lists.there, lists.clicked
    at = lists.pair[there]
    place = np.broadcast_to(np.arange(there.shape[1]), there.shape)[there]
    hit = clicked[there].astype(np.float64)
    # Rows of one pair at one place are alike: they are added up.
    cell, back = np.unique(at * there.shape[1] + place, return_inverse=True)
    at, place = cell // there.shape[1], cell % there.shape[1]
    n, c = totals(back, np.ones(back.size)), totals(back, hit)
    looks = 1 / np.sqrt(np.arange(1.0, there.shape[1] + 1))
    attraction = np.full(lists.pairs, 0.2)
    by_pair, by_place = totals(at, n, lists.pairs), totals(place, n, there.shape[1])
    for _ in range(_ROUNDS):
        e, a = looks[place], attraction[at]
        unclicked = (n - c) / np.maximum(1 - e * a, 1e-12)
        liked = totals(at, c + unclicked * a * (1 - e), lists.pairs)
        mean = min(c.sum() / max(float((n * e).sum()), 1e-12), 0.9)
        attraction = (liked + _PRIOR * mean) / (by_pair + _PRIOR)
        looked = totals(place, c + unclicked * e * (1 - a), looks.size)
        fresh = np.divide(looked, by_place, out=np.zeros_like(looks), where=by_place > 0)
        fresh = np.clip(fresh / max(float(fresh.max()), 1e-12), _LEAST, 1)
        moved, looks = float(np.abs(fresh - looks).max()), fresh
        if moved < _TOLERANCE:
            break
    return ClickModel("pbm", attraction, totals(at, n * looks[place], lists.pairs), looks)


def _reading(lists: Lists, name: ModelName) -> ClickModel:
    """Reading from the top. Up to the last click all was looked at; behind it the E-step weighs
    whether the reader had stopped (`cascade`: surely)."""
    there, clicked = lists.there, lists.clicked & lists.there
    places = there.shape[1]
    if name == "cascade":
        # What follows the first click was not looked at; clicks there are not its business.
        before: Ints = np.cumsum(clicked, axis=1) - clicked
        looked = np.where(there & (before == 0), 1.0, 0.0)
        return _attraction(lists, name, looked, np.zeros(places))
    any_click: NDArray[np.bool_] = np.asarray(clicked.any(axis=1))
    last: Ints = np.where(any_click, places - 1 - np.argmax(clicked[:, ::-1], axis=1), -1)
    after: NDArray[np.bool_] = np.arange(places)[None, :] > last[:, None]
    behind = there & after & any_click.reshape(-1, 1)
    clicks = clicked.sum(axis=0).astype(np.float64)
    went_on = clicks - np.bincount(last[any_click], minlength=places)
    onward = np.full(places, 0.5)
    at = np.maximum(lists.pair, 0)
    looked = there.astype(np.float64)
    model = _attraction(lists, name, looked, onward)
    for _ in range(_ROUNDS):
        unliked = np.where(behind, 1 - model.attraction[at], 1.0).prod(axis=1)
        on = onward[last] * unliked
        read_on = np.where(any_click, on / np.maximum(on + 1 - onward[last], 1e-12), 1.0)
        looked = np.where(behind, read_on[:, None], there.astype(np.float64))
        fresh = went_on + np.bincount(last[any_click], read_on[any_click], places)
        fresh = np.where(clicks > 0, fresh / np.maximum(clicks, 1), 0.5)
        moved, onward = float(np.abs(fresh - onward).max()), fresh
        model = _attraction(lists, name, looked, onward)
        if moved < _TOLERANCE:
            break
    return model


def _attraction(lists: Lists, name: ModelName, looked: Floats, places: Floats) -> ClickModel:
    at = np.maximum(lists.pair, 0).ravel()
    looks = totals(at, looked.ravel(), lists.pairs)
    hits = totals(at, (looked * (lists.clicked & lists.there)).ravel(), lists.pairs)
    mean = float(hits.sum() / max(float(looks.sum()), 1e-12))
    return ClickModel(name, (hits + _PRIOR * mean) / (looks + _PRIOR), looks, places)


def compare_models(lists: Lists, *, share: float = 0.2, seed: int = 7) -> dict[ModelName, Fit]:
    """Each model fitted to most lists, and asked about the `share` that was kept out by lot.

    InvalidInput where fewer than `FEWEST` would be kept out.
    """
    out = np.random.default_rng(seed).random(len(lists.pair)) < share
    if int(out.sum()) < FEWEST:
        raise InvalidInput(
            f"{len(lists.pair):,} lists",
            field="clicks",
            remedy=f"wait for {round(FEWEST / share)} searches with their answers, or name a model",
        )
    seen, unseen = lists.rows(~out), lists.rows(out)
    return {name: _held_out(fit_clicks(seen, name), unseen) for name in MODELS}


def _held_out(model: ClickModel, lists: Lists) -> Fit:
    there = lists.there
    found = []
    for chance in model.chances(lists):
        p = np.clip(chance, _LEAST, 1 - _LEAST)
        bits = -np.where(lists.clicked, np.log2(p), np.log2(1 - p)) * there
        by_place = 2.0 ** (bits.sum(axis=0) / np.maximum(there.sum(axis=0), 1))
        found.append(by_place[there.any(axis=0)])
    return Fit(
        model.name,
        float(found[0].mean()),
        float(found[1].mean()),
        tuple(round(float(x), 4) for x in found[0]),
        len(lists.pair),
    )
