"""Who sees what: deterministic, salted, in layers. No state, so every server decides the same.

Units are pseudonyms (see `tandem.governance`). A layer is a partition of all units into 10,000
buckets; experiments of one layer own disjoint buckets and so exclude each other, experiments of
different layers are independent of each other, because each layer hashes with its own name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from tandem.contracts.errors import InvalidInput
from tandem.contracts.experiment import BUCKETS

__all__ = ["BUCKETS", "Assignment", "Experiment", "Layer"]


@dataclass(frozen=True)
class Experiment:
    """Owns buckets [first, first + size) of its layer, of which the first `ramp` share is in.

    variants: name → weight, the first one is the control. A wider ramp only adds units: nobody
    changes variant. stopped: the kill switch; everybody is then served as if it did not exist.
    """

    name: str
    variants: Mapping[str, float]
    first: int = 0
    size: int = BUCKETS
    ramp: float = 1.0
    stopped: bool = False

    def __post_init__(self) -> None:
        if not (self.first >= 0 and self.size > 0 and self.first + self.size <= BUCKETS):
            raise InvalidInput(
                f"buckets {self.first} to {self.first + self.size} of {BUCKETS}",
                field="size",
                remedy="choose buckets inside the layer",
            )
        if not 0 <= self.ramp <= 1:
            raise InvalidInput(f"{self.ramp}", field="ramp", remedy="give a share from 0 to 1")
        if len(self.variants) < 2 or any(not w > 0 for w in self.variants.values()):
            raise InvalidInput(
                "needs two variants or more, each of a weight above 0",
                field="variants",
                remedy='for example {"control": 0.5, "treatment": 0.5}',
            )


@dataclass(frozen=True)
class Layer:
    """Experiments that exclude each other. Raises InvalidInput where two own the same bucket."""

    name: str
    experiments: Sequence[Experiment] = ()

    def __post_init__(self) -> None:
        free = 0
        for e in sorted(self.experiments, key=lambda e: e.first):
            if e.first < free:
                raise InvalidInput(
                    f"'{e.name}' shares buckets with another experiment of layer '{self.name}'",
                    field="first",
                    remedy=f"start it at bucket {free} or later, or put it in another layer",
                )
            free = e.first + e.size


@dataclass(frozen=True)
class Assignment:
    """All layers under one salt. holdout: the share of units that is in no experiment, ever."""

    salt: str
    layers: Sequence[Layer] = field(default_factory=tuple)
    holdout: float = 0.0

    def variant(self, unit: str, experiment: str) -> str | None:
        """The unit's variant; None if it does not take part (held out, not ramped, stopped).

        Raises InvalidInput for an experiment that does not exist.
        """
        for layer in self.layers:
            for e in layer.experiments:
                if e.name == experiment:
                    return self._variant(unit, layer, e)
        raise InvalidInput(
            f"unknown experiment '{experiment}'", field="experiment", remedy="check its name"
        )

    def variants(self, unit: str) -> dict[str, str]:
        """Experiment → variant of all experiments that the unit takes part in."""
        found = {
            e.name: self._variant(unit, layer, e)
            for layer in self.layers
            for e in layer.experiments
        }
        return {name: v for name, v in found.items() if v is not None}

    def _variant(self, unit: str, layer: Layer, e: Experiment) -> str | None:
        if e.stopped or self._draw("holdout", unit) < self.holdout:
            return None
        bucket = int(self._draw("layer", layer.name, unit) * BUCKETS)
        if not e.first <= bucket < e.first + e.size:
            return None
        # Position inside the experiment is drawn apart from the bucket, so that its ramp and its
        # variants do not depend on where in the layer it lies.
        if self._draw("ramp", e.name, unit) >= e.ramp:
            return None
        draw = self._draw("variant", e.name, unit) * sum(e.variants.values())
        for name, weight in e.variants.items():
            if draw < weight:
                return name
            draw -= weight
        return name

    def _draw(self, *parts: str) -> float:
        """Uniform on [0, 1), the same for the same parts; lengths keep "a", "bc" off "ab", "c"."""
        text = "\x1f".join(f"{len(p)}:{p}" for p in (self.salt, *parts))
        digest = blake2b(text.encode(), digest_size=8).digest()
        return (int.from_bytes(digest) >> 11) / 2**53
