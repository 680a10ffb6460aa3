"""A text before it is posted: disclosed, about the product, true to its facts, and clear."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tandem.content.briefs import keywords
from tandem.content.claims import check_claims
from tandem.content.facts import product_words
from tandem.content.phrases import phrases
from tandem.contracts.brief import TextCheck, TextReport
from tandem.contracts.disclosure import disclosed_in_words, disclosing, hashtags
from tandem.contracts.product import Product, field_text
from tandem.contracts.query_log import QueryCount
from tandem.queries.normalise import fold, tokens
from tandem.queries.stopwords import STOP_WORDS

LONGEST = 2_200  # characters; what the large platforms take
HOOK_WORDS = 14
SENTENCE_WORDS = 20
MOST_HASHTAGS = 8
RELEVANT_WORDS = 2
_STOPS = frozenset(word for words in STOP_WORDS.values() for word in words.split())


def check_text(
    text: str, product: Product, log: Sequence[QueryCount], *, labelled: bool = False
) -> TextReport:
    """Look at a caption or script.

    labelled: the platform's own label for paid content is switched on.
    """
    claims = check_claims(text, product)
    checks = (
        _disclosure(text, labelled, product),
        _relevance(text, product),
        _truth([c.text for c in claims if c.verdict == "contradicted"], "contradicted"),
        _truth([c.text for c in claims if c.verdict == "unsupported"], "unsupported"),
        _length(text),
        _hook(text),
        _clarity(text),
        _capitals(text),
        _tags(text),
        _search_words(text, product, log),
    )
    return TextReport(ready=all(c.passed for c in checks if c.must), checks=checks, claims=claims)


def _disclosure(text: str, labelled: bool, product: Product) -> TextCheck:
    told = labelled or bool(disclosing(text)) or disclosed_in_words(text)
    return TextCheck(
        name="disclosure",
        passed=told,
        must=True,
        says="viewers are told that it is paid for"
        if told
        else "nothing tells viewers that it is paid for",
        remedy=""
        if told
        else f"switch on the platform's label, or put #{phrases(product.language).tag} first",
    )


def _relevance(text: str, product: Product) -> TextCheck:
    names = {
        fold(w) for f in ("title", "brand", "category") for w in tokens(field_text(product, f))
    } - _STOPS
    said = {fold(w) for w in tokens(text)} & names
    passed = len(said) >= min(RELEVANT_WORDS, len(names))
    return TextCheck(
        name="relevance",
        passed=passed,
        must=True,
        says=f"names the product: {', '.join(sorted(said)[:6])}" if said else "names no product",
        remedy="" if passed else "say what the product is, in words of its title",
    )


def _truth(found: Sequence[str], verdict: str) -> TextCheck:
    return TextCheck(
        name=f"claims {verdict}",
        passed=not found,
        must=True,
        says=f"none is {verdict}" if not found else f"{verdict}: {', '.join(found)}",
        remedy="" if not found else "see what each claim's remedy says",
    )


def _length(text: str) -> TextCheck:
    passed = len(text.strip()) > 0 and len(text) <= LONGEST
    return TextCheck(
        name="length",
        passed=passed,
        must=True,
        says=_many(len(text), "character"),
        remedy="" if passed else f"write something, in {LONGEST:,} characters at most",
    )


def _hook(text: str) -> TextCheck:
    first = next(iter(_sentences(text)), "")
    count = len(tokens(first))
    passed = 0 < count <= HOOK_WORDS
    return TextCheck(
        name="hook",
        passed=passed,
        must=False,
        says=f"the first sentence has {_many(count, 'word')}",
        remedy="" if passed else f"begin with {HOOK_WORDS} words or fewer: the point first",
    )


def _clarity(text: str) -> TextCheck:
    lengths = [len(tokens(s)) for s in _sentences(text)]
    longest = max(lengths, default=0)
    passed = longest <= SENTENCE_WORDS
    return TextCheck(
        name="clarity",
        passed=passed,
        must=False,
        says=f"the longest sentence has {_many(longest, 'word')}",
        remedy="" if passed else f"split it: {SENTENCE_WORDS} words or fewer",
    )


def _capitals(text: str) -> TextCheck:
    words = [w for w in re.findall(r"[^\W\d_]{4,}", re.sub(r"#\w+", "", text)) if w != w.lower()]
    loud = [w for w in words if w.isupper()]
    passed = len(loud) <= 2
    return TextCheck(
        name="capitals",
        passed=passed,
        must=False,
        says=f"{_many(len(loud), 'word')} in capitals",
        remedy="" if passed else "write them in normal case",
    )


def _tags(text: str) -> TextCheck:
    count = len(hashtags(text))
    passed = 1 <= count <= MOST_HASHTAGS
    return TextCheck(
        name="hashtags",
        passed=passed,
        must=False,
        says=_many(count, "hashtag"),
        remedy="" if passed else f"use 1 to {MOST_HASHTAGS}, each about the product",
    )


def _search_words(text: str, product: Product, log: Sequence[QueryCount]) -> TextCheck:
    """Whether one of the product's queries is said, its words in any order."""
    words = {fold(w) for w in tokens(text.replace("#", " "))} | {fold(t) for t in hashtags(text)}
    known = keywords(product, log)
    said = [
        k.text
        for k in known
        if ({fold(w) for w in tokens(k.text)} - _STOPS) <= words
        or "".join(fold(w) for w in tokens(k.text)) in words
    ]
    passed = bool(said) or not product_words(product)
    return TextCheck(
        name="search words",
        passed=passed,
        must=False,
        says=f"says what shoppers type: {', '.join(said)}" if said else "says nothing they type",
        remedy="" if passed else f"work in: {', '.join(k.text for k in known[:3])}",
    )


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _sentences(text: str) -> list[str]:
    plain = re.sub(r"#\w+", "", text)
    return [s for s in re.split(r"(?<=[.!?。！？])\s+|\n+", plain) if s.strip(" .!?")]
