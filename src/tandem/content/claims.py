"""What a text claims about a product, held against what the product says of itself.

Quantities and prices are understood in any language; properties, superlatives and promises in
those of `claim_words`. What the listing says in one of them counts in all. A claim that is not
found here is not thereby true: this catches what can be caught by looking, and no more.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from decimal import Decimal

from tandem.content.claim_words import (
    COUNTRIES,
    MADE_IN,
    NEGATED_AFTER,
    NEGATED_BEFORE,
    OF_A_KIND,
    PROPERTIES,
    compiled,
    unaccented,
)
from tandem.content.facts import FIELDS, product_counts, product_quantities, quantities
from tandem.contracts.brief import Claim, ClaimKind
from tandem.contracts.product import Product, field_text
from tandem.queries.normalise import fold, normalise
from tandem.queries.stemming import stem

# Other codes are words of product texts as well (AWG is a gauge of wires): they count as a price
# only where the product's own price is in them.
_CODES = "USD EUR GBP JPY CNY INR IDR VND THB MYR SGD PHP KRW BRL MXN CAD AUD CHF SEK PLN"
_COMMON_CODES = frozenset(_CODES.split())
_CURRENCIES = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}
# 1299, 1299.00, 1,299.00, 1.299,00, 1 299,00, 1'299.00
_GROUPED = r"\d{1,3}(?:[., '’]\d{3}){1,3}(?:[.,]\d{1,2})?(?!\d)"
_AMOUNT = rf"({_GROUPED}|\d{{1,12}}(?:[.,]\d{{1,2}})?)"
_PRICE = re.compile(
    rf"(?:([$€£¥])\s?{_AMOUNT}"
    # Begun at the first digit and no later, or a long row of digits would be read again and again.
    rf"|(?<![\d.,]){_AMOUNT}\s?(?:([$€£¥])|([A-Z]{{3}})\b))"
)
NEGATED_WITHIN = 80  # characters before a word in which a "not" is looked for
_COUNT = re.compile(r"(?<![\w.,#-])(\d{1,4})[ -]([^\W\d_]{3,}(?: [^\W\d_]{3,})?)(?![\w-])")
_SPACES = re.compile(r"[\W_]+")


def check_claims(text: str, product: Product) -> tuple[Claim, ...]:
    """Claims in the order of the text, each with its verdict, evidence and remedy."""
    plain = normalise(text)
    found: list[tuple[int, Claim]] = [
        *_prices(plain, product),
        *_quantities(plain, product),
        *_counts(plain, product),
        *_properties(plain, product),
    ]
    bare = unaccented(plain)
    for kind, pattern, remedy in OF_A_KIND:
        for match in pattern.finditer(bare):
            if _negated(bare, match):
                continue  # "not the best" promises nothing
            evidence = "no listing can bear this out"
            found.append(
                (
                    match.start(),
                    Claim(
                        text=plain[match.start() : match.end()],
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
        amounts = _amounts(before or after)
        price = product.price
        if price is None:
            claim = _claim(match[0], "price", "unsupported", "the listing has no price")
        elif price.currency == currency and price.amount in amounts:
            claim = _claim(match[0], "price", "supported", "the listing's price")
        else:
            claim = _claim(
                match[0], "price", "contradicted", f"the price is {price.amount} {price.currency}"
            )
        found.append((match.start(), claim))
    return found


def _amounts(number: str) -> set[Decimal]:
    """What a number may mean: a point, comma or space before three digits marks thousands, or
    decimals, or the end of another number ("a pack of 2 299 €")."""
    found = set()
    if re.fullmatch(_GROUPED, number):
        whole, _, cents = re.sub(r"[.,](\d{1,2})$", r";\1", number).partition(";")
        found.add(Decimal(f"{re.sub(r'[^0-9]', '', whole)}.{cents or 0}"))
    last = number.rpartition(" ")[2]
    if re.fullmatch(r"\d+(?:[.,]\d+)?", last):
        found.add(Decimal(last.replace(",", ".")))
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


def _counts(text: str, product: Product) -> list[tuple[int, Claim]]:
    """Whole numbers of what the listing counts: "12 cells", "7 programmable buttons"."""
    stated = product_counts(product)
    if not stated:
        return []
    language = product.language or "en"
    listing = normalise(" . ".join(field_text(product, name) for name in FIELDS))
    written = {(number, noun) for _, number, noun, _ in _counted(listing, language, stated)}
    found = []
    for start, number, noun, said in _counted(text, language, stated):
        same = stated[noun]
        # Of several kinds (ports of two sorts) one of them, or all together; or as it is written.
        values = {*(value for value, _ in same), sum(value for value, _ in same)}
        if number in values or (number, noun) in written:
            verdict = "supported"
        else:
            verdict = "contradicted" if len(same) == 1 else "unsupported"
        evidence = f"the listing says {', '.join(f'{name}: {value:g}' for value, name in same)}"
        found.append((start, _claim(said, "quantity", verdict, evidence)))
    return found


def _counted(
    text: str, language: str, nouns: Container[str]
) -> Iterator[tuple[int, int, str, str]]:
    """Where, how many, the noun's stem and the words of every count of one of the nouns."""
    for match in _COUNT.finditer(text):
        words = match[2].split()
        stems = [stem(fold(word), language) for word in words]
        at = next((i for i, noun in enumerate(stems) if noun in nouns), None)
        if at is not None:
            yield match.start(), int(match[1]), stems[at], " ".join([match[1], *words[: at + 1]])


def _properties(text: str, product: Product) -> list[tuple[int, Claim]]:
    """Properties that a text claims. Words of two properties are borne out by either."""
    bare = unaccented(text)
    listing = _Listing(product)
    found: dict[tuple[int, int], tuple[set[str], re.Match[str]]] = {}
    for name, pattern in listing.patterns():
        for match in pattern.finditer(bare):
            found.setdefault(match.span(), (set(), match))[0].add(name)
    claims = []
    for (start, end), (names, match) in found.items():
        if any(s <= start and end <= e and (s, e) != (start, end) for s, e in found):
            continue  # "steel" within "stainless steel"
        negated = _negated(bare, match)
        says = {name: listing.says(name) for name in names}
        known = next((name for name in sorted(says) if says[name] is not None), None)
        if known is None:
            if negated:
                continue  # that something is not said cannot be held against its denial
            verdict, evidence = "unsupported", f"the listing does not say {sorted(names)[0]}"
        else:
            true = any(value is not negated for value in says.values() if value is not None)
            verdict = "supported" if true else "contradicted"
            evidence = f"the listing says {known}: {'yes' if says[known] else 'no'}"
        claims.append((start, _claim(text[start:end], "property", verdict, evidence)))
    return [*claims, *_origin(text, bare, listing)]


def _origin(text: str, bare: str, listing: _Listing) -> list[tuple[int, Claim]]:
    """Where it is said to be made."""
    said = [_country(match[1]) for match in MADE_IN.finditer(listing.text)]
    claims = []
    for match in MADE_IN.finditer(bare):
        here = _country(match[1])
        if _negated(bare, match) and not said:
            continue
        if here in said:
            verdict, evidence = "supported", f"the listing says made in {here}"
        elif said:
            verdict, evidence = "contradicted", f"the listing says made in {', '.join(said)}"
        else:
            verdict, evidence = "unsupported", f"the listing does not say made in {here}"
        claims.append(
            (
                match.start(),
                _claim(text[match.start() : match.end()], "property", verdict, evidence),
            )
        )
    return claims


def _country(name: str) -> str:
    return COUNTRIES.get(name, name)


class _Listing:
    """What a listing says of properties, looked for when it is asked."""

    def __init__(self, product: Product) -> None:
        self.text = unaccented(" . ".join(field_text(product, name) for name in FIELDS))
        self._flags = {
            _plain(n): v for n, v in product.attributes.items() if isinstance(v, bool) and _plain(n)
        }

    def patterns(self) -> Iterator[tuple[str, re.Pattern[str]]]:
        """Known properties, and each flag of the product by its own name."""
        yield from PROPERTIES.items()
        for name in self._flags:
            if name not in PROPERTIES:
                yield name, compiled(re.escape(name).replace(r"\ ", " "))

    def says(self, name: str) -> bool | None:
        """Whether the product has the property; None: the listing does not say."""
        pattern = PROPERTIES.get(name)
        for flag, value in self._flags.items():
            if flag == name or (pattern is not None and pattern.fullmatch(flag)):
                return value
        if pattern is None:
            return None
        mentions = [not _negated(self.text, match) for match in pattern.finditer(self.text)]
        return any(mentions) if mentions else None


def _negated(text: str, match: re.Match[str]) -> bool:
    before = text[max(0, match.start() - NEGATED_WITHIN) : match.start()]
    return bool(NEGATED_BEFORE.search(before) or NEGATED_AFTER.search(text[match.end() :]))


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
