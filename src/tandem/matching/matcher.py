"""A trained matcher: creators for products, products for creators, with what to expect and why.

Candidates come from one vector a creator, the linear stand-in of the model: similarity and log
reach, weighted as they explain clicks. The model then says what each candidate is expected to
bring, and the best come first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput
from tandem.matching.evidence import (
    Profiles,
    Rates,
    Showings,
    creator_table,
    usual_rates,
    with_success,
)
from tandem.matching.expectation import ExpectationModel, Lessons
from tandem.matching.nearest import Nearest
from tandem.matching.pairs import (
    FEATURES,
    NUMBERS,
    CreatorTable,
    Floats,
    Ints,
    ProductTable,
    pair_features,
    unit,
)

Flags = NDArray[np.bool_]
Doubles = NDArray[np.float64]
FORMAT = 3
MANIFEST = "manifest.json"
FEW = 80  # candidates for each of many products
CANDIDATES = 400
FOLDS = 4
FEWEST_SHOWINGS = 200
HIDDEN_SHARE = 0.4
"""Of creators whose history is hidden in a fold: how the model learns to do without one."""
_OWN_EVIDENCE = 3.0
"""Pieces of content that weigh as much as what a creator says of themselves."""
_AT_ONCE = 65_536
_ASKED, _AMONG = 100, 40
DRAWN = 2
"""Products drawn by lot beside each showing, to tell what creators choose of what they could."""
LIKENESS = (0.0, 2.5, 5.0, 10.0, 20.0)
"""What similarity may count, beside the log of expected GMV, when products are ranked for a
creator: among all products of a shop the model's errors are found sooner than its best."""
_TABLE_ROWS = ("profile", "shown", "audience", "viewed", "hashtags")
_USUAL_DELIVERY = 0.8


@dataclass(frozen=True)
class MatcherManifest:
    """Lineage of a trained matcher.

    learned_from_events: whether what viewers did went into it. metrics: of out-of-fold predictions.
    """

    format: int
    trained_at: str
    encoder: str
    products: int
    creators: int
    showings: int
    measured_showings: int
    simulated: bool
    learned_from_events: bool
    code_version: str
    catalog_generation: str
    creator_generation: str
    content_generation: str
    metrics: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Matched:
    """Pairs, best first. Money is in major units of the shop's currency, NaN without a price.

    score: what they are ranked by, comparable within one request. *_low and *_high: the interval
    of `SHOWN_LEVEL`. features: (n, F). new: creators without measured content.
    """

    creator: Ints
    product: Ints
    score: Doubles
    clicks: Doubles
    clicks_low: Doubles
    clicks_high: Doubles
    orders: Doubles
    orders_low: Doubles
    orders_high: Doubles
    gmv: Doubles
    features: Floats
    new: Flags

    def take(self, rows: Ints) -> Matched:
        return Matched(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


class Matcher:
    """Both sides and the model between them. creator_ids, product_ids: in table order."""

    def __init__(
        self,
        creators: CreatorTable,
        products: ProductTable,
        model: ExpectationModel,
        creator_ids: Sequence[str],
        product_ids: Sequence[str],
        weights: tuple[float, float],
        likeness: float = 0.0,
    ) -> None:
        self.creators, self.products, self.model = creators, products, model
        self.creator_ids, self.product_ids = tuple(creator_ids), tuple(product_ids)
        self.creator_number = {c: i for i, c in enumerate(self.creator_ids)}
        self.product_number = {p: i for i, p in enumerate(self.product_ids)}
        self.weights, self.likeness = weights, likeness
        reach = creators.numbers["reach"]
        followers = creators.numbers["followers"]
        filled = np.where(np.isfinite(reach), reach, followers)
        usual = np.nanmedian(filled) if np.isfinite(filled).any() else 0.0
        self._reach = np.where(np.isfinite(filled), filled, usual).astype(np.float32)
        self._vectors = blended(creators)
        near, size = weights
        # One more dimension carries the reach, so that one inner product says both.
        beside = (size * self._reach)[:, None].astype(np.float16)
        self._creators_near = Nearest(np.hstack([np.float16(near) * self._vectors, beside]))
        self._products_near = Nearest(products.vectors)

    @classmethod
    def fit(
        cls,
        profiles: Profiles,
        products: ProductTable,
        showings: Showings,
        creator_ids: Sequence[str],
        product_ids: Sequence[str],
        *,
        seed: int = 7,
    ) -> tuple[Matcher, dict[str, Any]]:
        """Learn from showings. InvalidInput where too few of them are measured."""
        measured = showings.measured
        if measured.sum() < FEWEST_SHOWINGS or not showings.orders[measured].sum() > 0:
            raise InvalidInput(
                f"{int(measured.sum())} showings of products with known clicks and orders are too "
                "few to learn from",
                field="content",
                remedy=f"import content of creators who agreed, {FEWEST_SHOWINGS} showings or more,"
                " with impressions, clicks and orders",
            )
        rates = usual_rates(showings)
        lessons, sides, held = _lessons(profiles, products, showings, rates, seed)
        weights = _stand_in(lessons.take(lessons.measured))
        model, metrics, of_fold = ExpectationModel.fit(lessons, seed)
        shares: list[Doubles] = []
        for fold, own in of_fold.items():
            trial = cls(*sides[fold], own, creator_ids, product_ids, weights)
            shares.append(trial._found_again(held[fold], np.random.default_rng([seed, fold])))
        likeness, metrics["products_for_creators"] = chosen_likeness(shares)
        whole = with_success(products, showings, rates)
        creators = creator_table(profiles, whole, showings, rates)
        matcher = cls(creators, whole, model, creator_ids, product_ids, weights, likeness)
        return matcher, metrics

    # --- Matching -----------------------------------------------------------------------------

    def creators_for(
        self, product: int, k: int, *, barred: Flags | None = None, candidates: int = CANDIDATES
    ) -> Matched:
        """The `k` best creators for a product. barred: (C,) who may not be proposed."""
        query = np.append(np.asarray(self.products.vectors[product], np.float32), 1.0)
        found = self._creators_near(query, candidates, barred)
        return self._ranked(found, np.full(len(found), product), k)

    def creators_for_any(
        self, products: Ints, k: int, *, barred: Flags | None = None, candidates: int = FEW
    ) -> Matched:
        """The `k` best creators for any of these products, each with the one they suit most."""
        queries = np.asarray(self.products.vectors[products], np.float32)
        near = [self._creators_near(np.append(q, 1.0), candidates, barred) for q in queries]
        product = np.repeat(products, [len(found) for found in near])
        creator = np.concatenate(near).astype(np.int64)
        features, score, clicks = self._scored(creator, product)
        order = np.lexsort((-clicks, -score))
        _, first = np.unique(creator[order], return_index=True)
        best = order[np.sort(first)][:k]
        return self._told(creator[best], product[best], features[best])

    def products_for(
        self, creator: int, k: int, *, barred: Flags | None = None, candidates: int = CANDIDATES
    ) -> Matched:
        """The `k` best products for a creator."""
        found = self._products_near(self._vectors[creator], candidates, barred)
        return self._ranked(np.full(len(found), creator), found, k, self.likeness)

    def pairs(self, creator: Ints, product: Ints) -> Matched:
        """What any pairs are expected to bring, in their order."""
        features = pair_features(self.creators, self.products, creator, product)
        return self._told(creator, product, features)

    def _scored(self, creator: Ints, product: Ints) -> tuple[Floats, Doubles, Doubles]:
        """Features, expected GMV that is delivered, and expected clicks of pairs."""
        features = pair_features(self.creators, self.products, creator, product)
        found = self.model.expected(features)
        gmv = found.orders * self.products.price[product]
        worth = np.where(np.isfinite(gmv), gmv, 0.0)
        return features, worth * self.delivery(creator), found.clicks

    def _told(self, creator: Ints, product: Ints, features: Floats) -> Matched:
        """All that is said of pairs, in their order."""
        new = _without_history(features)
        predicted = self.model.predicted(features)
        found = predicted.expected()
        interval = self.model.calibration.interval
        gmv = found.orders * self.products.price[product]
        worth = np.where(np.isfinite(gmv), gmv, 0.0)
        return Matched(
            creator,
            product,
            worth * self.delivery(creator),
            found.clicks,
            *interval("clicks", predicted, new),
            found.orders,
            *interval("orders", predicted, new),
            gmv,
            features,
            new,
        )

    def delivery(self, creator: Ints) -> Doubles:
        """(n,) how likely an agreed piece is to be live in time: the declared rates, multiplied;
        what is usual where one is not known."""
        post = self.creators.numbers["post_rate"][creator]
        live = self.creators.numbers["fulfillment_percentage"][creator]
        known = np.where(np.isfinite(post), post, _USUAL_DELIVERY)
        found: Doubles = known * np.where(np.isfinite(live), live, 1.0)
        return found

    def _ranked(self, creator: Ints, product: Ints, k: int, likeness: float = 0.0) -> Matched:
        creator, product = creator.astype(np.int64), product.astype(np.int64)
        features, worth, clicks = self._scored(creator, product)
        score = worth * np.exp(likeness * (_fit(features) - 1)) if likeness else worth
        # Where nothing has a price, clicks decide.
        best = np.lexsort((-clicks, -score))[:k]
        found = self._told(creator[best], product[best], features[best])
        score = score[best]
        if len(best) and score[0] > 0:
            # The first keeps what it is expected to bring, the others are in proportion.
            score = score * (worth[best[0]] / score[0])
        return replace(found, score=score)

    def _found_again(self, held: Showings, rng: np.random.Generator) -> Doubles:
        """(n, len(LIKENESS)) share of what held-out showings of a creator sold that lies among the
        creator's first `_AMONG` products, by how much similarity counts."""
        worth = np.nan_to_num(held.orders * self.products.price[held.product])
        sellers = np.unique(held.creator[worth > 0])
        sellers = sellers[self.creators.start[sellers + 1] > self.creators.start[sellers]]
        asked = rng.choice(sellers, min(_ASKED, len(sellers)), replace=False)
        out = np.zeros((len(asked), len(LIKENESS)))
        for i, creator in enumerate(asked.tolist()):
            own = (held.creator == creator) & (worth > 0)
            sold = np.bincount(held.product[own], worth[own], len(self.products.price))
            near = self._products_near(self._vectors[creator], CANDIDATES, None)
            features, expected, _ = self._scored(np.full(len(near), creator), near)
            score, fit = np.log(np.maximum(expected, 1e-12)), _fit(features)
            for j, weight in enumerate(LIKENESS):
                first = np.argsort(-(score + weight * fit), kind="stable")[:_AMONG]
                out[i, j] = sold[near[first]].sum() / sold.sum()
        return out

    # --- On disk ------------------------------------------------------------------------------

    def save(self, folder: Path, manifest: MatcherManifest) -> None:
        for name in _TABLE_ROWS:
            np.save(folder / f"{name}.npy", np.asarray(getattr(self.creators, name), np.float16))
        np.save(folder / "products.npy", np.asarray(self.products.vectors, np.float16))
        c, p = self.creators, self.products
        told: dict[str, Any] = {f"number_{name}": c.numbers[name] for name in NUMBERS}
        told |= {name: getattr(c, name) for name in ("start", "product", "ctr", "ctor", "price")}
        np.savez(folder / "creators.npz", **told)
        sold: dict[str, Any] = {f.name: getattr(p, f.name) for f in fields(p)[1:]}
        np.savez(folder / "products.npz", **sold)
        ids = {
            "creators": self.creator_ids,
            "products": self.product_ids,
            "weights": self.weights,
            "likeness": self.likeness,
        }
        (folder / "ids.json").write_text(json.dumps(ids, ensure_ascii=False))
        self.model.save(folder)
        text = json.dumps(asdict(manifest), indent=2, ensure_ascii=False)
        (folder / MANIFEST).write_text(text + "\n")

    @classmethod
    def load(cls, folder: Path) -> tuple[Matcher, MatcherManifest]:
        """Raises InvalidInput for what is no matcher of this version."""
        try:
            manifest = MatcherManifest(**json.loads((folder / MANIFEST).read_bytes()))
            if manifest.format != FORMAT:
                raise ValueError(f"format {manifest.format}, this version reads {FORMAT}")
            ids = json.loads((folder / "ids.json").read_bytes())
            rows = {n: np.load(folder / f"{n}.npy", mmap_mode="r") for n in _TABLE_ROWS}
            with np.load(folder / "creators.npz", allow_pickle=False) as c:
                creators = CreatorTable(
                    **rows,
                    **{name: c[name] for name in ("start", "product", "ctr", "ctor", "price")},
                    numbers={name: c[f"number_{name}"] for name in NUMBERS},
                )
            with np.load(folder / "products.npz", allow_pickle=False) as p:
                products = ProductTable(
                    np.load(folder / "products.npy", mmap_mode="r"), **{n: p[n] for n in p.files}
                )
            model = ExpectationModel.load(folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidInput(
                f"not a trained matcher: {error}",
                file=str(folder / MANIFEST),
                remedy="train again: tandem train matcher",
            ) from None
        weights = (float(ids["weights"][0]), float(ids["weights"][1]))
        names = ids["creators"], ids["products"]
        likeness = float(ids.get("likeness", 0.0))
        return cls(creators, products, model, *names, weights, likeness), manifest


def _without_history(features: Floats) -> Flags:
    return ~np.isfinite(features[:, FEATURES.index("creator_ctr")])


def _fit(features: Floats) -> Doubles:
    """(n,) similarity of the products to what the creator showed, else to what they say."""
    shown = features[:, FEATURES.index("shown_fit")]
    told = features[:, FEATURES.index("profile_fit")]
    fit: Doubles = np.nan_to_num(np.where(np.isfinite(shown), shown, told)).astype(np.float64)
    return fit


def chosen_likeness(shares: Sequence[Doubles]) -> tuple[float, dict[str, Any]]:
    """The weight of similarity that finds most again of what was held out, and the figures."""
    found = np.concatenate(shares)
    if not found.sum() > 0:
        return 0.0, {"likeness": 0.0, "creators": 0, "found_again": {}}
    mean = found.mean(axis=0)
    best = LIKENESS[int(mean.argmax())]
    again = {str(w): round(float(m), 4) for w, m in zip(LIKENESS, mean, strict=True)}
    return best, {"likeness": best, "creators": len(found), "found_again": again}


def blended(creators: CreatorTable) -> NDArray[np.float16]:
    """(C, d) unit rows: what creators showed, the more the more they showed, else what they say of
    themselves, and a little of what their followers buy and viewed."""
    pieces = np.expm1(creators.numbers["pieces"])
    own = np.nan_to_num(pieces / (pieces + _OWN_EVIDENCE))
    out = np.empty(creators.shown.shape, np.float16)
    for start in range(0, len(out), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        mixed = own[rows, None] * np.asarray(creators.shown[rows], np.float32)
        mixed += (1 - own[rows, None]) * np.asarray(creators.profile[rows], np.float32)
        mixed += 0.2 * np.asarray(creators.viewed[rows], np.float32)
        mixed += 0.1 * np.asarray(creators.audience[rows], np.float32)
        out[rows] = unit(mixed)
    return out


def _lessons(
    profiles: Profiles, products: ProductTable, showings: Showings, rates: Rates, seed: int
) -> tuple[Lessons, list[tuple[CreatorTable, ProductTable]], list[Showings]]:
    """Every showing with features from what is known without its fold, and as many products again
    drawn by lot; for some creators of a fold also as if they kept their figures to themselves, and
    as if they had published nothing yet. Both sides as known without each fold; and the measured
    showings of each."""
    rng = np.random.default_rng(seed)
    fold_of_piece = rng.integers(0, FOLDS, int(showings.piece.max(initial=0)) + 1)
    fold = fold_of_piece[showings.piece]
    count = len(profiles.profile)
    parts: list[Lessons] = []
    sides: list[tuple[CreatorTable, ProductTable]] = []
    kept: list[Showings] = []
    for held in range(FOLDS):
        asked = showings.take(fold == held)
        kept.append(asked.take(asked.measured))
        others = showings.take(fold != held)
        hidden = rng.random(count) < HIDDEN_SHARE
        known = with_success(products, others, rates)
        silent = others.without_figures(hidden)
        nobody = others.take(~hidden[others.creator])
        for seen, past, rows in (
            (profiles, others, np.ones(len(asked.creator), np.bool_)),
            (_declared(profiles, hidden, others, rng), silent, hidden[asked.creator]),
            (_declared(profiles, hidden, nobody, rng), nobody, hidden[asked.creator]),
        ):
            table = creator_table(seen, known, past, rates)
            if past is others:
                sides.append((table, known))
            parts.append(_of_side(table, known, asked.take(rows), held, rng))
    lessons = Lessons(
        *(
            np.concatenate([getattr(p, name) for p in parts])
            for name in Lessons.__dataclass_fields__
        )
    )
    return lessons, sides, kept


def _of_side(
    creators: CreatorTable,
    products: ProductTable,
    asked: Showings,
    fold: int,
    rng: np.random.Generator,
) -> Lessons:
    """These showings, and products that were drawn by lot for the same creators."""
    n = len(asked.creator)
    lots = DRAWN * n
    creator = np.concatenate([asked.creator, np.repeat(asked.creator, DRAWN)])
    product = np.concatenate([asked.product, _lots(asked.product, products.price, rng)])
    order = np.argsort(creator, kind="stable")
    features = pair_features(creators, products, creator[order], product[order])
    unknown = np.full(lots, np.nan)
    figures = (
        np.concatenate([values.astype(np.float64), unknown])[order]
        for values in (asked.impressions, asked.share, asked.clicks, asked.orders)
    )
    impressions, share, clicks, orders = figures
    shown = np.repeat([True, False], [n, lots])[order]
    new, part = _without_history(features), np.full(n + lots, fold)
    return Lessons(features, creator[order], shown, impressions, share, clicks, orders, new, part)


def _lots(shown: Ints, price: Floats, rng: np.random.Generator) -> Ints:
    """DRAWN products for each shown (n,): with a price if that has one."""
    priced = np.isfinite(price)
    out = np.empty(DRAWN * len(shown), np.int64)
    same = np.repeat(priced[shown], DRAWN)
    for known in (True, False):
        here = same == known
        if here.any():
            out[here] = rng.choice(np.flatnonzero(priced == known), int(here.sum()))
    return out


def _declared(
    profiles: Profiles, hidden: Flags, past: Showings, rng: np.random.Generator
) -> Profiles:
    """The profiles with the reach that these creators would declare of `past`: that of a piece
    drawn by lot, none where they have none. What they declare today knows the piece that is asked
    about, as what their viewers looked at may."""
    reach = np.where(hidden, np.nan, profiles.numbers["reach"]).astype(np.float32)
    some = rng.permutation(np.flatnonzero(past.measured & hidden[past.creator]))
    reach[past.creator[some]] = np.log1p(past.impressions[some])
    viewed = np.where(hidden[:, None], 0, profiles.viewed)
    return replace(profiles, viewed=viewed, numbers={**profiles.numbers, "reach": reach})


def _stand_in(lessons: Lessons) -> tuple[float, float]:
    """Weights of similarity and log reach that explain log(1 + clicks) best (least squares)."""

    def column(*names: str) -> Doubles:
        found = np.full(len(lessons.new), np.nan)
        for name in names:
            values = lessons.features[:, FEATURES.index(name)]
            found = np.where(np.isfinite(found), found, values)
        filled: Doubles = np.nan_to_num(found, nan=float(np.nanmedian(found)))
        return filled

    near = column("shown_fit", "profile_fit")
    size = column("reach", "followers")
    x = np.column_stack([near, size, np.ones(len(near))])
    found, *_ = np.linalg.lstsq(x, np.log1p(lessons.clicks), rcond=None)
    return max(float(found[0]), 0.1), max(float(found[1]), 0.01)
