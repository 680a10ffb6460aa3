"""How many impressions a creator's next piece will have, and how sure that is.

Few creators make most impressions, and a trained model has seen only few of the greatest: trees
promise whoever comes near them as much as the one giant in their last leaf. So the log of a piece's
impressions is a creator's own level plus chance, the level is scattered around what the followers
let expect, and all four numbers of that are estimated from everybody's pieces (empirical Bayes;
Robinson, Statistical Science 1991). What is known of a creator counts as much as it tells, and the
posterior needs no correction for being picked among many (Efron, JASA 2011).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_ROUNDS = 40
_USUAL_CHANCE = 0.5
"""Variance of a piece's log impressions where no creator has two pieces."""
_LEAST = 0.02


@dataclass(frozen=True)
class ReachModel:
    """chance: variance of log impressions between pieces of a creator. start, slope: what log
    followers let expect; spread: variance of creators around it. usual, wide: mean and variance of
    creators whose followers are unknown. shift: measured minus declared log reach."""

    chance: float
    start: float
    slope: float
    spread: float
    usual: float
    wide: float
    shift: float

    @classmethod
    def fit(cls, pieces: Doubles, mean: Doubles, within: float, followers: Doubles,
            declared: Doubles) -> ReachModel:  # fmt: skip
        """pieces, mean: (C,) number and mean log impressions of measured pieces. within: the sum of
        squares around the creators' means. followers, declared: (C,) logs, NaN where unknown."""
        seen = pieces > 0
        if not seen.any():
            return cls(_USUAL_CHANCE, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0)
        n, y = pieces[seen], mean[seen]
        free = float((n - 1).sum())
        chance = max(within / free, _LEAST) if free > 0 else _USUAL_CHANCE
        usual, wide = float(y.mean()), max(float(y.var()), _LEAST)
        told = np.isfinite(followers[seen])
        start, slope, spread = usual, 0.0, wide
        if told.sum() > 2:
            n, y, x = n[told], y[told], followers[seen][told]
            centre = x.mean()
            design = np.column_stack([np.ones(len(x)), x - centre])
            for _ in range(_ROUNDS):  # EM: the creators' levels are what is not seen
                weight = 1 / (spread + chance / n)
                bend = (design * weight[:, None]).T @ design + np.diag([0.0, 1.0])
                line = np.linalg.solve(bend, design.T @ (weight * y))
                left = y - design @ line
                trust = spread / (spread + chance / n)
                spread = max(float(np.mean((trust * left) ** 2 + spread * (1 - trust))), _LEAST)
            start, slope = float(line[0] - line[1] * centre), float(line[1])
        both = seen & np.isfinite(declared)
        shift = float(np.mean(mean[both] - declared[both])) if both.any() else 0.0
        return cls(chance, start, slope, spread, usual, wide, shift)

    def __call__(
        self, pieces: Doubles, mean: Doubles, followers: Doubles, declared: Doubles
    ) -> tuple[Floats, Floats]:
        """(C,) mean and variance of the log impressions of a creator's next piece. A declared
        average stands for one piece where none was measured."""
        told = np.isfinite(followers)
        prior = np.where(told, self.start + self.slope * np.nan_to_num(followers), self.usual)
        spread = np.where(told, self.spread, self.wide)
        instead = (pieces == 0) & np.isfinite(declared)
        number = np.where(instead, 1.0, pieces)
        seen = np.where(instead, declared + self.shift, np.where(pieces > 0, mean, prior))
        trust = spread / (spread + self.chance / np.maximum(number, 1e-9))
        level = prior + trust * (seen - prior)
        unsure = spread * (1 - trust) + self.chance
        return level.astype(np.float32), unsure.astype(np.float32)
