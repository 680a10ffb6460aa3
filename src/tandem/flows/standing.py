"""Why don't I rank? Where a product stands for a query, why, and what would move it.

Every proposed change of the listing is put through the real search, retrieval and rules included,
in a copy that no shopper sees: the position that comes out is the one the shop would give today.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from tandem.contracts.candidates import Candidates
from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.listing import Difference, Edit, ListingQuality, Rival, Standing
from tandem.contracts.product import Product
from tandem.contracts.search import Contribution, Filters, SearchRequest, Sort
from tandem.features.declarations import feature_of
from tandem.flows.search import Ranking, rank
from tandem.flows.view import View
from tandem.listing.edits import Proposal, proposals, said_in
from tandem.listing.quality import expected_attributes, listing_quality
from tandem.ranking.learned import LearnedRanker
from tandem.retrieval.pipeline import Chain
from tandem.retrieval.port import Numbers, Snapshot

ABOVE = 10  # listings above that this one is held against
PEERS = 200
OTHERS = 5  # listings of other merchants that are enough to measure by
LIKE = 50  # nearest products that stand in for a category
DIFFERENCES = 5
NOTICED = 0.01  # of the largest effect, a smaller one is not worth a word


def standing(
    view: View,
    query: str,
    product_id: str,
    changed: Callable[[Product], View] | None,
    simulated: bool = False,
) -> Standing:
    """See `Workspace.standing`. `changed` gives the view in which a changed product is live."""
    if not query.strip():
        raise InvalidInput("the query is empty", field="q", remedy="ask for a query's words")
    number = int(view.snapshot.numbers([product_id])[0])
    if number < 0:
        raise NotFound(
            f"no product '{product_id}'", remedy="check the id; it may have been removed"
        )
    product = view.snapshot.products(np.array([number]))[0]
    ranking = rank(view, SearchRequest(q=query))
    position = _position(ranking, number)
    order = ranking.applied.candidates.numbers
    others = order[order != number][: ABOVE if position is None else min(ABOVE, position - 1)]
    above = view.snapshot.products(others)
    listing = view.queries.analyser.analyse(product)
    said = said_in(ranking.understanding.terms, listing)
    missing = tuple(term for term, fields in said.items() if not fields)
    shut_out = _shut_out(view, ranking.filters, number)
    # The first has nobody above it, and nothing to gain.
    tried = proposals(listing, ranking.understanding, above) if above and not shut_out else ()
    edits = _tried(changed, tried, query, product, position) if changed else ()
    differences = _differences(ranking, number, others) if above else ()
    return Standing(
        query=query,
        product_id=product.id,
        title=product.title,
        ranker=ranking.name,
        position=position,
        considered=len(ranking.applied.candidates),
        matches=ranking.total,
        filters=ranking.filters,
        shut_out=shut_out,
        missing=missing,
        summary=_summary(position, ranking, shut_out, missing, edits),
        above=tuple(
            Rival(position=i, product_id=p.id, title=p.title, merchant=p.merchant)
            for i, p in enumerate(above, start=1)
        ),
        differences=differences,
        edits=edits,
        quality=quality_of(view, product, number),
        index_generation=view.generation,
        model_generation=view.model_of(ranking.name),
        simulated=simulated,
    )


def quality_of(view: View, product: Product, number: int) -> ListingQuality:
    """The listing's quality beside listings of its category; without one, beside those whose
    texts are most like its own; without an encoder, beside others of the shop. Of these, beside
    other merchants' where there are enough: nobody is measured by their own habits."""
    return next(qualities_of(view, [(product, number)], Listings(view.snapshot)))


class Listings:
    """Products of one snapshot, each read once for all that ask for it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._read: dict[int, Product] = {}

    def of(self, numbers: Numbers) -> list[Product]:
        wanted = numbers.tolist()
        new = [n for n in dict.fromkeys(wanted) if n not in self._read]
        if new:
            products = self._snapshot.products(np.array(new, np.int64))
            self._read.update(zip(new, products, strict=True))
        return [self._read[n] for n in wanted]


def qualities_of(
    view: View, products: Iterable[tuple[Product, int]], listings: Listings
) -> Iterator[ListingQuality]:
    """The quality of each of several products, given with their numbers."""
    shelves: dict[tuple[str, ...], list[Product]] = {}  # of a category
    kinds: dict[tuple[tuple[str, ...], str], list[str]] = {}  # what others state, by merchant
    for product, number in products:
        vectors = None if product.category else view.snapshot.vectors(np.array([number]))
        if vectors is not None:
            are = "products most like it"
            found = view.snapshot.dense(vectors[0], LIKE + 1, Filters())
            shelf = listings.of(found.numbers)
        else:
            path = " > ".join(product.category)
            are = f"products under {path}" if path else "products of this shop"
            if product.category not in shelves:
                filters = Filters(category=(path,)) if path else Filters()
                browsed = view.snapshot.browse(filters, Sort.RELEVANCE, 2 * PEERS)
                shelves[product.category] = listings.of(browsed.numbers)
            shelf = shelves[product.category]
        peers = [p for p in shelf if p.id != product.id]
        others = [p for p in peers if p.merchant != product.merchant]
        expected = None
        if product.merchant and len(others) >= OTHERS:
            peers, are = others, f"{are}, by others"
            if product.category:
                kind = (product.category, product.merchant)
                expected = kinds.get(kind) or expected_attributes(peers[:PEERS])
                kinds[kind] = expected
        yield listing_quality(product, peers[:PEERS], are, expected)


def _position(ranking: Ranking, number: int) -> int | None:
    at = np.flatnonzero(ranking.applied.candidates.numbers == number)
    return int(at[0]) + 1 if at.size else None


def _tried(
    changed: Callable[[Product], View],
    tried: Sequence[Proposal],
    query: str,
    product: Product,
    before: int | None,
) -> tuple[Edit, ...]:
    """Each proposal with where the listing would stand, the best first; no worse than now."""
    edits = []
    for proposal in tried:
        view = changed(proposal.product)
        number = int(view.snapshot.numbers([product.id])[0])
        after = _position(rank(view, SearchRequest(q=query)), number)
        edits.append(
            Edit(
                kind=proposal.kind,
                says=proposal.says,
                before=proposal.before,
                after=proposal.after,
                claim=proposal.claim,
                position=after,
                gain=None if before is None or after is None else before - after,
            )
        )
    return tuple(sorted(edits, key=lambda e: (e.position is None, e.position or 0)))


def _shut_out(view: View, filters: Filters, number: int) -> tuple[str, ...]:
    """The search's conditions that the product does not meet, in words."""
    words: Mapping[str, str] = {
        "brand": "the brand {}",
        "merchant": "the seller {}",
        "category": "the category {}",
        "language": "the language {}",
        "price_min": "a price of at least {}",
        "price_max": "a price of at most {}",
        "rating_min": "a rating of at least {}",
        "in_stock": "a product in stock",
    }
    failed = []
    at = np.array([number])
    for name in Filters.model_fields:
        value = getattr(filters, name)
        if value is None or value == () or value == {}:
            continue
        if name == "attributes":
            for key, values in value.items():
                alone = Filters(attributes={key: values})
                if not view.snapshot.satisfying(at, alone).size:
                    asked = " or ".join(str(v) for v in values)
                    failed.append(f"the search asks for {key.replace('_', ' ')}: {asked}")
        elif not view.snapshot.satisfying(at, Filters(**{name: value})).size:
            asked = " or ".join(value) if isinstance(value, tuple) else str(value)
            failed.append(f"the search asks for {words[name].format(asked)}")
    return tuple(failed)


def _differences(
    ranking: Ranking, number: int, above: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> tuple[Difference, ...]:
    """What those above have in the ranker's eyes; empty where the ranker cannot say."""
    ranker = ranking.stage.second if isinstance(ranking.stage, Chain) else None
    if not isinstance(ranker, LearnedRanker):
        return ()
    pool = ranking.pool
    if number not in pool.numbers:
        # As if it had been found, at the end of the list.
        pool = Candidates(
            np.append(pool.numbers, number),
            np.append(pool.scores, pool.scores.min(initial=0)),
            {s: np.append(v, np.float32(np.nan)) for s, v in pool.sources.items()},
        )
    shown = np.append(above, number)
    shares = ranker.contributions(ranking.context, pool, shown)
    mine, theirs = shares[number], [shares[n] for n in above.tolist() if n in shares]
    if not theirs:
        return ()
    values = [{c.feature: c.value for c in their} for their in theirs]
    effects = {
        c.feature: c.contribution - float(np.mean([_effect(c.feature, their) for their in theirs]))
        for c in mine
    }
    grouped: dict[str, list[Contribution]] = {}
    for c in mine:
        feature = feature_of(c.feature)
        if not feature.about_query:
            words = feature.lacks or f"more so in those above: {feature.says}"
            grouped.setdefault(words, []).append(c)
    behind = []
    for words, parts in grouped.items():
        effect = sum(effects[c.feature] for c in parts)
        # A feature in which all are alike counts against one only together with others: no reason.
        if effect < 0 and any(_apart(c, values) for c in parts):
            strongest = min(parts, key=lambda c: effects[c.feature])
            name = feature_of(strongest.feature).name
            behind.append(Difference(feature=name, says=words, effect=round(effect, 6)))
    behind.sort(key=lambda d: d.effect)
    return tuple(d for d in behind if d.effect <= NOTICED * behind[0].effect)[:DIFFERENCES]


def _effect(feature: str, shares: Sequence[Contribution]) -> float:
    return next((c.contribution for c in shares if c.feature == feature), 0.0)


def _apart(mine: Contribution, above: Sequence[Mapping[str, float | None]]) -> bool:
    """Whether the value differs from those of the listings above; being known does as well."""
    theirs = [values[mine.feature] for values in above]
    known = [v for v in theirs if v is not None]
    if mine.value is None or not known:
        return len(known) * 2 > len(theirs)
    mean = float(np.mean(known))
    return abs(mine.value - mean) > 1e-3 * max(1.0, abs(mean))


def _summary(
    position: int | None,
    ranking: Ranking,
    shut_out: Sequence[str],
    missing: Sequence[str],
    edits: Sequence[Edit],
) -> str:
    query = ranking.understanding.text
    if shut_out:
        return f"It cannot be shown for “{query}”: {'; '.join(shut_out)}, and it is not that."
    if position is None:
        said = (
            f"It is not among the {len(ranking.applied.candidates)} best candidates for “{query}”."
        )
    else:
        said = f"It stands at place {position} of {len(ranking.applied.candidates)} for “{query}”."
    if missing and len(missing) == len(ranking.understanding.terms):
        said += " It says none of the query's words: these shoppers may look for something else."
    elif missing:
        said += f" It nowhere says {', '.join(f'“{m}”' for m in missing)}."
    best = next((e for e in edits if e.claim is None and _better(e, position)), None)
    best = best or next((e for e in edits if _better(e, position)), None)
    if best is not None:
        if_true = f", if {best.claim}" if best.claim else ""
        said += f" The best change tried would bring it to place {best.position}{if_true}."
    elif position == 1:
        said += " There is nothing to gain here."
    elif edits:
        said += " No change that was tried would move it up."
    return said


def _better(edit: Edit, position: int | None) -> bool:
    return edit.position is not None and (position is None or edit.position < position)
