"""Honest changes of a listing that could bring it nearer to a query.

What the listing says elsewhere may be said in its title. What it nowhere says is proposed with the
claim that must be true. Words are never repeated, and nothing that only a machine would read is
proposed. What a change is worth is not guessed here: the real search is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tandem.contracts.listing import EditKind
from tandem.contracts.product import TEXT_FIELDS, AnalysedProduct, AttributeValue, Product
from tandem.contracts.search import Term, Understanding
from tandem.listing.quality import TITLE, expected_attributes

AGREED = 0.6  # of those above must share a category before it is proposed
FACTS = 8  # attributes that a drafted description states


@dataclass(frozen=True)
class Proposal:
    """A change to try: the listing as it would be, and what must be true for it."""

    kind: EditKind
    says: str
    before: str
    after: str
    product: Product
    claim: str | None = None


def said_in(terms: Iterable[Term], listing: AnalysedProduct) -> dict[str, tuple[str, ...]]:
    """Per query term, the fields of the listing that say it, in the order of `TEXT_FIELDS`."""
    words = {name: set(listing.terms[name]) for name in TEXT_FIELDS}
    texts = [t.text for t in terms]
    return {
        t.text: tuple(n for n in TEXT_FIELDS if not words[n].isdisjoint(t.forms))
        for t in terms
        # A part of another word of the query (the 4 of 4k) is nothing that a shopper says.
        if not any(t.text != other and t.text in other for other in texts)
    }


def proposals(
    listing: AnalysedProduct, understanding: Understanding, above: Sequence[Product]
) -> tuple[Proposal, ...]:
    """Changes to try one by one; then, where there are several, those that need no new fact
    together, and all of them.

    above: the listings that stand above, best first.
    """
    product = listing.product
    said = said_in(understanding.terms, listing)
    found = [
        *_title(product, said),
        *_category(product, above),
        *_attributes(product, understanding, above),
        *_description(product),
    ]
    free = [p for p in found if p.claim is None]
    together = []
    if len(free) > 1:
        together.append(_together(product, free, "All of these that need no new fact, together."))
    if len(found) > max(1, len(free)):
        says = "All of these together, as far as they are true."
        together.append(_together(product, found, says, claim="all of it is true"))
    return (*found, *together)


def _title(product: Product, said: Mapping[str, tuple[str, ...]]) -> Iterable[Proposal]:
    elsewhere = [t for t, fields in said.items() if fields and "title" not in fields]
    nowhere = [t for t, fields in said.items() if not fields]
    if elsewhere and (title := _extended(product.title, elsewhere)):
        words = " ".join(elsewhere)
        fields = sorted({f for t in elsewhere for f in said[t]}, key=TEXT_FIELDS.index)
        yield Proposal(
            "title",
            f"Say “{words}” in the title; so far only its {' and '.join(fields)} say so.",
            product.title,
            title,
            product.model_copy(update={"title": title}),
        )
    # Nothing of the query said anywhere: it is another thing, and words would not make it this one.
    if (
        nowhere
        and len(nowhere) < len(said)
        and (title := _extended(product.title, [*elsewhere, *nowhere]))
    ):
        words = " ".join(nowhere)
        yield Proposal(
            "title",
            f"Say “{words}” in the title, if it is true of the product.",
            product.title,
            title,
            product.model_copy(update={"title": title}),
            claim=f"“{words}” is true of this product",
        )


def _extended(title: str, words: Sequence[str]) -> str | None:
    """The title with the words behind it; None where it would grow too long."""
    longer = f"{title.rstrip(' ,.;')}, {' '.join(words)}"
    return longer if len(longer) <= max(TITLE[1], len(title)) else None


def _category(product: Product, above: Sequence[Product]) -> Iterable[Proposal]:
    paths = Counter(p.category for p in above if p.category)
    if not paths:
        return
    path, votes = paths.most_common(1)[0]
    if path != product.category and votes >= max(3, AGREED * len(above)):
        yield Proposal(
            "category",
            f"File it under {' > '.join(path)}, where {votes} of the {len(above)} above it are, "
            "if it belongs there.",
            " > ".join(product.category),
            " > ".join(path),
            product.model_copy(update={"category": path}),
            claim=f"it belongs under {' > '.join(path)}",
        )


def _attributes(
    product: Product, understanding: Understanding, above: Sequence[Product]
) -> Iterable[Proposal]:
    """An attribute that those above state, with the value that most of them have."""
    asked = {i.field for i in understanding.intents if i.kind == "attribute" and i.field}
    usual = [n for n in expected_attributes(above) if n not in product.attributes]
    wanted = [n for n in usual if n in asked] or usual[:1]
    for name in wanted:
        values = Counter(p.attributes[name] for p in above if name in p.attributes)
        value, votes = values.most_common(1)[0]
        words = name.replace("_", " ")
        yield Proposal(
            "attributes",
            f"State {words}: {sum(values.values())} of the {len(above)} above it do. Tried with "
            f"“{_text(value)}”, as {votes} of them have it; state what is true.",
            "not stated",
            f"{words}: {_text(value)}",
            product.model_copy(update={"attributes": {**product.attributes, name: value}}),
            claim=f"“{words}: {_text(value)}” is true of this product",
        )


def _description(product: Product) -> Iterable[Proposal]:
    """Where there is none: what the listing states already, in sentences."""
    if product.description.strip() or not (product.attributes or product.category):
        return
    facts = [
        name.replace("_", " ") if value is True else f"{name.replace('_', ' ')}: {_text(value)}"
        for name, value in product.attributes.items()
        if value is not False
    ]
    sentences = [product.title, *product.category[-1:], "; ".join(facts[:FACTS])]
    text = " ".join(f"{s.rstrip('.')}." for s in sentences if s)
    yield Proposal(
        "description",
        "Write a description. Tried with what the listing states already.",
        "",
        text,
        product.model_copy(update={"description": text}),
    )


def _text(value: AttributeValue) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else value


def _together(
    product: Product, parts: Sequence[Proposal], says: str, claim: str | None = None
) -> Proposal:
    changed = product
    for proposal in parts:
        update = {
            name: getattr(proposal.product, name)
            for name in Product.model_fields
            if getattr(proposal.product, name) != getattr(product, name)
        }
        if "attributes" in update:
            update["attributes"] = {**changed.attributes, **update["attributes"]}
        changed = changed.model_copy(update=update)
    return Proposal("together", says, "", "", changed, claim)
