"""Claims against facts, and generated texts that may state nothing else."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from tandem.content.briefs import FEWEST_ASKED, keywords, make_brief, make_captions
from tandem.content.checking import check_text
from tandem.content.claims import check_claims
from tandem.contracts.product import Money, Product
from tandem.contracts.query_log import QueryCount
from tandem.simulate.catalogue import simulated_products

SPEAKER = Product(
    id="SP-1",
    title="Acme Bluetooth speaker Boom 20 W, black",
    brand="Acme",
    category=("Electronics", "Audio", "Speaker"),
    description="Wireless sound. Water resistant (not for swimming). Battery for 12 hours.",
    attributes={
        "power_watt": 20.0,
        "weight_g": 540.0,
        "rechargeable": True,
        "vegan": False,
        "color": "black",
    },
    price=Money(amount=Decimal("49.90"), currency="EUR"),
)
LOG = [
    QueryCount("bluetooth speaker", 900),
    QueryCount("speaker", 400),
    QueryCount("red speaker", 300),
    QueryCount("acme boom", FEWEST_ASKED - 1),
]

# (text, kind, verdict), labelled by hand
LABELLED = [
    ("It has 20 watts.", "quantity", "supported"),
    ("A 20W speaker", "quantity", "supported"),
    ("It has 40 watts.", "quantity", "contradicted"),
    ("It weighs 0.54 kg", "quantity", "supported"),
    ("It weighs 2 kg", "quantity", "contradicted"),
    ("plays for 12 hours", "quantity", "supported"),
    ("plays for 24 hours", "quantity", "contradicted"),
    ("holds 500 ml", "quantity", "unsupported"),
    ("only 49.90 EUR", "price", "supported"),
    ("only €49.90", "price", "supported"),
    ("only 49,90 €", "price", "supported"),
    ("just $20", "price", "contradicted"),
    ("it is wireless", "property", "supported"),
    ("it is water-resistant", "property", "supported"),
    ("it is waterproof", "property", "unsupported"),
    ("Rechargeable!", "property", "supported"),
    ("it is not rechargeable", "property", "contradicted"),
    ("it is vegan", "property", "contradicted"),
    ("it is not vegan", "property", "supported"),
    ("a non-vegan case", "property", "supported"),
    ("the best speaker", "superlative", "unsupported"),
    ("it is #1 in sound", "superlative", "unsupported"),
    ("it relieves pain", "health", "unsupported"),
    ("guaranteed to please", "promise", "unsupported"),
    ("last chance, 50% off", "scarcity", "unsupported"),
]
NO_CLAIM = [
    "Come with me to the lake in 2026.",
    "I like how it looks on my desk.",
    "It is not waterproof, so I keep it dry.",
    "Part 3 of my week with Acme.",
    "A cord of 16 AWG.",
]


@pytest.mark.parametrize(("text", "kind", "verdict"), LABELLED)
def test_labelled_claims(text, kind, verdict):
    found = [(c.kind, c.verdict) for c in check_claims(text, SPEAKER)]
    assert (kind, verdict) in found
    for claim in check_claims(text, SPEAKER):
        assert bool(claim.remedy) == (claim.verdict != "supported")


@pytest.mark.parametrize("text", NO_CLAIM)
def test_what_claims_nothing_is_let_through(text):
    assert check_claims(text, SPEAKER) == ()


def test_no_brief_or_caption_of_a_whole_catalogue_states_anything_else_than_facts():
    verdicts: Counter[str] = Counter()
    for product in simulated_products(300, seed=5):
        log = [QueryCount(product.category[-1], 50)]
        brief = make_brief(product, log)
        texts = [brief.key_message, *brief.facts, *(c.text for c in make_captions(product, log))]
        texts += [h.say for h in brief.hooks] + [s.say for s in brief.scenes]
        for text in texts:
            for claim in check_claims(text, product):
                verdicts[claim.verdict] += 1
                assert claim.verdict == "supported", (product.id, text, claim)
        assert brief.simulated
        for caption in make_captions(product, log):
            assert check_text(caption.text, product, log).ready, caption.text
    assert verdicts["supported"] > 300  # the check had something to look at


def test_a_brief_is_made_of_the_listing_and_of_what_is_asked():
    brief = make_brief(SPEAKER, LOG)
    assert [k.text for k in brief.keywords] == ["bluetooth speaker", "speaker"]
    assert brief.keywords[0].asked == 900
    assert "power: 20 watt" in brief.facts
    assert "rechargeable" in brief.facts
    assert not any("vegan" in fact for fact in brief.facts)
    assert "bluetooth speaker" in brief.hooks[0].say
    assert [s.seconds[0] for s in brief.scenes] == [0, *(s.seconds[1] for s in brief.scenes[:-1])]
    assert "whether it is in stock" in brief.unknown


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ("It has 6 cells.", ["supported"]),
        ("It has 12 battery cells.", ["contradicted"]),
        ("12 cells and 7 programmable buttons", ["contradicted", "supported"]),
        ("A 12-cell battery", ["contradicted"]),
        ("I charged 2 phones", []),  # nothing that the listing counts
        ("Two ports, or 2 ports, or 6 ports in all", ["supported", "supported"]),
        ("9 ports", ["unsupported"]),
        ("3 ports", ["supported"]),  # as its description says
    ],
)
def test_what_the_listing_counts_is_counted(text, verdicts):
    battery = Product(
        id="B-1",
        title="Acme battery",
        description="A dock with 3 ports.",
        attributes={
            "number_of_battery_cells": 6.0,
            "buttons_quantity": 7.0,
            "usb_ports_quantity": 4.0,
            "hdmi_ports_quantity": 2.0,
            "weight_g": 300.0,
        },
    )
    assert [c.verdict for c in check_claims(text, battery)] == verdicts


def test_who_asks_for_another_kind_is_not_promised_this_one():
    battery = Product(
        id="B-1",
        title="Acme EH767 notebook spare part battery",
        brand="Acme",
        category=("Computers", "Batteries"),
    )
    log = [QueryCount("notebook", 900), QueryCount("acme", 300), QueryCount("acme battery", 40)]
    brief = make_brief(battery, log)
    assert [k.text for k in brief.keywords] == ["acme", "acme battery"]
    assert "acme battery" in brief.hooks[0].say
    unfiled = battery.model_copy(update={"category": ()})
    assert [k.text for k in keywords(unfiled, log)] == ["acme", "acme battery"]
    # A listing without a category is what its title says, and no more than that.
    shaver = Product(
        id="S-1", title="Acme electric shaver", brand="Acme", attributes={"system": "rotary"}
    )
    assert [k.text for k in keywords(shaver, [QueryCount("system", 90), *log])] == ["acme"]
    assert "Looking for Acme electric shaver?" in make_brief(shaver, log).hooks[0].say
    # A kind that has no regular plural.
    mouse = battery.model_copy(update={"title": "Acme mouse", "category": ("Mice",)})
    asked = [QueryCount("mouse", 90), QueryCount("acme", 300)]
    assert [k.text for k in keywords(mouse, asked)] == ["acme", "mouse"]
    # Nobody names its kind: what there is, is better than nothing.
    assert [k.text for k in keywords(battery, log[:1])] == ["notebook"]


def test_a_listing_that_promises_too_much_is_not_repeated():
    loud = SPEAKER.model_copy(
        update={"attributes": {"claim": "the best speaker, cures headaches", "color": "black"}}
    )
    brief = make_brief(loud, [])
    said = " ".join([brief.key_message, *brief.facts, *(s.say for s in brief.scenes)])
    assert "cures" not in said
    assert "best" not in said


def test_keywords_without_a_log_are_kind_and_brand():
    assert [(k.text, k.asked) for k in keywords(SPEAKER, [])] == [
        ("Speaker", None),
        ("Acme Speaker", None),
    ]


GOOD = "#ad My Acme speaker in one minute. It has 20 watts. #bluetoothspeaker"


@pytest.mark.parametrize(
    ("text", "fails"),
    [
        (GOOD, set()),
        (GOOD.replace("#ad ", ""), {"disclosure"}),
        (GOOD.replace("20", "40"), {"claims contradicted"}),
        (GOOD.replace("It has 20 watts", "It is waterproof"), {"claims unsupported"}),
        ("#ad Look at this! #bluetoothspeaker", {"relevance"}),
        ("", {"disclosure", "relevance", "length", "hook", "hashtags", "search words"}),
        (GOOD.replace("minute.", "minute " + "and more " * 12 + "."), {"hook", "clarity"}),
        ("#ad MY ACME SPEAKER IS REALLY LOUD. #speaker", {"capitals"}),
        (GOOD + " #a #b #c #d #e #f #g", {"hashtags"}),
        ("#ad My Acme Boom, one minute. #boom", {"search words"}),
    ],
)
def test_a_text_is_checked_before_it_is_posted(text, fails):
    report = check_text(text, SPEAKER, LOG)
    failed = {c.name for c in report.checks if not c.passed}
    assert failed == fails
    assert report.ready == (not any(c.must and not c.passed for c in report.checks))
    for c in report.checks:
        assert bool(c.remedy) == (not c.passed)


def test_the_platforms_label_is_a_disclosure():
    text = GOOD.replace("#ad ", "")
    assert check_text(text, SPEAKER, LOG, labelled=True).ready


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        *((t, "supported") for t in ("€1,299.00", "1.299,00 €", "1 299,00 €", "€1299", "1'299 €")),
        *((t, "contradicted") for t in ("€1,290.00", "1.290,00 €", "1 290,00 €", "€1.29")),
    ],
)
def test_prices_are_read_with_marks_of_thousands(text, verdict):
    dear = SPEAKER.model_copy(update={"price": Money(amount=Decimal("1299.00"), currency="EUR")})
    assert [c.verdict for c in check_claims(f"Only {text} today", dear)] == [verdict]
