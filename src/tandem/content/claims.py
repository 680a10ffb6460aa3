"""What a text claims about a product, held against what the product says of itself.

Quantities and prices are understood in any language; properties, superlatives and promises in
English. A claim that is not found here is not thereby true: this catches what can be caught by
looking, and no more.
"""

from __future__ import annotations

import re
from decimal import Decimal

from tandem.content.facts import FIELDS, product_quantities, quantities
from tandem.contracts.brief import Claim, ClaimKind
from tandem.contracts.product import Product, field_text
from tandem.queries.normalise import fold, normalise

# Properties that shoppers rely on: to be said only where the listing says them.
_PROPERTIES = """
waterproof|water resistant|dustproof|shockproof|fireproof|wireless|cordless|rechargeable|
noise cancelling|noise canceling|fast charging|solar powered|dishwasher safe|machine washable|
oven safe|microwave safe|bpa free|lead free|fragrance free|gluten free|sugar free|dairy free|
cruelty free|vegan|vegetarian|organic|natural|handmade|recycled|recyclable|biodegradable|
sustainable|genuine leather|real leather|stainless steel|solid wood|pure cotton|cashmere|silk|
hypoallergenic|dermatologically tested|non slip|non stick|foldable|adjustable|unbreakable|
scratch resistant|assembled|educational|outdoor|made in [a-z]+
"""
_OF_A_KIND: tuple[tuple[ClaimKind, str, str], ...] = (
    (
        "health",
        r"\b(?:cures?|heals?|prevents?|detox\w*|clinically proven|doctor recommended|"
        r"anti[- ]?aging|lose weight|weight loss|burns? fat|boosts? immunity|relieves? pain)\b",
        "leave it out: claims about health need proof and often approval",
    ),
    (
        "superlative",
        r"\b(?:(?:the|world'?s|ever)\s+(?:best|cheapest|fastest|strongest|safest|greatest)|"
        r"best\s+\w+\s+ever|number one|no\.? ?1|unbeatable|unrivall?ed|perfect|miracle|magical?)\b"
        r"|#1\b",
        "say what you noticed yourself, or a fact of the listing",
    ),
    (
        "promise",
        r"\b(?:guaranteed?|risk[- ]?free|money back|lifetime warranty|free (?:shipping|returns?)|"
        r"never (?:breaks?|fails?)|works? for everyone|instant results?)\b",
        "leave promises to the merchant's own terms",
    ),
    (
        "scarcity",
        r"\b(?:last chance|only today|today only|selling out|almost gone|only \d+ left|"
        r"while (?:stocks?|supplies) lasts?|\d+ ?% off|half price)\b",
        "leave it out unless the merchant confirmed it for the time of posting",
    ),
)
# Other codes are words of product texts as well (AWG is a gauge of wires): they count as a price
# only where the product's own price is in them.
_CODES = "USD EUR GBP JPY CNY INR IDR VND THB MYR SGD PHP KRW BRL MXN CAD AUD CHF SEK PLN"
_COMMON_CODES = frozenset(_CODES.split())
_CURRENCIES = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}
_PRICE = re.compile(
    r"(?:([$€£¥])\s?(\d{1,12}(?:[.,]\d{1,2})?)"
    # Begun at the first digit and no later, or a long row of digits would be read again and again.
    r"|(?<![\d.,])(\d{1,12}(?:[.,]\d{1,2})?)\s?(?:([$€£¥])|([A-Z]{3})\b))"
)
NEGATED_WITHIN = 80  # characters before a word in which a "not" is looked for
_NEGATED = re.compile(
    r"\b(?:not|isn'?t|no|never|without)\s+(?:\w+\s+){0,2}$|\bnon[\s-]?$", re.IGNORECASE
)
_SPACES = re.compile(r"[\W_]+")


def check_claims(text: str, product: Product) -> tuple[Claim, ...]:
    """Claims in the order of the text, each with its verdict, evidence and remedy."""
    plain = normalise(text)
    found: list[tuple[int, Claim]] = [
        *_prices(plain, product),
        *_quantities(plain, product),
        *_properties(plain, product),
    ]
    for kind, pattern, remedy in _OF_A_KIND:
        for match in re.finditer(pattern, plain, re.IGNORECASE):
            evidence = "no listing can bear this out"
            found.append(
                (
                    match.start(),
                    Claim(
                        text=match[0],
                        kind=kind,
                        verdict="unsupported",
                        evidence=evidence,
                        remedy=remedy,
                    ),
                )
            )
    return tuple(claim for _, claim in sorted(found, key=lambda pair: pair[0]))


def _prices(text: str, product: Product) -> list[tuple[int, Claim]]:
    found = []
    for match in _PRICE.finditer(text):
        sign, before, after, sign_after, code = match.groups()
        currency = code or _CURRENCIES[sign or sign_after]
        if code and not _is_code(code, product):
            continue
        amount = Decimal((before or after).replace(",", "."))
        price = product.price
        if price is None:
            claim = _claim(match[0], "price", "unsupported", "the listing has no price")
        elif (price.amount, price.currency) == (amount, currency):
            claim = _claim(match[0], "price", "supported", "the listing's price")
        else:
            claim = _claim(
                match[0], "price", "contradicted", f"the price is {price.amount} {price.currency}"
            )
        found.append((match.start(), claim))
    return found


def _is_code(code: str, product: Product) -> bool:
    return code in _COMMON_CODES or (product.price is not None and code == product.price.currency)


def _quantities(text: str, product: Product) -> list[tuple[int, Claim]]:
    stated = product_quantities(product)
    found = []
    for q in quantities(text):
        same = [s for s in stated if s.unit == q.unit]
        if any(abs(s.value - q.value) <= abs(s.value) / 200 for s in same):
            verdict, evidence = "supported", f"the listing says {q.text}"
        elif same:
            verdict = "contradicted"
            evidence = f"the listing says {', '.join(dict.fromkeys(s.text for s in same))}"
        else:
            verdict, evidence = "unsupported", f"the listing says nothing in {q.unit}"
        found.append((q.start, _claim(q.text, "quantity", verdict, evidence)))
    return found


def _properties(text: str, product: Product) -> list[tuple[int, Claim]]:
    said = {_plain(field_text(product, name)) for name in FIELDS}
    flags = {_plain(n): v for n, v in product.attributes.items() if isinstance(v, bool)}
    vocabulary = "".join(_PROPERTIES.split("\n")).replace(" ", r"[\s-]+")
    own = "|".join(re.escape(name).replace(r"\ ", r"[\s-]+") for name in flags if name)
    pattern = rf"\b(?:{vocabulary}{'|' + own if own else ''})\b"
    found = []
    for match in re.finditer(pattern, text, re.IGNORECASE):
        name = _plain(match[0])
        before = text[max(0, match.start() - NEGATED_WITHIN) : match.start()]
        negated = bool(_NEGATED.search(before))
        if name in flags:
            true = flags[name] is not negated
            verdict = "supported" if true else "contradicted"
            evidence = f"the listing says {name}: {'yes' if flags[name] else 'no'}"
        elif any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", s) for s in said):
            verdict = "contradicted" if negated else "supported"
            evidence = f"the listing says {name}"
        elif negated:
            continue  # that something is not said cannot be held against its denial
        else:
            verdict, evidence = "unsupported", f"the listing does not say {name}"
        found.append((match.start(), _claim(match[0], "property", verdict, evidence)))
    return found


def _plain(text: str) -> str:
    return _SPACES.sub(" ", fold(text)).strip()


def _claim(text: str, kind: ClaimKind, verdict: str, evidence: str) -> Claim:
    remedies = {
        "supported": "",
        "contradicted": "say what the listing says, or have the merchant correct it",
        "unsupported": "leave it out, or have the merchant add it to the listing",
    }
    return Claim.model_validate(
        {
            "text": text,
            "kind": kind,
            "verdict": verdict,
            "evidence": evidence,
            "remedy": remedies[verdict],
        }
    )
