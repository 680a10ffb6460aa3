"""Listing quality and proposed changes: what is there, what is missing, and nothing invented."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.contracts.product import TEXT_FIELDS, AnalysedProduct, Money, Product, field_text
from tandem.contracts.search import Intent, Term, Understanding
from tandem.listing.edits import proposals, said_in
from tandem.listing.quality import expected_attributes, listing_quality

PRICE = Money(amount="9.90", currency="EUR")
WHOLE = {
    "title": "Acme wireless mouse, optical, black",
    "description": "Made for both hands, with a wheel that clicks, three buttons and a receiver as "
    "small as a thumbnail. It sleeps by itself and wakes when it is moved; one cell lasts for "
    "about a year. In the box: the mouse, the receiver, a cell and a leaflet.",
    "brand": "Acme",
    "category": ("Computers", "Mice"),
    "attributes": {"colour": "black", "wireless": True},
    "price": PRICE,
}


def listing(**fields: object) -> Product:
    return Product(id="p", **{**WHOLE, **fields})


PEERS = [listing().model_copy(update={"id": f"q{i}"}) for i in range(10)]


def check(product: Product, name: str, peers: list[Product] = PEERS):
    quality = listing_quality(product, peers, "mice")
    return next((c for c in quality.checks if c.name == name), None)


def test_a_whole_listing_has_full_marks_and_no_advice():
    quality = listing_quality(listing(), PEERS, "mice")
    assert quality.score == 100
    assert not [c for c in quality.checks if c.suggestion]


@pytest.mark.parametrize(
    ("fault", "name", "says"),
    [
        ({"title": "Acme mouse"}, "title", "20 characters"),
        ({"title": "Acme mouse " * 20}, "title", "each word once"),
        ({"title": "ACME WIRELESS MOUSE BLACK"}, "title", "normal case"),
        ({"title": "Wireless mouse, optical, black"}, "title", "Acme"),
        ({"description": ""}, "description", "characters or more"),
        ({"description": "Best mouse, mouse for all. " * 9}, "description", "wins nothing"),
        ({"brand": None}, "brand", "state the brand"),
        ({"price": None}, "price", "state a price: 100% of its kind do"),
        ({"category": ("Computers",)}, "category", "2 levels deep"),
        ({"attributes": {"colour": "black"}}, "attributes", "state wireless"),
    ],
)
def test_every_fault_is_found_costs_and_says_what_to_do(fault, name, says):
    found = check(listing(**fault), name)
    assert found.score < 1
    assert says in found.suggestion
    assert listing_quality(listing(**fault), PEERS, "mice").score < 100


def test_what_no_peer_has_is_no_fault():
    assert check(listing(), "image") is None
    bare = [p.model_copy(update={"price": None}) for p in PEERS]
    assert check(listing(price=None), "price", bare) is None
    assert expected_attributes(PEERS[:4]) == []


def test_a_listing_without_peers_is_measured_all_the_same():
    quality = listing_quality(Product(id="p", title="x"), [], "products of this shop")
    assert 0 <= quality.score < 100


# --- Proposed changes -------------------------------------------------------------------------


def analysed(product: Product) -> AnalysedProduct:
    terms = {f: field_text(product, f).lower().replace(",", " ").split() for f in TEXT_FIELDS}
    return AnalysedProduct(product, terms)


def asked(*words: str, **more: object) -> Understanding:
    text = " ".join(words)
    terms = tuple(Term(text=w, forms=(w,)) for w in words)
    return Understanding(raw=text, text=text, terms=terms, **more)


def test_what_is_said_elsewhere_may_be_said_in_the_title():
    product = listing(title="Acme mouse, optical", attributes={"link": "wireless"})
    found = proposals(analysed(product), asked("wireless", "mouse"), [])
    [title] = [p for p in found if p.kind == "title"]
    assert title.product.title == "Acme mouse, optical, wireless"
    assert title.claim is None


def test_what_is_said_nowhere_needs_a_claim():
    [title] = [
        p
        for p in proposals(analysed(listing()), asked("ergonomic", "mouse"), [])
        if p.kind == "title"
    ]
    assert "ergonomic" in title.product.title
    assert "ergonomic" in title.claim


def test_a_product_that_says_nothing_of_the_query_is_not_dressed_up_as_it():
    assert not [
        p for p in proposals(analysed(listing()), asked("garden", "chair"), []) if p.kind == "title"
    ]


def test_a_part_of_a_word_is_no_word():
    said = said_in(asked("4k", "4", "tv").terms, analysed(listing(title="Acme tv 4")))
    assert said == {"4k": (), "tv": ("title",)}


def test_category_and_attributes_of_those_above_need_claims():
    above = [
        p.model_copy(
            update={"category": ("Computers", "Gaming mice"), "attributes": {"dpi": 16000.0}}
        )
        for p in PEERS
    ]
    found = {p.kind: p for p in proposals(analysed(listing()), asked("mouse"), above)}
    assert found["category"].product.category == ("Computers", "Gaming mice")
    assert found["category"].claim
    assert found["attributes"].product.attributes["dpi"] == 16000.0
    assert "dpi: 16000" in found["attributes"].claim


def test_the_attribute_that_is_asked_for_comes_before_the_usual_ones():
    above = [
        p.model_copy(update={"attributes": {"dpi": 1.0, "grip": "claw"} if i else {"dpi": 1.0}})
        for i, p in enumerate(PEERS)
    ]
    grip = Intent(kind="attribute", field="grip", value="claw", confidence=1)
    found = proposals(analysed(listing()), asked("claw", "mouse", intents=(grip,)), above)
    assert [p.after for p in found if p.kind == "attributes"] == ["grip: claw"]


def test_a_drafted_description_states_what_the_listing_states():
    found = proposals(analysed(listing(description=" ")), asked("mouse"), [])
    [draft] = [p for p in found if p.kind == "description"]
    assert "colour: black" in draft.after
    assert "wireless" in draft.after
    assert draft.claim is None


def test_all_that_need_no_claim_are_tried_together():
    product = listing(title="Acme mouse, optical", attributes={"link": "wireless"}, description="")
    found = proposals(analysed(product), asked("wireless", "mouse"), [])
    assert found[-1].kind == "together"
    assert found[-1].product.title.endswith("wireless")
    assert found[-1].product.description


def test_all_is_tried_together_as_far_as_it_is_true():
    product = listing(title="Acme mouse, optical", category=("Toys",), description="")
    above = [p.model_copy(update={"attributes": {"a": "1", "b": "2"}}) for p in PEERS]
    query = asked("mouse", "silent")
    found = proposals(analysed(product), query, above)
    every = found[-1]
    assert (every.kind, every.claim) == ("together", "all of it is true")
    assert every.product.category == above[0].category
    assert every.product.title.endswith("silent")
    assert every.product.attributes.keys() > product.attributes.keys()
    assert every.product.description


WORDS = st.lists(st.sampled_from(["acme", "mouse", "wireless", "red", "claw"]), max_size=5)


@given(title=WORDS, query=WORDS.filter(bool))
def test_no_proposal_repeats_a_word_or_outgrows_a_title(title, query):
    product = listing(title=" ".join(dict.fromkeys(title)) or "x", description="")
    for proposal in proposals(analysed(product), asked(*dict.fromkeys(query)), PEERS):
        words = proposal.product.title.replace(",", " ").split()
        assert len(words) == len(set(words))
        assert len(proposal.product.title) <= 150
        assert proposal.product.id == product.id
