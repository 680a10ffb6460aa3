"""Briefs and captions from templates: every sentence is made of facts of the listing.

No sentence praises. What a brief says passes the claim check by construction, and a test holds it
to that for every product of a catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tandem.content.claims import check_claims
from tandem.content.facts import MOST_FACTS, facts, product_words, unknown
from tandem.contracts.brief import Brief, Caption, Hook, Keyword, Scene
from tandem.contracts.disclosure import DEFAULT_HASHTAG
from tandem.contracts.product import Product
from tandem.contracts.query_log import QueryCount
from tandem.queries.normalise import fold, tokens
from tandem.queries.stopwords import STOP_WORDS

KEYWORDS = 6
FEWEST_ASKED = 20  # times; a rarer query is not shown to others
HASHTAGS = 6
LONGEST_NAME = 60
_STOPS = frozenset(word for words in STOP_WORDS.values() for word in words.split())


def keywords(product: Product, log: Sequence[QueryCount]) -> tuple[Keyword, ...]:
    """Queries that the product answers to the word, the most asked first.

    Only queries asked often enough, all of whose words are the listing's own, are shown. Where
    nobody asked for it yet, its kind (or name) and brand stand in, with `asked` None.
    """
    words = product_words(product)
    fitting = []
    for entry in log:
        asked = {fold(word) for word in tokens(entry.query)} - _STOPS
        if entry.asked >= FEWEST_ASKED and asked and asked <= words:
            fitting.append(entry)
    fitting.sort(key=lambda entry: (-entry.asked, entry.query))
    found = tuple(Keyword(text=e.query, asked=e.asked) for e in fitting[:KEYWORDS])
    if found:
        return found
    own = [product.category[-1]] if product.category else [short_name(product)]
    if product.brand and fold(product.brand) not in fold(own[0]):
        own.append(f"{product.brand} {own[0]}")
    return tuple(Keyword(text=text, asked=None) for text in own)


def make_brief(product: Product, log: Sequence[QueryCount]) -> Brief:
    """A brief for one video of about half a minute."""
    name, kind = short_name(product), _kind(product)
    stated = [f for f in facts(product) if _sound(f, product)]
    told = [f for f in stated if not f.startswith(("brand:", "price:"))][:3] or stated[:3]
    search = keywords(product, log)
    asked = search[0].text if search else kind
    first = told[0] if told else kind
    rest = "; ".join(told[1:]) or f"it is a {kind}"
    return Brief(
        product_id=product.id,
        title=product.title,
        key_message=f"{name}: {'; '.join(told) or kind}.",
        hooks=(
            Hook(
                kind="question",
                say=f"Looking for {asked}? Have a look at this.",
                show="your face, then the product moving into the picture",
            ),
            Hook(
                kind="demonstration",
                say="Watch what it does.",
                show=f"the {kind} in use, close up, in the first two seconds",
            ),
            Hook(
                kind="fact",
                say=f"This is what the listing says: {first}.",
                show="the part of the product that shows it",
            ),
        ),
        scenes=(
            Scene(
                name="hook",
                seconds=(0, 3),
                show="one of the three hooks; the product is in the picture from the start",
                say="the hook's sentence, and no greeting before it",
            ),
            Scene(
                name="what it is",
                seconds=(3, 8),
                show="the product whole, then in your hand for its size",
                say=f"This is the {name}.",
            ),
            Scene(
                name="in use",
                seconds=(8, 20),
                show="what you really do with it, without a cut where it matters",
                say=f"Show, then say: {first}.",
            ),
            Scene(
                name="details",
                seconds=(20, 26),
                show=f"write on the picture: {asked}",
                say=f"Also: {rest}.",
            ),
            Scene(
                name="who it is for",
                seconds=(26, 30),
                show="you, the product, and where to find it",
                say="Say for whom it is, and for whom it is not.",
            ),
        ),
        do=(
            "say what you noticed yourself, and that it is your own impression",
            f"say and show the words that shoppers type: {', '.join(k.text for k in search)}",
            "tell viewers at the start that it is paid for",
        ),
        dont=(
            "state anything that is not among the facts",
            "promise results, health effects, prices of tomorrow or the last pieces",
            "compare with another brand by name",
        ),
        disclosure=(
            f"Switch on the platform's label for paid content, or put #{DEFAULT_HASHTAG} at the "
            "start of the caption."
        ),
        keywords=search,
        facts=tuple(stated[:MOST_FACTS]),
        unknown=tuple(unknown(product)),
        simulated=bool(product.extra.get("simulated")),
    )


def make_captions(product: Product, log: Sequence[QueryCount]) -> tuple[Caption, ...]:
    """Three captions, disclosed, with hashtags and how often shoppers type what they say."""
    name, kind = short_name(product), _kind(product)
    stated = [f for f in facts(product) if _sound(f, product) and not f.startswith("price:")]
    told = [f for f in stated if not f.startswith("brand:")][:2] or stated[:2] or [kind]
    search = keywords(product, log)
    tags = _hashtags(product, search)
    line = " ".join(f"#{tag.text}" for tag in tags)
    asked = search[0].text if search else kind
    texts = (
        f"#{DEFAULT_HASHTAG} Looking for {asked}? {name}: {'; '.join(told)}.",
        f"#{DEFAULT_HASHTAG} I tried the {name}. {told[0]}. What would you use it for?",
        f"#{DEFAULT_HASHTAG} {name} in half a minute: {told[-1]}.",
    )
    return tuple(Caption(text=f"{text} {line}".strip(), hashtags=tags) for text in texts)


def short_name(product: Product) -> str:
    """The title up to its first break, cut at a word."""
    name = re.split(r"\s[-–|]\s|[,(;:]", product.title)[0].strip() or product.title
    if len(name) <= LONGEST_NAME:
        return name
    return name[:LONGEST_NAME].rsplit(" ", 1)[0]


def _kind(product: Product) -> str:
    return product.category[-1] if product.category else "product"


def _sound(fact: str, product: Product) -> bool:
    """A listing may itself promise what nobody should repeat ('the best ever')."""
    return all(c.verdict == "supported" for c in check_claims(fact, product))


def _hashtags(product: Product, search: Sequence[Keyword]) -> tuple[Keyword, ...]:
    asked = {_tag(k.text): k.asked for k in search}
    own = [product.brand or "", *reversed(product.category)]
    found = {**asked, **{_tag(text): asked.get(_tag(text)) for text in own}}
    return tuple(
        Keyword(text=tag, asked=count)
        for tag, count in list(found.items())[:HASHTAGS]
        if 0 < len(tag) <= 40
    )


def _tag(text: str) -> str:
    return "".join(re.findall(r"\w+", fold(text))).replace("_", "")
