"""The business layer: what a merchandiser decides, applied after relevance and never lost to it.

Order of application: hide and bury and boost, then objectives (within the relevance guardrail),
then exposure caps, and pins last, so that a pin survives everything.
"""

from __future__ import annotations

import fnmatch
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tandem.contracts.candidates import Candidates, Floats
from tandem.contracts.errors import InvalidInput
from tandem.features.store import Columns, FeatureStore

# Further down than any boost or objective can lift.
_BURIED = 1000.0


class RuleKind(StrEnum):
    PIN = "pin"
    BOOST = "boost"
    BURY = "bury"
    HIDE = "hide"


class Rule(BaseModel):
    """One merchandising rule.

    query: the normalised query it applies to; `*` and `?` are wildcards (`*phone*`).
    products, brand, merchant, category: what it applies to; any of them may match.
    position: for pins, the 1-based position of the first product.
    weight: for boosts, added to the relevance that is scaled to 0..1 within the result.
    starts, ends: when it is active (UTC); open when left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, max_length=128)
    kind: RuleKind
    query: str = Field(default="*", max_length=512)
    products: tuple[str, ...] = Field(default=(), max_length=1000)
    brand: str | None = None
    merchant: str | None = None
    category: str | None = None
    position: int = Field(default=1, ge=1, le=1000)
    weight: Annotated[float, Field(ge=-1, le=1)] = 0.2
    starts: datetime | None = None
    ends: datetime | None = None
    note: str = ""

    @model_validator(mode="after")
    def _has_target(self) -> Rule:
        if not (self.products or self.brand or self.merchant or self.category):
            raise ValueError("a rule needs products, brand, merchant or category")
        if self.kind is RuleKind.PIN and not self.products:
            raise ValueError("a pin needs products")
        if self.starts and self.ends and _utc(self.starts) >= _utc(self.ends):
            raise ValueError("starts must be before ends")
        return self

    def active(self, query: str, now: datetime) -> bool:
        """Whether the rule applies to this normalised query at this time."""
        if self.starts and now < _utc(self.starts):
            return False
        if self.ends and now >= _utc(self.ends):
            return False
        return fnmatch.fnmatchcase(query, self.query.casefold())


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Objectives(BaseModel):
    """What a shop wants beside relevance, and how far it may bend relevance for it.

    Weights are relative to each other. guardrail: the relevance (scaled to 0..1 within a result)
    that a product may lack and still overtake another; 0 switches objectives off.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rating: float = Field(default=0, ge=0)
    popularity: float = Field(default=0, ge=0)
    freshness: float = Field(default=0, ge=0)
    margin: float = Field(default=0, ge=0)
    conversion: float = Field(default=0, ge=0)
    guardrail: float = Field(default=0.1, ge=0, le=1)


class Exposure(BaseModel):
    """At most this many products of one merchant or brand among the first `window` results."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_merchant: int | None = Field(default=None, ge=1)
    per_brand: int | None = Field(default=None, ge=1)
    window: int = Field(default=20, ge=1, le=1000)


class FeedPolicy(BaseModel):
    """What the shop wants of a place in the feed, and what a page of it has to look like.

    watch, click, buy, satisfaction: what each is worth, relative to each other. exploration: share
    of places for new products and new creators. per_category, per_merchant, per_creator, videos: at
    most so many in a dozen. shown_in_vain: after so many times without a click a product goes down.
    small_floor: least share of a dozen for merchants who are seldom shown: those who together have
    the last `small_share` of the popularity. creator_floor: least share of a dozen's videos for
    creators who are seldom shown: those who together have the last `small_share` of impressions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    watch: float = Field(default=0.5, ge=0)
    click: float = Field(default=1, ge=0)
    buy: float = Field(default=5, ge=0)
    satisfaction: float = Field(default=2, ge=0)
    exploration: float = Field(default=0.1, ge=0, le=0.5)
    per_category: int = Field(default=3, ge=1)
    per_merchant: int = Field(default=4, ge=1)
    per_creator: int = Field(default=2, ge=1)
    videos: int = Field(default=6, ge=0)
    shown_in_vain: int = Field(default=3, ge=1)
    small_floor: float = Field(default=0.1, ge=0, le=0.5)
    small_share: float = Field(default=0.2, ge=0, le=0.5)
    creator_floor: float = Field(default=0.2, ge=0, le=0.5)


class BusinessPolicy(BaseModel):
    """Everything in `rules.json`. The empty policy leaves relevance as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[Rule, ...] = ()
    objectives: Objectives = Objectives()
    exposure: Exposure = Exposure()
    feed: FeedPolicy = FeedPolicy()

    @model_validator(mode="after")
    def _unique_ids(self) -> BusinessPolicy:
        twice = [i for i, n in Counter(r.id for r in self.rules).items() if n > 1]
        if twice:
            raise ValueError(f"rule id used twice: {', '.join(twice)}")
        return self

    @classmethod
    def load(cls, path: Path) -> BusinessPolicy:
        """Read a policy; a missing file is the empty policy."""
        if not path.exists():
            return cls()
        try:
            return cls.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(
                f"not valid JSON: {error}", file=str(path), remedy="correct the file"
            ) from None
        except ValidationError as error:
            first = error.errors()[0]
            raise InvalidInput(
                first["msg"],
                file=str(path),
                field=".".join(map(str, first["loc"])),
                remedy="correct the rule; docs/business-rules.md shows every field",
            ) from None


@dataclass(frozen=True)
class Applied:
    """The reordered candidates, and the ids of the rules that moved each product number."""

    candidates: Candidates
    fired: Mapping[int, tuple[str, ...]]


def apply_policy(
    policy: BusinessPolicy,
    query: str,
    candidates: Candidates,
    store: FeatureStore,
    numbers_of: Mapping[str, int],
    now: datetime,
) -> Applied:
    """Apply the business layer to a ranked list.

    numbers_of: product number of every product id that an active rule names (absent: unknown or
    filtered out; such a product is not shown even when pinned).
    """
    active = [r for r in policy.rules if r.active(query, now)]
    wants = policy.objectives
    weights = {
        name: getattr(wants, name)
        for name in ("rating", "popularity", "freshness", "margin", "conversion")
    }
    if not active and not any(weights.values()) and policy.exposure == Exposure():
        return Applied(candidates, {})

    fired: dict[int, list[str]] = {}
    candidates = _with_pinned(candidates, active, numbers_of)
    columns = store.columns(candidates.numbers)
    relevance: NDArray[np.float64] = _scaled(candidates.scores)
    if any(weights.values()):
        relevance = relevance + wants.guardrail * _preference(columns, weights)
    keep = np.ones(len(candidates), bool)
    for rule in active:
        if rule.kind is RuleKind.PIN:
            continue
        targets = _targets(rule, candidates, columns, store, numbers_of)
        for number in candidates.numbers[targets].tolist():
            fired.setdefault(number, []).append(rule.id)
        match rule.kind:
            case RuleKind.HIDE:
                keep &= ~targets
            case RuleKind.BOOST:
                relevance = relevance + rule.weight * targets
            case RuleKind.BURY:
                relevance = relevance - _BURIED * targets
    ranked = candidates.rescored(relevance.astype(np.float32))
    kept = {n for n, k in zip(candidates.numbers.tolist(), keep, strict=True) if k}
    order = [i for i, n in enumerate(ranked.numbers.tolist()) if n in kept]
    order = _capped(ranked, order, store, policy.exposure)
    order = _pinned(ranked, order, active, numbers_of, fired)
    picked = np.asarray(order, np.int64)
    scores = np.minimum.accumulate(ranked.scores[picked]) if picked.size else ranked.scores[:0]
    return Applied(
        Candidates(
            ranked.numbers[picked],
            scores,
            {s: v[picked] for s, v in ranked.sources.items()},
        ),
        {n: tuple(ids) for n, ids in fired.items()},
    )


def _with_pinned(
    candidates: Candidates, active: Sequence[Rule], numbers_of: Mapping[str, int]
) -> Candidates:
    """Add pinned products that retrieval did not find."""
    have = set(candidates.numbers.tolist())
    missing = [
        numbers_of[p]
        for r in active
        if r.kind is RuleKind.PIN
        for p in r.products
        if p in numbers_of and numbers_of[p] not in have
    ]
    missing = list(dict.fromkeys(missing))
    if not missing:
        return candidates
    floor = candidates.scores.min() if len(candidates) else np.float32(0)
    return Candidates(
        np.concatenate([candidates.numbers, np.asarray(missing, np.int64)]),
        np.concatenate([candidates.scores, np.full(len(missing), floor, np.float32)]),
        {
            s: np.concatenate([v, np.full(len(missing), np.nan, np.float32)])
            for s, v in candidates.sources.items()
        },
    )


def _scaled(scores: Floats) -> NDArray[np.float64]:
    """Scores scaled to 0..1 within the list; all 0 when they are all equal."""
    values = scores.astype(np.float64)
    spread = float(np.ptp(values)) if values.size else 0.0
    return (values - values.min()) / spread if spread > 0 else np.zeros_like(values)


def _preference(columns: Columns, weights: Mapping[str, float]) -> NDArray[np.float64]:
    """(n,) weighted objectives in -0.5..0.5; unknown values are neutral."""
    signals = {
        "rating": columns.rating.astype(np.float64),
        "popularity": np.log1p(columns.rating_count),
        "freshness": columns.created,
        "margin": columns.margin,
        "conversion": columns.conversion,
    }
    total: NDArray[np.float64] = np.zeros(columns.price.size)
    for name, weight in weights.items():
        if not weight:
            continue
        values = signals[name]
        known = ~np.isnan(values)
        if known.sum() < 2 or np.ptp(values[known]) == 0:
            continue
        scaled = (values - values[known].min()) / np.ptp(values[known]) - 0.5
        total += weight * np.where(known, scaled, 0.0)
    return total / sum(weights.values())


def _targets(
    rule: Rule,
    candidates: Candidates,
    columns: Columns,
    store: FeatureStore,
    numbers_of: Mapping[str, int],
) -> NDArray[np.bool_]:
    targets = np.isin(candidates.numbers, [numbers_of[p] for p in rule.products if p in numbers_of])
    if rule.brand is not None:
        code = store.names.code("brand", rule.brand)
        targets |= (columns.brand == code) & (code >= 0)
    if rule.merchant is not None:
        code = store.names.code("merchant", rule.merchant)
        targets |= (columns.merchant == code) & (code >= 0)
    if rule.category is not None:
        prefix = rule.category
        codes = [
            c
            for c, path in enumerate(store.names.category)
            if path == prefix or path.startswith(prefix + " > ")
        ]
        targets |= np.isin(columns.category, codes)
    return targets


def _capped(
    ranked: Candidates, order: list[int], store: FeatureStore, exposure: Exposure
) -> list[int]:
    """Move products beyond a merchant's or brand's share of the window to behind the window."""
    if exposure.per_merchant is None and exposure.per_brand is None:
        return order
    columns = store.columns(ranked.numbers)
    shown: dict[str, Counter[int]] = {"merchant": Counter(), "brand": Counter()}
    caps = {"merchant": exposure.per_merchant, "brand": exposure.per_brand}
    first: list[int] = []
    later: list[int] = []
    for at in order:
        codes = {"merchant": int(columns.merchant[at]), "brand": int(columns.brand[at])}
        full = any(
            cap is not None and codes[kind] >= 0 and shown[kind][codes[kind]] >= cap
            for kind, cap in caps.items()
        )
        if len(first) >= exposure.window or full:
            later.append(at)
            continue
        first.append(at)
        for kind, code in codes.items():
            shown[kind][code] += 1
    return first + later


def _pinned(
    ranked: Candidates,
    order: list[int],
    active: Sequence[Rule],
    numbers_of: Mapping[str, int],
    fired: dict[int, list[str]],
) -> list[int]:
    at_of = {n: i for i, n in enumerate(ranked.numbers.tolist())}
    pins: list[tuple[int, int, str]] = []
    for rule in active:
        if rule.kind is RuleKind.PIN:
            for offset, product in enumerate(rule.products):
                number = numbers_of.get(product)
                if number is not None and at_of[number] in order:
                    pins.append((rule.position + offset, number, rule.id))
    taken: set[int] = set()
    chosen: list[tuple[int, int]] = []
    for position, number, rule_id in sorted(pins, key=lambda p: p[0]):
        if number not in taken:
            taken.add(number)
            chosen.append((position, number))
            fired.setdefault(number, []).append(rule_id)
    rest = [at for at in order if int(ranked.numbers[at]) not in taken]
    for position, number in chosen:
        rest.insert(min(position - 1, len(rest)), at_of[number])
    return rest
