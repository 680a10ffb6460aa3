"""What can drift and is in no event: the catalogue, the features made of it, and model scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tandem.features.store import CATEGORY_SEPARATOR, Columns, FeatureStore, Names
from tandem.insights.drift import RECENT, UNSTABLE, Alert
from tandem.insights.statistics import psi
from tandem.registry.served import ServedLog
from tandem.storage.layout import Layout

BINS = 10
FEWEST = 200  # values before and now, each; below, PSI says more about chance than about drift
LEAST_GROWTH = 0.1  # of the number of products
_REASONS = 3
_IN_WORDS = {
    "price": "prices",
    "rating": "ratings",
    "rating_count": "numbers of ratings",
    "created": "dates of listing",
    "stock": "stock",
    "margin": "margins",
    "conversion": "conversion",
    "brand": "brands",
    "merchant": "merchants",
    "category": "categories",
    "language": "languages",
}


def watched(layout: Layout) -> tuple[Alert, ...]:
    """Alerts of kind `catalogue` and `scores`."""
    return (*catalogue_drift(layout), *score_drift(layout))


def catalogue_drift(layout: Layout) -> tuple[Alert, ...]:
    """The live index beside the one before: how many products, and every column that ranking
    features are made of, by PSI; what is unknown is a value of its own."""
    live, former = layout.index.live(), layout.index.previous()
    if live is None or former is None:
        return ()
    old = FeatureStore.open(layout.index.path(former) / "features")
    new = FeatureStore.open(layout.index.path(live) / "features")
    alerts = []
    before, now = old.size, new.size
    if before and abs(now - before) >= LEAST_GROWTH * before:
        said = f"The catalogue has {now:,} products now and had {before:,} before"
        alerts.append(_alert("catalogue", "products", said, (now - before) / before, before, now))
    if min(before, now) < FEWEST:
        return tuple(alerts)
    for name in Columns.NAMES:
        a, b = getattr(old.all_columns, name), getattr(new.all_columns, name)
        if name in Names.KINDS:
            alerts += _mix(name, _counts(old, name, a), _counts(new, name, b))
        else:
            alerts += _numbers("catalogue", name, _IN_WORDS[name], a, b)
    return tuple(alerts)


def score_drift(layout: Layout) -> tuple[Alert, ...]:
    """Scores of the first result of searches that were served, the last 7 days beside those before,
    for each ranker and model that served in both: a model that is fed other features than it
    learned from gives other scores."""
    by_model: dict[tuple[str, str], dict[str, list[float]]] = {}
    for served in ServedLog(layout.served).entries():
        if served.kind == "search" and served.page == 1 and served.scores:
            key = (served.ranker, served.model_generation or "no model")
            day = served.at.date().isoformat()
            by_model.setdefault(key, {}).setdefault(day, []).append(served.scores[0])
    alerts: list[Alert] = []
    for (ranker, model), days in sorted(by_model.items()):
        last = sorted(days)[-RECENT:]
        before = np.array([s for d, scores in days.items() if d not in last for s in scores])
        now = np.array([s for d in last for s in days[d]])
        what = f"scores of the first result by {ranker} ({model})"
        alerts += _numbers("scores", f"{ranker} {model}", what, before, now)
    return tuple(alerts)


def _numbers(kind: Any, name: str, what: str, before: Any, now: Any) -> list[Alert]:
    """PSI over tenths of what was before, with what is unknown (NaN) apart."""
    before, now = np.asarray(before, np.float64), np.asarray(now, np.float64)
    if min(before.size, now.size) < FEWEST:
        return []
    known_before, known_now = before[~np.isnan(before)], now[~np.isnan(now)]
    if known_before.size == 0 and known_now.size == 0:
        return []
    edges = (
        np.unique(np.quantile(known_before, np.linspace(0, 1, BINS + 1)[1:-1]))
        if known_before.size
        else np.array([0.0])
    )

    def binned(values: Any, size: int) -> Any:
        counts = np.bincount(np.searchsorted(edges, values, "right"), minlength=edges.size + 1)
        return np.append(counts, size - values.size)

    value = psi(binned(known_before, before.size), binned(known_now, now.size))
    if value <= UNSTABLE:
        return []

    def middle(values: Any) -> float | None:
        return float(np.median(values)) if values.size else None

    reasons = [
        f"unknown: {1 - known_before.size / before.size:.0%} before, "
        f"{1 - known_now.size / now.size:.0%} now"
    ]
    a, b = middle(known_before), middle(known_now)
    if a is not None and b is not None:
        reasons.insert(0, f"median {a:,.4g} before, {b:,.4g} now")
    said = f"The {what} have shifted (PSI {value:.2f}; from {UNSTABLE} a shift)"
    return [_alert(kind, name, said, value, a, b, tuple(reasons))]


def _counts(store: FeatureStore, kind: str, codes: Any) -> Mapping[str, int]:
    names = getattr(store.names, kind)
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    out: dict[str, int] = {}
    for name, count in zip(names, counts.tolist(), strict=True):
        # Departments, not leaves: PSI over thousands of rare values is above any bound by chance.
        top = name.split(CATEGORY_SEPARATOR)[0] if kind == "category" else name
        out[top] = out.get(top, 0) + count
    out["unknown"] = out.get("unknown", 0) + int((codes < 0).sum())
    return out


def _mix(name: str, before: Mapping[str, int], now: Mapping[str, int]) -> list[Alert]:
    values = sorted({*before, *now}, key=lambda v: -(before.get(v, 0) + now.get(v, 0)))
    head, rest = values[:50], values[50:]
    j = np.array([*(before.get(v, 0) for v in head), sum(before.get(v, 0) for v in rest)])
    k = np.array([*(now.get(v, 0) for v in head), sum(now.get(v, 0) for v in rest)])
    value = psi(j, k)
    if value <= UNSTABLE:
        return []
    share_j, share_k = j / j.sum(), k / k.sum()
    most = np.argsort(-np.abs(share_k - share_j))[:_REASONS]
    labels = [*head, "others"]
    reasons = tuple(f"{labels[i]}: {share_j[i]:.1%} before, {share_k[i]:.1%} now" for i in most)
    what = _IN_WORDS[name]
    said = (
        f"The mix of {what} in the catalogue has shifted (PSI {value:.2f}; from {UNSTABLE} a shift)"
    )
    return [_alert("catalogue", name, said, value, None, None, reasons)]


def _alert(
    kind: Any,
    name: str,
    said: str,
    value: float,
    before: float | None,
    now: float | None,
    reasons: tuple[str, ...] = (),
) -> Alert:
    return Alert(kind, name, said, before, now, value, None, None, None, None, reasons)
