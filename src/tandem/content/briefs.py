"""Briefs and captions from templates: every sentence is made of facts of the listing.

No sentence praises. What a brief says passes the claim check by construction, and a test holds it
to that for every product of a catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tandem.content.claims import check_claims
from tandem.content.facts import MOST_FACTS, facts, product_words, unknown
from tandem.content.phrases import Phrases, phrases
from tandem.contracts.brief import Brief, Caption, Hook, HookKind, Keyword, Scene
from tandem.contracts.product import Product
from tandem.contracts.query_log import QueryCount
from tandem.queries.normalise import fold, tokens
from tandem.queries.stemming import stem
from tandem.queries.stopwords import STOP_WORDS

KEYWORDS = 6
FEWEST_ASKED = 20  # times; a rarer query is not shown to others
HASHTAGS = 6
LONGEST_NAME = 60
LONGEST_TAG = 30
SECONDS = ((0, 3), (3, 8), (8, 20), (20, 26), (26, 30))
# English kinds that no ending gives away: categories are plural, and who asks wants one.
_PLURALS = {
    "mice": "mouse",
    "knives": "knife",
    "shelves": "shelf",
    "scarves": "scarf",
    "loaves": "loaf",
    "women": "woman",
    "men": "man",
    "children": "child",
}
_STOPS = frozenset(word for words in STOP_WORDS.values() for word in words.split())


def keywords(product: Product, log: Sequence[QueryCount]) -> tuple[Keyword, ...]:
    """Queries that the product answers to the word, the most asked first.

    Only queries asked often enough, all of whose words are the listing's own, are shown. Where some
    of them name its kind, or its brand, the others are left out: who asks for a notebook does not
    want its battery. Where nobody asked for it yet, its kind (or name) and brand stand in, with
    `asked` None.
    """
    words = product_words(product)
    fitting: dict[str, int] = {}  # a query may be in two logs
    for entry in log:
        asked = {fold(word) for word in tokens(entry.query)} - _STOPS
        if entry.asked >= FEWEST_ASKED and asked and asked <= words:
            fitting[entry.query] = max(entry.asked, fitting.get(entry.query, 0))
    brand = fold(product.brand or "")
    for kind in _kinds(product):
        named = {q: n for q, n in fitting.items() if _names(q, kind, product)}
        if named:
            fitting = {**named, **{q: n for q, n in fitting.items() if fold(q) == brand}}
            break
    else:
        fitting = {q: n for q, n in fitting.items() if fold(q) == brand} or fitting
    most = sorted(fitting.items(), key=lambda item: (-item[1], item[0]))
    found = tuple(Keyword(text=text, asked=count) for text, count in most[:KEYWORDS])
    if found:
        return found
    own = [product.category[-1]] if product.category else [short_name(product)]
    if product.brand and fold(product.brand) not in fold(own[0]):
        own.append(f"{product.brand} {own[0]}")
    return tuple(Keyword(text=text, asked=None) for text in own)


def _kinds(product: Product) -> tuple[str, ...]:
    """Words for what the product is, the surest first: its category; without one the end of its
    name, where English says it, then its whole title."""
    if product.category:
        return (product.category[-1],)
    return (*tokens(short_name(product))[-1:], product.title)


def _names(query: str, kind: str, product: Product) -> bool:
    """Whether a query has a word of a kind, in any of its forms, that is not the brand's."""
    language = product.language or "en"
    brand = {fold(w) for w in tokens(product.brand or "")}

    def forms(text: str) -> set[str]:
        words = [fold(w) for w in tokens(text)]
        if language == "en":
            words = [_PLURALS.get(w, w) for w in words]
        return {stem(w, language) for w in words if w not in brand}

    return not forms(kind).isdisjoint(forms(query))


def make_brief(product: Product, log: Sequence[QueryCount], language: str | None = None) -> Brief:
    """A brief for one video of about half a minute, in the language that is asked for, else the
    listing's, where there are phrases of it; else in English. Facts stay as the listing says."""
    in_ = phrases(language or product.language)
    name, kind = short_name(product), _kind(product, in_)
    stated = [f for f in facts(product) if _sound(f, product)]
    told = _telling(stated, product)[:3] or stated[:3]
    search = keywords(product, log)
    given = {
        "name": name,
        "kind": kind,
        "asked": _asked_for(search, product) or (kind if product.category else name),
        "first": told[0] if told else kind,
        "rest": "; ".join(told[1:]) or kind,
        "words": ", ".join(k.text for k in search),
        "tag": in_.tag,
    }

    def said(text: str) -> str:
        return text.format_map(given)

    kinds: tuple[HookKind, HookKind, HookKind] = ("question", "demonstration", "fact")
    hooks = [
        Hook(kind=kind_, say=said(say), show=said(show))
        for kind_, (say, show) in zip(kinds, in_.hooks, strict=True)
    ]
    return Brief(
        product_id=product.id,
        title=product.title,
        language=in_.language,
        key_message=f"{name} – {'; '.join(told) or kind}.",
        hooks=(hooks[0], hooks[1], hooks[2]),
        scenes=tuple(
            Scene(name=scene, seconds=seconds, show=said(show), say=said(say))
            for seconds, (scene, show, say) in zip(SECONDS, in_.scenes, strict=True)
        ),
        do=tuple(map(said, in_.do)),
        dont=tuple(map(said, in_.dont)),
        disclosure=said(in_.disclosure),
        keywords=search,
        facts=tuple(stated[:MOST_FACTS]),
        unknown=tuple(in_.unknown[what] for what in unknown(product)),
        simulated=bool(product.extra.get("simulated")),
    )


def make_captions(
    product: Product, log: Sequence[QueryCount], language: str | None = None
) -> tuple[Caption, ...]:
    """Three captions, disclosed, with hashtags and how often shoppers type what they say."""
    in_ = phrases(language or product.language)
    name, kind = short_name(product), _kind(product, in_)
    stated = [f for f in facts(product) if _sound(f, product)]
    told = _telling(stated, product)[:2] or stated[:2] or [kind]
    search = keywords(product, log)
    tags = _hashtags(product, search)
    line = " ".join(f"#{tag.text}" for tag in tags)
    given = {
        "tag": in_.tag,
        "name": name,
        "asked": _asked_for(search, product) or (kind if product.category else name),
        "told": "; ".join(told),
        "first": told[0][:1].upper() + told[0][1:],
        "last": told[-1],
    }
    return tuple(
        Caption(text=f"{text.format_map(given)} {line}".strip(), hashtags=tags)
        for text in in_.captions
    )


def _asked_for(search: Sequence[Keyword], product: Product) -> str | None:
    """What shoppers type most that is more than a brand; None where they type nothing else."""
    brand = fold(product.brand or "")
    return next((k.text for k in search if fold(k.text) != brand), None)


def _telling(stated: Sequence[str], product: Product) -> list[str]:
    """Facts that say more than brand, price and title do."""
    title = {fold(word) for word in tokens(product.title)}
    return [
        fact
        for fact in stated
        if not fact.startswith(("brand:", "price:"))
        and not {fold(word) for word in tokens(fact.split(": ", 1)[-1])} <= title
    ]


def short_name(product: Product) -> str:
    """The title up to its first break, cut at a word."""
    name = re.split(r"\s[-–|]\s|[,(;:]", product.title)[0].strip() or product.title
    if len(name) <= LONGEST_NAME:
        return name
    return name[:LONGEST_NAME].rsplit(" ", 1)[0]


def _kind(product: Product, in_: Phrases) -> str:
    """The last category, as it is written within a sentence: German keeps its capitals."""
    if not product.category:
        return in_.product
    words = product.category[-1].split(" ")
    return " ".join(w if in_.language == "de" else _uncapital(w) for w in words)


def _uncapital(word: str) -> str:
    return word.lower() if word[1:].islower() else word


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
        if 0 < len(tag) <= LONGEST_TAG
    )


def _tag(text: str) -> str:
    return "".join(re.findall(r"\w+", fold(text))).replace("_", "")
