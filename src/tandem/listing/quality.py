"""Listing quality: is everything there that shoppers look for and search reads?

A listing is held against its peers, because what is missing everywhere (no product of a catalogue
has images, say) is no fault of one listing. Weights are editorial: they order advice by how much a
shopper is helped, and no money should be bound to the number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tandem.contracts.listing import Check, ListingQuality
from tandem.contracts.product import Product
from tandem.queries.normalise import fold, tokens
from tandem.queries.stopwords import STOP_WORDS
from tandem.queries.units import UNITS

TITLE = (20, 150)  # characters; shorter says too little, longer is cut on most pages
DESCRIPTION = (50, 200)  # characters that make a description whole: never fewer, never more
STUFFED = (0.15, 5)  # of its words that one word may be, when it is there more often than this
COMMON = 0.5  # an attribute is expected when so many of the peers state it
NAMED = 6  # missing attributes that are named
_STOPS = frozenset(word for words in STOP_WORDS.values() for word in words.split())


def listing_quality(
    product: Product,
    peers: Sequence[Product],
    peers_are: str,
    expected: Sequence[str] | None = None,
) -> ListingQuality:
    """Score a listing. `peers` are listings of its kind, without itself; they may be none.
    expected: their `expected_attributes`, where these are known already."""
    checks = [_title(product), _description(product, peers)]
    checks += _known("brand", "the brand", 10, product.brand, [p.brand for p in peers])
    checks += _known("price", "a price", 10, product.price, [p.price for p in peers])
    checks += _known("image", "an image", 15, product.images, [p.images for p in peers])
    checks += _category(product, peers)
    checks += _attributes(product, expected_attributes(peers) if expected is None else expected)
    total = sum(c.weight for c in checks)
    score = 100 * sum(c.weight * c.score for c in checks) / total
    return ListingQuality(
        score=round(score, 1), peers=len(peers), peers_are=peers_are, checks=tuple(checks)
    )


def _title(product: Product) -> Check:
    title = product.title
    words = title.casefold().split()
    repeated = sorted(w for w, n in Counter(words).items() if n > 2 and len(w) > 2)
    shortest, longest = TITLE
    faults, advice = [], []
    if len(title) < shortest:
        faults.append(f"{len(title)} characters")
        advice.append(f"say what it is, for whom and which kind: {shortest} characters or more")
    if len(title) > longest:
        faults.append(f"{len(title)} characters")
        advice.append(f"cut it to {longest} characters, the important words first")
    if repeated:
        faults.append(f"repeats {', '.join(repeated[:3])}")
        advice.append("say each word once: repeating it wins nothing")
    if len(title) > 10 and title.isupper():
        faults.append("all in capitals")
        advice.append("write it in normal case")
    if product.brand and product.brand.casefold() not in title.casefold():
        faults.append("without the brand")
        advice.append(f"name the brand, {product.brand}")
    return Check(
        name="title",
        score=max(0.0, 1 - 0.34 * len(faults)),
        weight=25,
        found=", ".join(faults) if faults else f"{len(title)} characters, clear",
        suggestion=_sentence(advice),
    )


def _description(product: Product, peers: Sequence[Product]) -> Check:
    length = len(product.description.strip())
    usual = sorted(len(p.description.strip()) for p in peers)
    least, most = DESCRIPTION
    # As long as half of the peers' is long enough, where they are brief.
    whole = min(most, max(least, usual[len(usual) // 2])) if usual else most
    advice = []
    if length < whole:
        advice.append(
            f"describe use, size, material and what is in the box in {whole} characters or more"
        )
    found = f"{length} characters" if length else "none"
    if stuffed := _stuffed(product):
        word, times = stuffed
        found += f", says “{word}” {times} times"
        advice.append("say it once or twice: repeating a word wins nothing and puts readers off")
    return Check(
        name="description",
        score=min(1.0, length / whole) * (0.5 if stuffed else 1.0),
        weight=20,
        found=found,
        suggestion=_sentence(advice),
    )


def _stuffed(product: Product) -> tuple[str, int] | None:
    """The word that the description repeats beyond reason, and how often; None where there is
    none. Units of measure are repeated for good reason."""
    words = [fold(word) for word in tokens(product.description)]
    counted = Counter(w for w in words if len(w) > 2 and w not in _STOPS and w not in UNITS)
    share, often = STUFFED
    word, times = next(iter(counted.most_common(1)), ("", 0))
    return (word, times) if times > often and times > share * counted.total() else None


def _known(
    name: str, words: str, weight: float, value: object, of_peers: Sequence[object]
) -> list[Check]:
    """A fact that is there or not; left out where no peer has it either."""
    if not value and not any(of_peers):
        return []
    share = sum(map(bool, of_peers)) / len(of_peers) if of_peers else 1.0
    return [
        Check(
            name=name,
            score=1.0 if value else 0.0,
            weight=weight,
            found="stated" if value else "missing",
            suggestion=None if value else f"state {words}: {share:.0%} of its kind do",
        )
    ]


def _category(product: Product, peers: Sequence[Product]) -> list[Check]:
    depths = sorted(len(p.category) for p in peers if p.category)
    if not depths and not product.category:
        return []
    usual = depths[len(depths) // 2] if depths else 1
    depth = len(product.category)
    return [
        Check(
            name="category",
            score=min(1.0, depth / usual),
            weight=10,
            found=" > ".join(product.category) or "none",
            suggestion=None
            if depth >= usual
            else f"file it more precisely: its kind is {usual} level{'s' * (usual > 1)} deep",
        )
    ]


def _attributes(product: Product, expected: Sequence[str]) -> list[Check]:
    if not expected:
        return []
    missing = [name for name in expected if name not in product.attributes]
    named = ", ".join(n.replace("_", " ") for n in missing[:NAMED])
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    return [
        Check(
            name="attributes",
            score=1 - len(missing) / len(expected),
            weight=20,
            found=f"{len(expected) - len(missing)} of the {len(expected)} usual ones",
            suggestion=f"state {named}{more}" if missing else None,
        )
    ]


def expected_attributes(peers: Sequence[Product]) -> list[str]:
    """Attributes that at least half of the peers state, the commonest first; of few peers, none."""
    if len(peers) < 5:
        return []
    having = Counter(name for p in peers for name in p.attributes)
    return [name for name, n in having.most_common() if n >= COMMON * len(peers)]


def _sentence(advice: Sequence[str]) -> str | None:
    return "; ".join(advice) or None
