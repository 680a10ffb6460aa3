"""Bandits that learn which product to put into a slot, within guardrails, with known propensities.

Thompson sampling (Thompson 1933; Chapelle & Li, NIPS 2011) and LinUCB (Li, Chu, Langford &
Schapire, WWW 2010). Both are asked through a `Slot`, which keeps them from showing what is too far
from relevant, from exploring more than its budget, and from going on once stopped; and which says
with what probability it showed what it showed, so that its log answers for other policies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput
from tandem.experiments.abtest.effects import sequence_width

Array = NDArray[np.float64]
DRAWS = 256  # that a probability without a formula is told from
ALPHA = 0.01  # of the harm guardrail


class Bandit(Protocol):
    """Learns what an arm earns. `context` is (d,), the same for all arms, or (arms, d)."""

    def probabilities(self, context: Array | None, allowed: Array, rng: Generator) -> Array:
        """(arms,) with what probability each is chosen; 0 where `allowed` (arms, 0 or 1) says."""
        ...

    def learn(self, context: Array | None, arm: int, reward: float) -> None: ...

    def add(self, context: Array | None, arm: int, reward: float) -> None:
        """A reward that came after its showing was learned without one."""
        ...

    def state(self) -> dict[str, Any]:
        """All that it has learned, as JSON."""
        ...

    def restore(self, state: dict[str, Any]) -> None: ...


@dataclass
class ThompsonSampling:
    """Beta-Bernoulli Thompson sampling over `arms`; rewards are 0 or 1.

    alpha, beta (arms,): the prior, and then the posterior.
    """

    arms: int
    alpha: Array = field(default_factory=lambda: np.empty(0))
    beta: Array = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        self.alpha = np.ones(self.arms) if not self.alpha.size else self.alpha.astype(np.float64)
        self.beta = np.ones(self.arms) if not self.beta.size else self.beta.astype(np.float64)
        if self.alpha.shape != (self.arms,) or self.beta.shape != (self.arms,):
            raise InvalidInput(
                "the prior has another number of arms", field="alpha", remedy="give one per arm"
            )

    def probabilities(self, context: Array | None, allowed: Array, rng: Generator) -> Array:
        """By drawing, and smoothed by half a draw so that nothing allowed has probability 0: what
        is shown is then drawn from exactly these."""
        drawn = rng.beta(self.alpha, self.beta, size=(DRAWS, self.arms))
        drawn[:, allowed == 0] = -1.0
        wins = np.bincount(drawn.argmax(axis=1), minlength=self.arms) + 0.5 * (allowed > 0)
        return np.asarray(wins / wins.sum(), np.float64)

    def learn(self, context: Array | None, arm: int, reward: float) -> None:
        self.alpha[arm] += reward
        self.beta[arm] += 1 - reward

    def add(self, context: Array | None, arm: int, reward: float) -> None:
        self.alpha[arm] += reward
        self.beta[arm] -= reward

    def state(self) -> dict[str, Any]:
        return {"alpha": self.alpha.tolist(), "beta": self.beta.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        self.alpha, self.beta = np.array(state["alpha"]), np.array(state["beta"])


@dataclass
class LinUCB:
    """Disjoint linear models with an upper confidence bound; `width` times the standard error.

    explore: share of choices made evenly among what is allowed. Without it LinUCB is
    deterministic, and its log says nothing about any other policy.
    """

    arms: int
    dimension: int
    width: float = 1.0
    explore: float = 0.05

    def __post_init__(self) -> None:
        self._inverse = np.tile(np.eye(self.dimension), (self.arms, 1, 1))
        self._moment = np.zeros((self.arms, self.dimension))

    def probabilities(self, context: Array | None, allowed: Array, rng: Generator) -> Array:
        x = self._rows(context)
        theta = np.einsum("aij,aj->ai", self._inverse, self._moment)
        error = np.sqrt(np.einsum("ai,aij,aj->a", x, self._inverse, x))
        bound = np.where(allowed > 0, (theta * x).sum(axis=1) + self.width * error, -np.inf)
        even = (allowed > 0) / max((allowed > 0).sum(), 1)
        best = np.isclose(bound, bound.max())
        return np.asarray((1 - self.explore) * best / best.sum() + self.explore * even, np.float64)

    def learn(self, context: Array | None, arm: int, reward: float) -> None:
        x = self._rows(context)[arm]
        inverse = self._inverse[arm]
        pulled = inverse @ x
        # Sherman & Morrison 1950: the inverse after one more row.
        self._inverse[arm] = inverse - np.outer(pulled, pulled) / (1 + float(x @ pulled))
        self._moment[arm] += reward * x

    def add(self, context: Array | None, arm: int, reward: float) -> None:
        self._moment[arm] += reward * self._rows(context)[arm]

    def state(self) -> dict[str, Any]:
        return {"inverse": self._inverse.tolist(), "moment": self._moment.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        self._inverse, self._moment = np.array(state["inverse"]), np.array(state["moment"])

    def _rows(self, context: Array | None) -> Array:
        if context is None or context.shape[-1] != self.dimension:
            raise InvalidInput(
                f"a context of {self.dimension} numbers is needed",
                field="context",
                remedy="give (d,) for all arms, or (arms, d)",
            )
        return np.broadcast_to(context, (self.arms, self.dimension))


@dataclass(frozen=True, slots=True)
class Guardrails:
    """What a slot may not do. relevance: products further below the best one, on the ranker's own
    scale, are never shown. budget: the most that the chance of anything but the best one may be, at
    every showing. harm: stop for good when a 99% confidence sequence, valid at every look, shows
    that exploring earns so much less a showing than the best product did. least: showings of each
    before that is asked.
    """

    relevance: float = np.inf
    budget: float = 0.2
    harm: float = np.inf
    least: int = 200


@dataclass(frozen=True, slots=True)
class Shown:
    """One decision. pscore: probability of `arm`; explored: whether it is not the best one."""

    arm: int
    pscore: float
    explored: bool
    stopped: str | None = None


@dataclass
class Earned:
    """Showings with the sum and the squares of their rewards."""

    showings: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, reward: float, showings: int) -> None:
        self.showings += showings
        self.total += reward
        self.squares += reward**2

    @property
    def mean(self) -> float:
        return self.total / self.showings

    @property
    def variance(self) -> float:
        return (self.squares - self.total * self.mean) / (self.showings - 1)


class Slot:
    """One place, filled by a bandit within guardrails. Not for many threads at once.

    best, others: what was earned by the best product and by all others.
    """

    def __init__(self, bandit: Bandit, guardrails: Guardrails, rng: Generator) -> None:
        self._bandit = bandit
        self._guard = guardrails
        self._rng = rng
        self.best, self.others = Earned(), Earned()
        self.stopped: str | None = None

    def chances(self, relevance: Array, context: Array | None = None) -> Array:
        """(arms,) with what probability each would be shown now, guardrails included.

        relevance (arms,): the ranker's scores, -inf for what cannot be shown; the best one is the
        fall-back, and always possible.
        """
        best = int(relevance.argmax())
        chances = np.zeros(relevance.size)
        if not self.stopped:
            near = relevance >= relevance[best] - self._guard.relevance
            allowed = (near & (relevance > -np.inf)).astype(np.float64)
            chances = self._bandit.probabilities(context, allowed, self._rng)
            others = 1 - chances[best]
            if others > self._guard.budget:
                chances = chances * self._guard.budget / others
        chances[best] = 0.0
        chances[best] = 1 - chances.sum()
        return chances

    def show(self, relevance: Array, context: Array | None = None) -> Shown:
        """Choose an arm, as `chances` says: its probability may be logged."""
        best = int(relevance.argmax())
        chances = self.chances(relevance, context)
        arm = int(self._rng.choice(chances.size, p=chances))
        return Shown(arm, float(chances[arm]), arm != best, self.stopped)

    def learn(self, shown: Shown, reward: float, context: Array | None = None) -> None:
        """What came of a decision. Asks whether exploring does harm."""
        self._of(shown).add(reward, 1)
        self._bandit.learn(context, shown.arm, reward)
        self._judge()

    def add(self, shown: Shown, reward: float, context: Array | None = None) -> None:
        """A reward that came after the decision was learned without one."""
        self._of(shown).add(reward, 0)
        self._bandit.add(context, shown.arm, reward)
        self._judge()

    def state(self) -> dict[str, Any]:
        """All that it has learned, as JSON."""
        return {
            "best": vars(self.best),
            "others": vars(self.others),
            "stopped": self.stopped,
            "bandit": self._bandit.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.best, self.others = Earned(**state["best"]), Earned(**state["others"])
        self.stopped = state["stopped"]
        self._bandit.restore(state["bandit"])

    def _of(self, shown: Shown) -> Earned:
        return self.others if shown.explored else self.best

    def _judge(self) -> None:
        ours, theirs = self.best, self.others
        if self.stopped or min(ours.showings, theirs.showings) < self._guard.least:
            return
        error = np.sqrt(ours.variance / ours.showings + theirs.variance / theirs.showings)
        loss = ours.mean - theirs.mean
        showings = ours.showings + theirs.showings
        sure = loss - sequence_width(float(error), showings, 10 * self._guard.least, ALPHA)
        if sure > self._guard.harm:
            self.stopped = f"exploring earns {loss:.3g} less a showing, at least {sure:.3g}"


@dataclass(frozen=True)
class Replay:
    """A bandit replayed on a log: rows whose logged action it would have shown count, all others
    are passed over. value: their mean reward, with its standard error."""

    matched: int
    rows: int
    value: float
    error: float


def replay(
    bandit: Bandit,
    actions: NDArray[np.int64],
    rewards: Array,
    contexts: Array | None,
    pscores: Array,
    arms: int,
    rng: Generator,
) -> Replay:
    """Replay (Li, Chu, Langford & Wang, WSDM 2011), which is unbiased on a log of even chances.

    Raises InvalidInput for another log: there, what matches is no fair sample.
    """
    if np.ptp(pscores) > 1e-6 or abs(pscores[0] * arms - 1) > 1e-3:
        raise InvalidInput(
            "the logging policy did not choose evenly",
            field="pscore",
            remedy="replay on the log of a random policy; else use tandem offpolicy evaluate",
        )
    everything = np.ones(arms)
    matched: list[float] = []
    for i, (action, reward) in enumerate(zip(actions.tolist(), rewards.tolist(), strict=True)):
        context = None if contexts is None else contexts[i]
        chances = bandit.probabilities(context, everything, rng)
        if int(rng.choice(arms, p=chances)) == action:
            bandit.learn(context, action, reward)
            matched.append(reward)
    found = np.array(matched)
    error = float(found.std(ddof=1) / np.sqrt(found.size)) if found.size > 1 else float("nan")
    mean = float(found.mean()) if found.size else float("nan")
    return Replay(found.size, actions.size, mean, error)
