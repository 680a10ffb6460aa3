"""The Open Bandit Dataset (Saito et al., NeurIPS 2021): two policies that ran side by side.

What one policy's log says about the other can be held against what the other really earned.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.experiments.offpolicy.feedback import Array

CAMPAIGNS = ("all", "men", "women")
PLACES = 3


@dataclass(frozen=True)
class OpenBandit:
    """Impressions of one campaign and policy, in time order; arrays over n impressions.

    action (n,), place (n,) from 0, reward and pscore (n,), context (n, d) the users' traits one-hot
    without their first value, action_features (A, 4): three coded traits and one number.
    """

    action: NDArray[np.int64]
    place: NDArray[np.int64]
    reward: Array
    pscore: Array
    context: Array
    action_features: Array

    def rows(self, index: NDArray[np.int64]) -> OpenBandit:
        return replace(
            self,
            action=self.action[index],
            place=self.place[index],
            reward=self.reward[index],
            pscore=self.pscore[index],
            context=self.context[index],
        )


def read_open_bandit(folder: Path, policy: str, campaign: str) -> OpenBandit:
    """Read `folder/policy/campaign/campaign.csv` and its `item_context.csv`.

    Raises NotFound without the files, InvalidInput where a column is missing.
    """
    import pandas as pd

    path = folder / policy / campaign / f"{campaign}.csv"
    items_path = path.with_name("item_context.csv")
    for needed in (path, items_path):
        if not needed.is_file():
            raise NotFound(
                f"no Open Bandit data: {needed}",
                remedy="name the folder that has random/ and bts/ in it with --data",
            )
    log = pd.read_csv(path, index_col=0)
    items = pd.read_csv(items_path, index_col=0)
    wanted = ("timestamp", "item_id", "position", "click", "propensity_score")
    for column in wanted:
        if column not in log:
            raise InvalidInput(
                "the column is missing", file=str(path), field=column, remedy="use the data as is"
            )
    log = log.sort_values("timestamp", kind="stable")
    traits = log.loc[:, log.columns.str.startswith("user_feature")]
    coded = [
        np.unique(items[c].to_numpy(), return_inverse=True)[1]
        for c in items.columns
        if c.startswith("item_feature") and c != "item_feature_0"
    ]
    return OpenBandit(
        log["item_id"].to_numpy(np.int64),
        np.unique(log["position"].to_numpy(), return_inverse=True)[1].astype(np.int64),
        log["click"].to_numpy(np.float64),
        log["propensity_score"].to_numpy(np.float64),
        pd.get_dummies(traits, drop_first=True).to_numpy(np.float64),
        np.column_stack([*coded, items["item_feature_0"].to_numpy()]).astype(np.float64),
    )


def production_thompson(campaign: str) -> Array:
    """(places, A) probabilities of the Thompson sampling policy as it ran in production."""
    text = files(__package__).joinpath("open_bandit_priors.json").read_text()
    prior = json.loads(text)["campaigns"][campaign]
    return thompson_places(np.array(prior["alpha"]), np.array(prior["beta"]), PLACES)


def thompson_places(alpha: Array, beta: Array, places: int) -> Array:
    """(places, A): how often each arm has the k-th largest of independent Beta(alpha, beta) draws.

    Arm i comes in place k if exactly k others draw more: the integral over i's draw of the
    Poisson-binomial probability of that, by the trapezoid rule on quantiles of all arms. What
    pipelines draw a million times for comes out right to 1e-4.
    """
    from scipy.stats import beta as beta_distribution

    levels = np.concatenate([[1e-9, 1e-6], np.linspace(1e-4, 1 - 1e-4, 28), [1 - 1e-6, 1 - 1e-9]])
    t = np.unique(beta_distribution.ppf(levels[:, None], alpha, beta))
    below = beta_distribution.cdf(t[:, None], alpha, beta)
    # exactly[k, t, i]: k of the arms other than i draw more than t.
    exactly = np.zeros((places, t.size, alpha.size))
    exactly[0] = 1.0
    for j in range(alpha.size):
        less = np.repeat(below[:, j, None], alpha.size, axis=1)
        less[:, j] = 1.0  # an arm is not among its own others
        exactly[1:] = exactly[1:] * less + exactly[:-1] * (1 - less)
        exactly[0] *= less
    out = ((exactly[:, 1:] + exactly[:, :-1]) / 2 * np.diff(below, axis=0)).sum(axis=1)
    normalised: Array = out / out.sum(axis=1, keepdims=True)
    return normalised
