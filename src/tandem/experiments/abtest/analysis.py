"""One experiment: health first, then effects, then a decision with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from tandem.contracts.errors import InvalidInput
from tandem.experiments.abtest.effects import Effect, Metric, effect
from tandem.experiments.abtest.health import SampleRatio, sample_ratio
from tandem.experiments.abtest.restraint import Heterogeneity, shrink
from tandem.experiments.abtest.summary import Array, Codes, summaries
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


@dataclass(frozen=True, slots=True)
class Design:
    """What was assigned, which is what is counted: single units, clusters of them (`clusters_of`
    names the column), or periods of places, with `dropped` observations right after a switch."""

    kind: Literal["units", "clusters", "switchback"] = "units"
    clusters_of: str | None = None
    dropped: int = 0


def known(segment: Segment) -> bool:
    """Whether the segment's effect has a standard error."""
    return bool(segment.effect.high > segment.effect.low)


@dataclass(frozen=True)
class Analysis:
    """What one treatment did against the control. heterogeneity: by segment column, whether its
    parts differ in the first success metric, and what is left of their effects with restraint."""

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
    heterogeneity: Mapping[str, Heterogeneity] = field(default_factory=dict)
    design: Design = Design()

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "control": self.control,
            "treatment": self.treatment,
            "units": self.units,
            "planned": self.planned,
            "alpha": self.alpha,
            "simulated": self.simulated,
            "design": asdict(self.design),
            "sample_ratio": asdict(self.sample_ratio),
            "metrics": {
                m.name: {**asdict(m), **asdict(self.effects[m.name])} for m in self.metrics
            },
            "segments": [
                {"column": s.column, "value": s.value, **asdict(s.effect)} for s in self.segments
            ],
            "heterogeneity": {
                column: {
                    "q_p": h.q_p,
                    "spread": h.spread,
                    "shrunk": {
                        s.value: {"effect": e, "low": low, "high": high}
                        for s, e, low, high in zip(
                            [s for s in self.segments if s.column == column and known(s)],
                            h.shrunk,
                            h.low,
                            h.high,
                            strict=True,
                        )
                    },
                }
                for column, h in self.heterogeneity.items()
            },
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
    design: Design = Design(),
) -> Analysis:
    """Analyse one experiment from one row per unit of assignment.

    variants (n,): each unit's variant. columns: name → (n,) numbers; NaN in a metric leaves the
    unit out of that metric. shares: planned share of each variant; default equal. segments:
    column → (n,) labels. planned: units at which the confidence sequence is tightest. design: what
    a row is.
    Raises InvalidInput if a variant or column is not there.
    """
    codes, names = _coded(variants)
    for variant in (control, treatment):
        if variant not in names:
            raise InvalidInput(
                f"no unit has variant '{variant}'",
                field="variant",
                remedy=f"variants in the data: {', '.join(names[:9])}",
            )
    shares = shares or dict.fromkeys(names, 1.0)
    labelled = {column: _coded(labels) for column, labels in (segments or {}).items()}
    sizes = dict(zip(names, np.bincount(codes, minlength=len(names)).tolist(), strict=True))
    health = sample_ratio(
        sizes,
        shares,
        {
            (column, value): dict(zip(names, row, strict=True))
            for column, (parts, values) in labelled.items()
            for value, row in zip(
                values,
                np.bincount(parts * len(names) + codes, minlength=len(values) * len(names))
                .reshape(len(values), len(names))
                .tolist(),
                strict=True,
            )
        },
    )
    # Arm 0 is the control, 1 the treatment, -1 neither.
    arms = np.full(len(names), -1, np.intp)
    arms[[names.index(control), names.index(treatment)]] = (0, 1)
    arm = arms[codes]
    effects = {m.name: _effects(m, columns, arm, 1, planned, alpha)[0] for m in metrics}
    effects = _adjusted(metrics, effects)
    units = sizes[control] + sizes[treatment]
    parts = _segments(metrics, columns, arm, labelled, planned, alpha)
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
        _heterogeneity(parts, alpha),
        design,
    )


def _heterogeneity(parts: Sequence[Segment], alpha: float) -> dict[str, Heterogeneity]:
    from scipy.stats import norm

    wide = 2 * float(norm.ppf(1 - alpha / 2))
    found = {}
    for column in dict.fromkeys(s.column for s in parts):
        here = [s.effect for s in parts if s.column == column and known(s)]
        shrunk = shrink([e.difference for e in here], [(e.high - e.low) / wide for e in here])
        if shrunk is not None:
            found[column] = shrunk
    return found


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


def _coded(labels: np.ndarray[Any, Any]) -> tuple[Codes, list[str]]:
    """(n,) numbers of labels, and the labels in order."""
    import pandas as pd

    codes, names = pd.factorize(np.asarray(labels), sort=True)
    return codes.astype(np.intp, copy=False), [str(name) for name in names]


def _effects(
    m: Metric,
    columns: Mapping[str, Array],
    arm: Codes,
    parts: int,
    planned: int,
    alpha: float,
) -> list[Effect]:
    """Effects in each of `parts` parts; arm (n,): 2 part + 0 for its control, + 1 for its
    treatment, below 0 for neither."""
    for c in m.columns:
        if c not in columns:
            raise InvalidInput(
                f"metric '{m.name}' needs a column that is missing",
                field=c,
                remedy=f"columns in the data: {', '.join(list(columns)[:20])}",
            )
    found = summaries([columns[c] for c in m.columns], arm, 2 * parts)
    return [
        effect(
            found[2 * part],
            found[2 * part + 1],
            planned=planned,
            alpha=alpha,
            ratio=m.denominator is not None,
            covariate=m.covariate is not None,
        )
        for part in range(parts)
    ]


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
    arm: Codes,
    labelled: Mapping[str, tuple[Codes, list[str]]],
    planned: int,
    alpha: float,
) -> tuple[Segment, ...]:
    """Effects on the first success metric within each segment."""
    first = next((m for m in metrics if m.role == "success"), None)
    if first is None:
        return ()
    found = []
    for column, (parts, values) in labelled.items():
        inside = np.where(arm < 0, -1, 2 * parts + arm)
        effects = _effects(first, columns, inside, len(values), planned, alpha)
        found += [Segment(column, v, e) for v, e in zip(values, effects, strict=True)]
    p = adjust(np.array([s.effect.always_p for s in found]), "holm")
    return tuple(
        replace(s, effect=replace(s.effect, p_adjusted=float(q)))
        for s, q in zip(found, p, strict=True)
    )
