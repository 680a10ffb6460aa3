"""Briefs and captions in seven languages: every phrase is there, and none says more than facts."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

import pytest

from tandem.content.briefs import make_brief, make_captions
from tandem.content.checking import check_text
from tandem.content.claims import check_claims
from tandem.content.phrases import LANGUAGES, Phrases, phrases
from tandem.contracts.disclosure import disclosed_in_words, disclosing
from tandem.contracts.product import Product
from tandem.contracts.query_log import QueryCount
from tandem.simulate.catalogue import simulated_products

LAMP = Product(
    id="L-1",
    title="Acme Lampe, 12 W",
    brand="Acme",
    category=("Licht", "Tischlampe"),
    attributes={"color": "rot", "power_watt": 12.0},
    language="de",
)
LOG = [QueryCount("tischlampe", 300), QueryCount("tischlampe", 400)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_language_says_more_than_facts(language):
    verdicts: Counter[str] = Counter()
    for product in simulated_products(60, seed=8):
        brief = make_brief(product, [], language)
        assert brief.language == language
        captions = make_captions(product, [], language)
        texts = [brief.key_message, *(c.text for c in captions)]
        texts += [h.say for h in brief.hooks] + [s.say for s in brief.scenes]
        for text in texts:
            assert "{" not in text
            for claim in check_claims(text, product):
                verdicts[claim.verdict] += 1
                assert claim.verdict == "supported", (language, text, claim)
        for caption in captions:
            assert check_text(caption.text, product, []).ready, caption.text
    assert verdicts["supported"] > 20


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_phrase_of_english(language):
    found, english = phrases(language), phrases("en")
    assert found.language == language
    for field in fields(Phrases):
        mine, theirs = getattr(found, field.name), getattr(english, field.name)
        assert type(mine) is type(theirs)
        if not isinstance(mine, str):
            assert len(mine) == len(theirs)
    assert set(found.unknown) == set(english.unknown)
    assert disclosing(f"#{found.tag}")
    if language != "en":
        assert not {*found.do, *found.dont} & {*english.do, *english.dont}


def test_a_brief_is_in_the_listings_language_unless_another_is_asked_for():
    brief = make_brief(LAMP, LOG)
    assert brief.language == "de"
    assert brief.hooks[0].say == "Suchst du tischlampe? Sieh dir das an."
    assert [(k.text, k.asked) for k in brief.keywords] == [("tischlampe", 400)]
    assert make_captions(LAMP, LOG)[0].text.startswith("#werbung ")
    assert make_brief(LAMP, LOG, "fr").hooks[0].say.startswith("Vous cherchez tischlampe")
    nobody = LAMP.model_copy(update={"language": "sv"})
    assert make_brief(nobody, LOG).language == "en"


def test_a_brand_alone_is_not_what_a_hook_asks_for():
    log = [QueryCount("acme", 900), QueryCount("tischlampe", 300)]
    brief = make_brief(LAMP, log)
    assert brief.keywords[0].text == "acme"
    assert "Suchst du tischlampe?" in brief.hooks[0].say


def test_what_the_title_says_already_is_no_news():
    battery = Product(
        id="B",
        title="HP battery",
        attributes={"type": "Battery", "color": "black", "cells": "six cells"},
    )
    assert make_brief(battery, []).key_message == "HP battery – color: black; cells: six cells."


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Anzeige: meine neue Lampe", True),
        ("Werbung | meine Lampe", True),
        ("Publicité - ma lampe", True),
        ("In bezahlter Partnerschaft mit Acme", True),
        ("Bezahlte Partnerschaft mit Acme", True),
        ("En colaboración pagada con Acme", True),
        ("Betaalde samenwerking met Acme", True),
        ("This is not a paid partnership", False),
        ("Keine bezahlte Werbung", False),
        ("Die Werbung sagt viel", False),
        ("Ad lib", False),
        ("My lamp", False),
    ],
)
def test_disclosure_in_words(text, told):
    assert disclosed_in_words(text) is told
