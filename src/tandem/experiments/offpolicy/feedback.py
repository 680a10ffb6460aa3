"""Logged bandit feedback, reduced to the four columns that every estimator is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Feedback:
    """One row per logged decision; all arrays (n,) float64.

    reward: what was observed. pscore: the logging policy's probability of the logged action.
    evaluation_pscore: the evaluation policy's probability of the same action in the same context.
    q_logged, q_evaluation: a reward model's expectation for the logged action, and its average
    over the evaluation policy's actions; both None where there is no reward model. They must come
    from models that did not see the row (cross-fitting), or DR is biased towards DM.
    """

    reward: Array
    pscore: Array
    evaluation_pscore: Array
    q_logged: Array | None = None
    q_evaluation: Array | None = None

    def __post_init__(self) -> None:
        n = self.reward.size
        for name in ("reward", "pscore", "evaluation_pscore", "q_logged", "q_evaluation"):
            values = getattr(self, name)
            if values is None:
                continue
            if values.shape != (n,):
                raise InvalidInput(
                    f"{values.shape} values for {n} rows", field=name, remedy="one value per row"
                )
            if not np.isfinite(values).all():
                _reject(name, ~np.isfinite(values), "a number is missing or infinite")
        _reject("pscore", (self.pscore <= 0) | (self.pscore > 1), "not above 0 and at most 1")
        bad = (self.evaluation_pscore < 0) | (self.evaluation_pscore > 1)
        _reject("evaluation_pscore", bad, "not between 0 and 1")
        if (self.q_logged is None) != (self.q_evaluation is None):
            raise InvalidInput(
                "one of the two reward model columns is missing",
                field="q_logged" if self.q_logged is None else "q_evaluation",
                remedy="give both, or neither",
            )

    @property
    def rows(self) -> int:
        return int(self.reward.size)

    @property
    def weights(self) -> Array:
        """Importance weights: evaluation_pscore / pscore."""
        return self.evaluation_pscore / self.pscore


def _reject(field: str, bad: NDArray[np.bool_], message: str) -> None:
    where = np.flatnonzero(bad)
    if where.size:
        raise InvalidInput(
            f"{message} in {where.size:,} rows, the first of them row {where[0] + 1}",
            field=field,
            remedy="a decision without a known probability cannot be used: leave its row out",
        )
