"""Conditions of going live: is the candidate no worse than what is live, and as fair and quick?

Each gate compares figures of a candidate with those of the live model on the same queries and says
what it found. A gate that cannot tell does not pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tandem.contracts.registry import Gate
from tandem.experiments.inference import bootstrap_intervals, permutation_test

MEASURE = "nDCG@10"
MARGIN = 0.02  # a loss of so much nDCG would matter; the interval has to exclude it, or the test
SLOWER = 1.25  # times the live model's median
SLACK_MS = 0.5  # nobody feels so much, and on a busy machine it is noise
LOSS = 0.1  # of what the live one reaches
DEPTH = 10
SHARE = 0.02  # of all exposure may move to the most shown tenth of merchants
MIN_QUERIES = 20


def quality(
    candidate: Mapping[str, float],
    live: Mapping[str, float],
    *,
    same_judgments: bool,
    queries: str = "queries that neither had seen",
) -> Gate:
    """Out-of-fold values by query of both, on the queries that both have; queries: what they are.

    Passes unless the candidate is significantly worse (paired randomisation test, p < .05) or the
    mean loss exceeds `MARGIN`.
    """
    shared = [q for q in candidate if q in live]
    if not same_judgments:
        return Gate(
            name="quality",
            passed=None,
            says="the two were measured on different judgments, so they cannot be compared; train "
            "the live kind of model on the new judgments first",
        )
    if len(shared) < MIN_QUERIES:
        return Gate(
            name="quality",
            passed=None,
            says=f"only {len(shared)} judged queries: {MIN_QUERIES} or more are needed",
        )
    differences = np.array([candidate[q] - live[q] for q in shared])
    mean = float(differences.mean())
    found = bootstrap_intervals(differences[:, None], (-1.0, 1.0))
    low, high = float(found.low[0]), float(found.high[0])
    p = float(permutation_test(differences[:, None])[0]) if differences.any() else 1.0
    worse = (mean < 0 and p < 0.05) or mean < -MARGIN
    verdict = "worse" if worse else "not shown to be worse"
    return Gate(
        name="quality",
        passed=not worse,
        says=f"{MEASURE} {mean:+.3f} [{low:+.3f}, {high:+.3f}] over {len(shared)} {queries}, "
        f"p = {p:.3f}: {verdict}",
        measured={"difference": mean, "low": low, "high": high, "p": p, "queries": len(shared)},
    )


def latency(candidate_ms: Sequence[float], live_ms: Sequence[float]) -> Gate:
    """Times of both on the same queries, taken turn by turn on one machine, in milliseconds."""
    if not candidate_ms or not live_ms:
        return Gate(name="latency", passed=None, says="there was no query to time")
    ours, theirs = float(np.median(candidate_ms)), float(np.median(live_ms))
    passed = ours <= max(SLOWER * theirs, theirs + SLACK_MS)
    return Gate(
        name="latency",
        passed=passed,
        says=f"median {ours:.1f} ms beside {theirs:.1f} ms of the live one, 99th percentile "
        f"{np.percentile(candidate_ms, 99):.1f} beside {np.percentile(live_ms, 99):.1f} ms",
        measured={"median_ms": ours, "live_median_ms": theirs, "queries": len(candidate_ms)},
    )


def alone(kind: str) -> Gate:
    """Nothing is live that a candidate could be held against."""
    return untold(
        f"nothing of {kind} is live to compare with: whether answers get worse cannot be told"
    )


def untold(says: str) -> Gate:
    """Whether a candidate is worse cannot be told, and why."""
    return Gate(name="quality", passed=None, says=says)


def unseen(candidate: Sequence[float], live: Sequence[float], measure: str, cases: str) -> Gate:
    """What both reach, case by case, on cases that neither had seen; the higher the better.

    Passes unless the candidate is significantly worse (paired randomisation test, p < .05) or loses
    more than `LOSS` of what the live one reaches.
    """
    n = len(candidate)
    if n < MIN_QUERIES:
        return Gate(
            name="quality",
            passed=None,
            says=f"only {n} {cases}: {MIN_QUERIES} or more are needed; wait, as a shadow say",
            measured={"cases": n},
        )
    ours, theirs = np.array(candidate), np.array(live)
    differences = ours - theirs
    mean = float(differences.mean())
    found = bootstrap_intervals(differences[:, None], (-1.0, 1.0))
    low, high = float(found.low[0]), float(found.high[0])
    p = float(permutation_test(differences[:, None])[0]) if differences.any() else 1.0
    worse = (mean < 0 and p < 0.05) or mean < -LOSS * abs(float(theirs.mean()))
    return Gate(
        name="quality",
        passed=not worse,
        says=f"{measure} {ours.mean():.3f} beside {theirs.mean():.3f} of the live one, "
        f"{mean:+.3f} [{low:+.3f}, {high:+.3f}] over {n} {cases}, p = {p:.3f}: "
        f"{'worse' if worse else 'not shown to be worse'}",
        measured={"difference": mean, "low": low, "high": high, "p": p, "cases": n},
    )


def apart(candidate: Mapping[str, Any], live: Mapping[str, Any], *, same_data: bool) -> Gate:
    """Figures that each was given at training. Two that learned from the same data are as good, two
    of different data cannot be compared."""
    return Gate(
        name="quality",
        passed=True if same_data else None,
        says="both were made of the same data by the same code, so neither is worse"
        if same_data
        else "each was measured on the data of its own training, so they cannot be compared; see "
        "its card, and overrule this gate if that is good enough",
    )


def exposure(
    candidate: Sequence[Sequence[str | None]],
    live: Sequence[Sequence[str | None]],
    of: str = "merchants",
) -> Gate:
    """Merchants of the first ten places by query, for both; None: the merchant is not known. of:
    whose exposure it is, where it is not merchants'.

    Exposure is 1 / log2(1 + place), as nDCG discounts. Passes unless the share of the most shown
    tenth of merchants grows by more than `SHARE`.
    """
    ours, theirs = _exposure(candidate), _exposure(live)
    if not theirs:
        return Gate(
            name="exposure", passed=True, says=f"nothing shown names its {of}: nothing to divide"
        )
    everyone = len(set(ours) | set(theirs))
    head = max(1, everyone // 10)
    before, after = _head_share(theirs, head), _head_share(ours, head)
    shown = len([m for m in ours if m not in theirs]), len([m for m in theirs if m not in ours])
    return Gate(
        name="exposure",
        passed=after - before <= SHARE,
        says=f"the most shown {head} of {everyone} {of} get {after:.1%} of the exposure, "
        f"{before:.1%} with the live one; {shown[0]} {of} appear, {shown[1]} disappear",
        measured={
            "head_share": after,
            "live_head_share": before,
            "merchants": len(ours),
            "live_merchants": len(theirs),
        },
    )


def _exposure(lists: Sequence[Sequence[str | None]]) -> Counter[str]:
    shown: Counter[str] = Counter()
    for merchants in lists:
        for place, merchant in enumerate(merchants[:DEPTH], start=1):
            if merchant:
                shown[merchant] += 1 / np.log2(1 + place)
    return shown


def _head_share(shown: Counter[str], head: int) -> float:
    return float(sum(v for _, v in shown.most_common(head)) / max(sum(shown.values()), 1e-12))


def experiment(verdict: str | None, because: str) -> Gate:
    """What an A/B test against the live search said; None without one. Waiting is no pass."""
    passed = {"ship": True, "do_not_ship": False, "invalid": False}.get(verdict or "")
    said = "no A/B test was run" if verdict is None else f"the A/B test says: {verdict}"
    return Gate(
        name="experiment",
        passed=passed,
        says=f"{said.replace('_', ' ')}; {because}",
        measured={"verdict": verdict},
    )


def privacy(learned_from: str, personal: bool, approved_by: str | None) -> Gate:
    """personal: whether it learned from anybody's behaviour. Then a person has to approve it."""
    if not personal:
        return Gate(
            name="privacy",
            passed=True,
            says=f"it learned from {learned_from} only: nothing of any person is in it",
        )
    return Gate(
        name="privacy",
        passed=bool(approved_by),
        says=f"it learned from {learned_from}; "
        + (f"approved by {approved_by}" if approved_by else "nobody has approved that yet"),
    )
