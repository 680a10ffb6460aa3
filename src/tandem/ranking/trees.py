"""LightGBM's text of a model, looked through before the library reads it.

Over a text that is cut short or altered LightGBM ends the process: it stumbles in parallel regions,
or reads beyond an array. So it never gets to see one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tandem.contracts.errors import InvalidInput

END = "end of trees\n"
WHOLE = ("split_feature", "decision_type", "left_child", "right_child", "internal_count")
REAL = ("split_gain", "threshold", "internal_value", "internal_weight")


def read_trees(file: Path, features: int) -> Any:
    """The booster in a file: trees with one output over so many numbers. InvalidInput where the
    text does not hold together."""
    import lightgbm

    try:
        return lightgbm.Booster(model_str=_whole(file.read_text(encoding="ascii"), features))
    except (OSError, ValueError, KeyError, lightgbm.basic.LightGBMError) as error:
        raise InvalidInput(
            f"the model's trees cannot be read: {error}",
            file=str(file),
            remedy="roll back to an older model, or run: tandem train ranker",
        ) from None


def _whole(text: str, features: int) -> str:
    """The text as far as its trees go: the settings of the training behind them are not needed."""
    head, _, body = text.partition("\n\n")
    told = _values(head)
    one = {"num_class": "1", "num_tree_per_iteration": "1", "max_feature_idx": str(features - 1)}
    if any(told[name] != value for name, value in one.items()):
        raise ValueError(f"it is no model of {features} features")
    if any(len(told[name].split()) != features for name in ("feature_names", "feature_infos")):
        raise ValueError("its head is cut short")
    at = 0
    for number, size in enumerate(map(int, told["tree_sizes"].split())):
        tree = body[at : at + size]
        at += size
        if not tree.startswith(f"Tree={number}\n") or not tree.endswith("\n\n"):
            raise ValueError(f"tree {number} is cut short")
        _sound(_values(tree), features)
    if not body.startswith(END, at):
        raise ValueError("trees are missing")
    return f"{head}\n\n{body[:at]}{END}"


def _values(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.split("\n") if "=" in line)


def _sound(tree: Mapping[str, str], features: int) -> None:
    """Whether its arrays are as long as they should be, and every node has one way to it."""
    leaves = int(tree["num_leaves"])
    splits = leaves - 1
    if leaves < 1 or int(tree["num_cat"]) or int(tree.get("is_linear", "0")):
        raise ValueError("a tree is of an unknown kind")
    _numbers(tree["shrinkage"], 1, float)
    _numbers(tree["leaf_value"], leaves, float)
    if not splits:
        return
    _numbers(tree["leaf_weight"], leaves, float)
    _numbers(tree["leaf_count"], leaves, int)
    for name in REAL:
        _numbers(tree[name], splits, float)
    whole = {name: _numbers(tree[name], splits, int) for name in WHOLE}
    ends = {*range(1, splits), *range(-leaves, 0)}
    if sorted(whole["left_child"] + whole["right_child"]) != sorted(ends):
        raise ValueError("a tree does not hold together")
    if any(d % 2 or not 0 <= d < 16 for d in whole["decision_type"]):
        raise ValueError("a tree asks for categories, which there are none of")
    if not all(0 <= f < features for f in whole["split_feature"]):
        raise ValueError("a tree reads a feature that is not there")


def _numbers(text: str, length: int, kind: type[float]) -> list[float]:
    found = [kind(word) for word in text.split(" ")] if text else []
    if len(found) != length or not all(map(math.isfinite, found)):
        raise ValueError("a tree has numbers that do not fit")
    return found
