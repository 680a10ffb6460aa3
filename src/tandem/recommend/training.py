"""What all networks learn by: batches, and gradient steps with torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tandem.recommend.factors import item_factors
from tandem.recommend.models import PERIOD, Floats
from tandem.recommend.sessions import Ints, Sessions
from tandem.recommend.weights import require_torch

WARM_UP = 0.05  # of all steps
START, NOISE = 0.5, 0.02  # length of item vectors at the start, and what is random of it

B = TypeVar("B")


def learned(
    parameters: Iterable[Any],
    a_round: Callable[[], Iterable[B]],
    loss_of: Callable[[B], Any],
    *,
    batches: int,
    epochs: int,
    least_steps: int,
    rate: float,
) -> list[float]:
    """Adam's steps, one a batch; the mean loss of every epoch. `a_round` gives the batches of an
    epoch, `batches` of them; where there are few, there are as many epochs as `least_steps` asks.
    The rate rises over the first steps and then falls. MissingExtra without torch."""
    if not batches:
        return []
    epochs = max(epochs, -(-least_steps // batches))
    steps, done = epochs * batches, 0
    rising = max(1, round(WARM_UP * steps))
    optimiser = require_torch().optim.Adam(list(parameters), lr=rate)
    losses: list[float] = []
    for _ in range(epochs):
        spent = []
        for batch in a_round():
            loss = loss_of(batch)
            for group in optimiser.param_groups:
                group["lr"] = rate * min((done + 1) / rising, 1.02 - done / steps)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            done += 1
            spent.append(float(loss.detach()))
        losses.append(round(float(np.mean(spent)), 4))
    return losses


def worth(sessions: Sessions, recency: float) -> NDArray[np.float32]:
    """(n,) what each session counts: the newest 1, older ones less."""
    age = (len(sessions) - 1 - np.arange(len(sessions))) / PERIOD
    return np.exp(-recency * age).astype(np.float32)


def start_vectors(sessions: Sessions, dimensions: int, rng: np.random.Generator) -> Floats:
    """(items, dimensions) where vectors start: factors of what is clicked near what, and a little
    that is random."""
    vectors = item_factors(sessions, dimensions)
    noise = rng.standard_normal(vectors.shape) * NOISE
    return np.asarray(vectors * START + noise, np.float32)


def batches(usable: Ints, lengths: Ints, batch: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Sessions of like length together, so that little is filled up; batches by lot."""
    order = usable[np.lexsort((rng.random(usable.size), lengths[usable]))]
    starts = np.arange(0, order.size, batch)
    for start in rng.permutation(starts).tolist():
        yield order[start : start + batch]


def filled(sessions: Sessions, rows: Ints, lengths: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """The last `lengths` clicks of some sessions, filled up at the end, and which are held."""
    places = np.arange(int(lengths.max()))
    held = places < lengths[:, None]
    at = (sessions.starts[rows + 1] - lengths)[:, None] + places
    return np.where(held, sessions.items[np.minimum(at, sessions.items.size - 1)], 0), held
