"""One experiment: health first, then effects, then a decision with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from tandem.contracts.errors import InvalidInput
from tandem.experiments.abtest.effects import Effect, Metric, effect
from tandem.experiments.abtest.health import SampleRatio, sample_ratio
from tandem.experiments.abtest.summary import Array, Summary
from tandem.experiments.inference import adjust

Verdict = Literal["ship", "do_not_ship", "keep_running", "invalid"]


@dataclass(frozen=True, slots=True)
class Decision:
    """verdict and the one sentence why; `metric` is the one that settled it, if one did."""

    verdict: Verdict
    because: str
    metric: str | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """An effect within a part of the units; exploratory, p corrected over all parts shown."""

    column: str
    value: str
    effect: Effect


@dataclass(frozen=True)
class Analysis:
    """What one treatment did against the control."""

    name: str
    control: str
    treatment: str
    units: int
    planned: int
    alpha: float
    simulated: bool
    sample_ratio: SampleRatio
    metrics: tuple[Metric, ...]
    effects: dict[str, Effect]
    segments: tuple[Segment, ...]
    decision: Decision

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "control": self.control,
            "treatment": self.treatment,
            "units": self.units,
            "planned": self.planned,
            "alpha": self.alpha,
            "simulated": self.simulated,
            "sample_ratio": asdict(self.sample_ratio),
            "metrics": {
                m.name: {**asdict(m), **asdict(self.effects[m.name])} for m in self.metrics
            },
            "segments": [
                {"column": s.column, "value": s.value, **asdict(s.effect)} for s in self.segments
            ],
            "decision": asdict(self.decision),
        }


def analyse(
    variants: np.ndarray[Any, Any],
    columns: Mapping[str, Array],
    metrics: Sequence[Metric],
    *,
    control: str,
    treatment: str,
    shares: Mapping[str, float] | None = None,
    segments: Mapping[str, np.ndarray[Any, Any]] | None = None,
    planned: int = 10_000,
    alpha: float = 0.05,
    name: str = "experiment",
    simulated: bool = False,
) -> Analysis:
    """Analyse one experiment from one row per unit of assignment.

    variants (n,): each unit's variant. columns: name → (n,) numbers; NaN in a metric leaves the
    unit out of that metric. shares: planned share of each variant; default equal. segments:
    column → (n,) labels. planned: units at which the confidence sequence is tightest.
    Raises InvalidInput if a variant or column is not there.
    """
    for variant in (control, treatment):
        if not (variants == variant).any():
            raise InvalidInput(
                f"no unit has variant '{variant}'",
                field="variant",
                remedy=f"variants in the data: {', '.join(map(str, np.unique(variants)[:9]))}",
            )
    shares = shares or {str(v): 1.0 for v in np.unique(variants)}
    health = sample_ratio(
        _counts(variants),
        shares,
        {
            (column, str(value)): _counts(variants[labels == value])
            for column, labels in (segments or {}).items()
            for value in np.unique(labels)
        },
    )
    here = {v: variants == v for v in (control, treatment)}
    effects = {
        m.name: _effect(m, columns, here[control], here[treatment], planned, alpha) for m in metrics
    }
    effects = _adjusted(metrics, effects)
    units = int(here[control].sum() + here[treatment].sum())
    parts = _segments(metrics, columns, here, control, treatment, segments or {}, planned, alpha)
    return Analysis(
        name,
        control,
        treatment,
        units,
        planned,
        alpha,
        simulated,
        health,
        tuple(metrics),
        effects,
        parts,
        decide(metrics, effects, health, units, planned, alpha),
    )


def decide(
    metrics: Sequence[Metric],
    effects: Mapping[str, Effect],
    health: SampleRatio,
    units: int,
    planned: int,
    alpha: float,
) -> Decision:
    """Broken → invalid. Harm → no. Proven gain → ship. Else wait for the planned units, then no.

    All by the confidence sequence, so that it may be asked on every day of the experiment.
    Guardrails are not corrected for their number: a false alarm there costs a launch, a missed
    one costs the shop.
    """
    if health.mismatch:
        return Decision(
            "invalid",
            f"the variants' sizes do not fit the plan (p = {health.p:.1g}): "
            "find the fault before reading any effect",
        )
    for m in metrics:
        e = effects[m.name]
        if _direction(m, e) < 0 and e.always_p < alpha:
            return Decision("do_not_ship", f"{m.name} got worse", m.name)
    gains = [
        m
        for m in metrics
        if m.role == "success"
        and _direction(m, effects[m.name]) > 0
        and (effects[m.name].p_adjusted or 0.0) < alpha
    ]
    if gains:
        return Decision("ship", f"{gains[0].name} got better and nothing got worse", gains[0].name)
    if units < planned:
        return Decision(
            "keep_running", f"nothing is shown yet, with {units:,} of {planned:,} planned units"
        )
    return Decision("do_not_ship", "no gain is shown with all the units that were planned")


def _direction(m: Metric, e: Effect) -> float:
    return float(np.sign(e.difference)) * (1 if m.better == "more" else -1)


def _counts(variants: np.ndarray[Any, Any]) -> dict[str, int]:
    values, counts = np.unique(variants, return_counts=True)
    return {str(v): int(c) for v, c in zip(values, counts, strict=True)}


def _effect(
    m: Metric,
    columns: Mapping[str, Array],
    control: np.ndarray[Any, Any],
    treatment: np.ndarray[Any, Any],
    planned: int,
    alpha: float,
) -> Effect:
    for c in m.columns:
        if c not in columns:
            raise InvalidInput(
                f"metric '{m.name}' needs a column that is missing",
                field=c,
                remedy=f"columns in the data: {', '.join(list(columns)[:20])}",
            )
    values = np.column_stack([columns[c] for c in m.columns])
    known = ~np.isnan(values).any(axis=1)
    return effect(
        Summary.of(values[control & known]),
        Summary.of(values[treatment & known]),
        planned=planned,
        alpha=alpha,
        ratio=m.denominator is not None,
        covariate=m.covariate is not None,
    )


def _adjusted(metrics: Sequence[Metric], effects: dict[str, Effect]) -> dict[str, Effect]:
    success = [m.name for m in metrics if m.role == "success"]
    p = adjust(np.array([effects[name].always_p for name in success]), "holm")
    return effects | {
        name: replace(effects[name], p_adjusted=float(q))
        for name, q in zip(success, p, strict=True)
    }


def _segments(
    metrics: Sequence[Metric],
    columns: Mapping[str, Array],
    here: Mapping[str, np.ndarray[Any, Any]],
    control: str,
    treatment: str,
    segments: Mapping[str, np.ndarray[Any, Any]],
    planned: int,
    alpha: float,
) -> tuple[Segment, ...]:
    """Effects on the first success metric within each segment."""
    first = next((m for m in metrics if m.role == "success"), None)
    if first is None:
        return ()
    found = [
        Segment(
            column,
            str(value),
            _effect(
                first,
                columns,
                here[control] & (labels == value),
                here[treatment] & (labels == value),
                planned,
                alpha,
            ),
        )
        for column, labels in segments.items()
        for value in np.unique(labels)
    ]
    p = adjust(np.array([s.effect.always_p for s in found]), "holm")
    return tuple(
        replace(s, effect=replace(s.effect, p_adjusted=float(q)))
        for s, q in zip(found, p, strict=True)
    )
