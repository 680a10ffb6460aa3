"""Personal data in what shoppers type: found and masked before anything is stored.

Numbers are judged by their own rules, not by their length: phones by the numbering plans of
`phonenumbers` (Google's libphonenumber), cards by issuer prefix and Luhn (ISO/IEC 7812-1), bank
accounts by the mod-97 check of ISO 13616. Product codes (GTIN, ISBN) are recognised first and
left alone. Streets and names have no check digit: they need words around them that say what they
are. docs/governance.md states precision and recall on a labelled set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Literal

from tandem.governance.memory import remembers_people

Kind = Literal["email", "phone", "card", "iban", "id", "address", "name"]

REMEMBERED = 16_384  # few queries make up most of what is typed

# Numbering plans that a number without a country code is held against.
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL")
# The same where a word says that it is a phone number.
FURTHER_REGIONS = ("PL", "PT", "SE", "BR", "MX", "IN", "AU", "JP", "CN", "KR", "RU", "TR")


@dataclass(frozen=True, slots=True)
class Finding:
    """Personal data at `text[start:end]`."""

    kind: Kind
    start: int
    end: int


@remembers_people
@lru_cache(maxsize=REMEMBERED)
def mask(text: str) -> tuple[str, tuple[Kind, ...]]:
    """`text` with `<kind>` in place of personal data, and the kinds that were there, sorted."""
    found = find_personal(text)
    if not found:
        return text, ()
    parts: list[str] = []
    at = 0
    for finding in found:
        parts += (text[at : finding.start], f"<{finding.kind}>")
        at = finding.end
    parts.append(text[at:])
    return "".join(parts), tuple(sorted({finding.kind for finding in found}))


def find_personal(text: str) -> tuple[Finding, ...]:
    """Personal data in `text`, in text order, without overlaps: the surer kind wins."""
    if not _WORTH_A_LOOK.search(text):
        return ()
    taken: list[Finding] = []
    for finding in _candidates(text):
        if all(finding.end <= other.start or finding.start >= other.end for other in taken):
            taken.append(finding)
    return tuple(sorted(taken, key=lambda finding: finding.start))


def _candidates(text: str) -> Iterator[Finding]:
    """Findings of every kind, the surest kinds first."""
    yield from _emails(text)
    digits = sum(map(str.isdigit, text))
    if digits >= 7:
        yield from _ibans(text)
        yield from _cards(text)
        yield from _social_security(text)
        yield from _phones(text)
    if digits:
        yield from _addresses(text)
    yield from _names(text)


def _words(*words: str) -> str:
    return "(?:" + "|".join(words) + ")"


# --- Mail -----------------------------------------------------------------------------------------

_MAIL_HOUSES = _words(
    "gmail", "googlemail", "yahoo", "hotmail", "outlook", "icloud", "gmx", "web", "aol", "proton",
    "protonmail",
)  # fmt: skip
_AT = r"(?:@|\s?[\[(]\s?(?:at|@)\s?[\])]\s?)"
_EMAIL = re.compile(
    rf"[\w.!#$%&'*+/=?^`{{|}}~-]+{_AT}[\w-]+(?:\.[\w-]+)+"
    rf"|[\w.+-]+@{_MAIL_HOUSES}\b"
    rf"|[\w.+-]+\s(?:at|@)\s{_MAIL_HOUSES}\s?(?:\.|dot|punkt|point)?\s?(?:com|net|org|me|de|fr|es|it)\b",
    re.IGNORECASE,
)


# What each of the patterns above has in it, found in one pass; they look back from every place.
_EMAIL_SIGN = re.compile(r"@|[\s\[(]at[\s\])]", re.IGNORECASE)


def _emails(text: str) -> Iterator[Finding]:
    if not _EMAIL_SIGN.search(text):
        return
    for match in _EMAIL.finditer(text):
        yield Finding("email", match.start(), match.end())


# --- Numbers with a check digit -------------------------------------------------------------------

_CARD = re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,22}(?![\d-])")
_CARD_WORD = re.compile(
    r"\b(?:cards?|visa|mastercard|amex|maestro|kreditkarte|karte|carte|tarjeta|carta|cart[ãa]o)\b",
    re.IGNORECASE,
)
# Issuer prefixes and lengths: Visa, Mastercard, American Express, Discover, JCB, Diners, UnionPay,
# Maestro.
_ISSUER = re.compile(
    r"4\d{12}|4\d{15}|4\d{18}|5[1-5]\d{14}|2(?:2[2-9]|[3-6]\d|7[01])\d{13}|2720\d{12}|3[47]\d{13}"
    r"|6(?:011|5\d\d|4[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|3(?:0[0-5]|[689]\d)\d{11}"
    r"|62\d{14,17}|(?:50|5[6-9]|6\d)\d{10,17}"
)
# In one piece or in the printed groups of four.
_IBAN = re.compile(
    r"\b[A-Z]{2}\d{2}(?:[A-Z0-9]{11,30}|(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,4})?)\b", re.IGNORECASE
)
# Lengths by country (SWIFT's IBAN registry), for the countries of the euro payment area.
_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FO FI GL NL", 19: "SI", 20: "AT EE LT LU", 21: "CH HR LI LV",
        22: "BG DE GB GG IE IM JE ME RS", 23: "GI", 24: "AD CZ ES MD RO SE SK", 25: "PT",
        26: "IS", 27: "FR GR IT MC SM", 28: "AL CY HU PL", 31: "MT",
    }.items()
    for country in countries.split()
}  # fmt: skip
_SSN = re.compile(
    r"(?:(?<=ssn )|(?<=security )|(?<![\w-])(?=\d{3}-))"
    r"(?!000|666|9)\d{3}[- ](?!00)\d{2}[- ](?!0000)\d{4}(?![\w-])",
    re.IGNORECASE,
)


def _cards(text: str) -> Iterator[Finding]:
    for match in _CARD.finditer(text):
        # One in ten GTINs passes Luhn: a bare one needs a word that says card.
        if _is_product_code(match.group()) and not _CARD_WORD.search(text):
            continue
        # The pattern may run on into a date of expiry.
        for end in _ends(match):
            digits = re.sub(r"\D", "", text[match.start() : end])
            if _ISSUER.fullmatch(digits) and _luhn(digits):
                yield Finding("card", match.start(), end)
                break


def _luhn(digits: str) -> bool:
    doubled = (int(d) * 2 for d in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(d - 9 if d > 9 else d for d in doubled)) % 10 == 0


def _ibans(text: str) -> Iterator[Finding]:
    for match in _IBAN.finditer(text):
        # The pattern may run on into the words behind: try shorter ends, longest first.
        for end in _ends(match):
            plain = text[match.start() : end].replace(" ", "").upper()
            if len(plain) == _IBAN_LENGTHS.get(plain[:2]) and _mod_97(plain):
                yield Finding("iban", match.start(), end)
                break


def _ends(match: re.Match[str]) -> Iterator[int]:
    yield match.end()
    for space in reversed([m.start() for m in re.finditer(" ", match.group())]):
        yield match.start() + space


def _mod_97(iban: str) -> bool:
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1


def _social_security(text: str) -> Iterator[Finding]:
    for match in _SSN.finditer(text):
        yield Finding("id", match.start(), match.end())


def _is_product_code(text: str) -> bool:
    """Whether these are the digits of a GTIN-8, -12, -13, -14 or an ISBN-10, unbroken."""
    if text.isdigit() and len(text) in (8, 12, 13, 14):
        weighted = sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(reversed(text)))
        return weighted % 10 == 0
    if re.fullmatch(r"\d{9}[\dXx]", text):
        values = [10 if d in "Xx" else int(d) for d in text]
        return sum(v * w for v, w in zip(values, range(10, 0, -1), strict=True)) % 11 == 0
    return False


# --- Phones ---------------------------------------------------------------------------------------

_NUMBER = re.compile(
    r"(?<![\w.,+(-])(?:\+|\((?=\d{2,5}\)))?\d(?:[ ./()-]{0,3}\d){6,16}(?![\w)]|[.,]\d)"
)
# What tells a number that is dialled from others, when no word says phone: a plus, an area code in
# brackets, a trunk zero with its area code.
_DIALLED = re.compile(r"\+|\(\d{2,5}\)|0\d+[ /-]|0\d{9,11}$")
_FEWEST_UNSAID = 9
MOST_NUMBERS = 8  # a bound on the work that one query can ask for
_PHONE_WORD = re.compile(
    r"\b(?:call|ring|text|reach|telephone|tel|whatsapp|number|phone number"
    r"|rückruf|anrufen|ruf|rufen|nummer|telefonnummer"
    r"|appele[zr]|tel[ée]fono|t[ée]l[ée]phone|ll[áa]m\w+|chiama\w*|bel mij|telefoonnummer|ligar"
    r"|zadzwo\w+|ring mig)\b"
    r"|電話|电话|전화|телефон|هاتف",
    re.IGNORECASE,
)
# Words that are as often about a product.
_PHONE_OR_PRODUCT = re.compile(
    r"\b(?:phone|cell|mobile|contact|telefon|handy|mobil|portable|m[óo]vil|celular|cellulare|mobiel"
    r"|telefonu)\b",
    re.IGNORECASE,
)
_NOT_A_PHONE = re.compile(
    r"\b(?:ean|gtin|upc|isbn|asin|sku|mpn|part|oem|model|art|artikel|article|ref|serial|item)\b",
    re.IGNORECASE,
)


def _phones(text: str) -> Iterator[Finding]:
    matches = list(islice(_NUMBER.finditer(text), MOST_NUMBERS))
    if not matches:
        return
    said = bool(_PHONE_WORD.search(text))
    hinted = said or bool(_PHONE_OR_PRODUCT.search(text))
    if not hinted and _NOT_A_PHONE.search(text):
        return
    for match in matches:
        shown = match.group()
        digits = sum(map(str.isdigit, shown))
        if _is_product_code(shown) and not hinted:
            continue
        # Sizes and capacities: single digits between others, decimal points.
        if re.match(r"\d\b|\d+\.\d\b", shown) or (digits < _FEWEST_UNSAID and not said):
            continue
        # Without a word that says phone, digits must be written as a number is dialled, in the
        # groups of a number, or as all there is.
        alone = len(shown) == len(text.strip())
        grouped = digits <= 11 and re.fullmatch(r"\d{2,4}(?:[ -]\d{2,4}){2,3}", shown)
        hints = hinted and (shown.isdigit() or grouped)
        loose = said or alone or bool(hints or _DIALLED.match(shown))
        regions = (*REGIONS, *FURTHER_REGIONS) if said else REGIONS
        if _is_phone(shown, regions, strict=not loose):
            yield Finding("phone", match.start(), match.end())


def _is_phone(shown: str, regions: Sequence[str], *, strict: bool) -> bool:
    """Whether a numbering plan has this number; `strict` asks for its usual groups as well."""
    import phonenumbers as plans

    international = shown.startswith(("+", "00"))
    text = "+" + shown[2:] if shown.startswith("00") else shown
    if strict and not re.search(r"\d[ ./()-]+\d", shown):
        return False
    for region in ("ZZ",) if international else regions:
        try:
            number = plans.parse(text, None if region == "ZZ" else region)
        except plans.NumberParseException:
            continue
        if not plans.is_valid_number(number) and not (
            international and plans.is_possible_number(number)
        ):
            continue
        if not strict:
            return True
        style = plans.PhoneNumberFormat.NATIONAL
        usual = re.findall(r"\d+", plans.format_number(number, style))
        if re.findall(r"\d+", shown) == usual and len(usual) > 1:
            return True
    return False


# --- Addresses ------------------------------------------------------------------------------------

_NUMBER_OF_HOUSE = r"\d{1,5}\s?[a-zA-Z]?(?:[/-]\d{1,4}[a-z]?)?"
_GOES_ON = r"(?!(?:as|and|und|et|y|phone|tel|email|mail|my)\b)"
_TOWN_WORD = rf"{_GOES_ON}[^\W\d_][^\W\d_.'-]*(?:[.'-][^\W\d_]+)*(?!\w)"
_TOWN_NAME = rf"{_TOWN_WORD}(?:\s{_TOWN_WORD})?"
_TOWN = rf"(?:,?\s\d{{4,5}}(?:\s[A-Z]{{2}}\b)?\s{_TOWN_NAME}|,\s*{_TOWN_NAME})?"
_UK_POSTCODE = r"[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}"
_US_ZIP = r"(?:[A-Z]{2}\s)?\d{5}(?:-\d{4})?"
# After an English street: nothing, or what an address goes on with. A further plain word means
# that the "street" belongs to a product (road bike, street fighter).
_EN_AFTER = (
    rf"(?:[ ,]+(?:apt|apartment|unit|flat|suite|#)\.?\s?\w+)?"
    rf"(?:,\s*{_TOWN_NAME})?"
    rf"(?:[ ,]+(?:{_UK_POSTCODE}|{_US_ZIP})\b)?"
)
_EN_STREET = re.compile(
    rf"(?<![\w.,-])\d{{1,5}}[a-z]?\s+(?P<name>(?:[^\W\d_][\w.'-]*\s+){{1,3}})"
    rf"(?:(?P<sure>street|avenue|boulevard|road|lane|ave|blvd|rd|terrace|crescent)\.?"
    rf"|(?P<weak>st|drive|dr|way|court|ct|close|place|square|gardens)\.?)"
    rf"(?![\w-]){_EN_AFTER}",
    re.IGNORECASE,
)
_NOT_IN_A_STREET_NAME = re.compile(
    r"\b(?:inch(?:es)?|in|cm|mm|ft|pack|pcs?|pieces?|piece|set|speed|gear|lane|player|person|mile|km"
    r"|kids?|mens?|womens?|wheel|volt|watt|gb|tb|x|for|of|the|with|and|usb|hard|port|bay|days?|years?)\b",
    re.IGNORECASE,
)
_CITIES = _words(
    "london", "leeds", "manchester", "bristol", "oxford", "brighton", "dublin", "edinburgh",
    "glasgow", "liverpool", "birmingham", "new york", "los angeles", "chicago", "boston",
    "houston", "seattle", "san francisco", "toronto", "sydney", "melbourne", "berlin", "paris",
)  # fmt: skip
_DELIVERY = re.compile(
    r"\b(?:address|ship|shipping|deliver\w*|living|live at|send (?:it )?to|adresse|liefer\w*"
    r"|versand|wohne\w*|paket|livr\w+|envi\w+|mandar|domicilio|sped\w+|consegn\w+|bezorg\w*"
    r"|dostaw\w*|wysła\w*|entreg\w+|direcci[óo]n|indirizzo|adres|morada|endereço)\b",
    re.IGNORECASE,
)
_GERMAN_SURE = r"(?:[^\W\d_][\w-]*(?:straße|strasse|str\.)|[^\W\d_]{3,}allee)"
_GERMAN_WEAK = (
    r"(?:(?:Am|An der|Im|Zum|Zur|Lange|Kurze|Alte|Neue)\s+)?"
    r"(?:[^\W\d_][\w-]*(?:weg|platz|gasse|damm|ufer|ring|hof|steig)|(?:Gasse|Platz|Weg|Ring))"
)
_CONTINENTAL_SURE = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b{_GERMAN_SURE}\s?{_NUMBER_OF_HOUSE}\b(?!\s?(?:cm|mm|gb|kg|w)\b){_TOWN}",
        r"(?<![\w.,-])\d{1,4}(?:\s?(?:bis|ter))?,?\s+(?:rue|avenue|boulevard|impasse|chemin|allée"
        rf"|quai|place(?=\s(?:de|du|des)\b))\s+(?:(?:de|du|des|la|le|les|l'|d')\s?)*[^\W\d_][\w'-]+(?:\s[A-Z][\w-]+)?{_TOWN}",
        r"(?:\b(?:calle|avenida|avda\.?|paseo|carrer)|\bc/)\s+(?:(?:de|del|la|las|los)\s)*"
        rf"[^\W\d_][\w-]+(?:\s[^\W\d_][\w-]+)?,?\s\d{{1,4}}\b(?!\s?(?:cd|dvd|cm|kg|ml)){_TOWN}",
        r"\b(?:viale|piazza|corso|via)\s+(?!col\b|di\b)[^\W\d_][\w'-]+(?:\s[A-Z][\w'-]+)?,?\s"
        rf"\d{{1,4}}\b{_TOWN}",
        rf"\b[^\W\d_]{{3,}}(?:straat|laan|gracht|plein)\s\d{{1,4}}\s?[a-z]?\b{_TOWN}",
        rf"\b(?:ul\.|al\.)\s?[^\W\d_][\w-]+(?:\s[^\W\d_][\w-]+)?\s\d{{1,4}}(?:/\d{{1,4}})?\b{_TOWN}",
        rf"\b(?:rua|avenida|travessa)\s+(?:(?:da|das|do|dos|de)\s)*[^\W\d_][\w-]+,?\s\d{{1,4}}\b{_TOWN}",
    )
)
_GERMAN_WITH_CONTEXT = re.compile(rf"\b{_GERMAN_WEAK}\s{_NUMBER_OF_HOUSE}\b{_TOWN}", re.IGNORECASE)


def _addresses(text: str) -> Iterator[Finding]:
    delivered = bool(_DELIVERY.search(text))
    for match in _EN_STREET.finditer(text):
        name, shown = match["name"], match.group()
        if _NOT_IN_A_STREET_NAME.search(name):
            continue
        rest = text[match.end() :].strip()
        goes_on = bool(rest) and not re.match(rf"[.,;]|{_CITIES}\b|(?:as|and|phone|tel|my)\b", rest)
        detailed = "," in shown or bool(
            re.search(r"\d", shown[match.end("name") - match.start() :])
        )
        if goes_on and not detailed and not delivered:
            continue
        if match["weak"] and not (delivered or detailed):
            continue
        yield Finding("address", match.start(), _trimmed(text, match))
    for pattern in _CONTINENTAL_SURE:
        for match in pattern.finditer(text):
            yield Finding("address", match.start(), _trimmed(text, match))
    for match in _GERMAN_WITH_CONTEXT.finditer(text):
        if delivered or re.search(r",?\s\d{5}\s[^\W\d_]", match.group()):
            yield Finding("address", match.start(), _trimmed(text, match))


def _trimmed(text: str, match: re.Match[str]) -> int:
    return match.start() + len(text[match.start() : match.end()].rstrip(" ,.;"))


# --- Names in context -----------------------------------------------------------------------------

_NAME_PART = (
    r"(?!(?:and|und|et|y|e|i|my|phone|email|tel|wo|where|is|ist|dvd|blu|book)\b)"
    r"[^\W\d_][^\W\d_'’-]*(?:[-'’][^\W\d_]+)?"
)
_PARTICLE = r"(?:(?:de|van|von|der|den|da|di|la|le|el|al|bin)\s){0,2}"
_FULL_NAME = rf"{_NAME_PART}(?:\s{_PARTICLE}{_NAME_PART}){{1,2}}"
_TWO_NAMES = rf"{_NAME_PART}\s{_PARTICLE}{_NAME_PART}"
_SAYS_ITS_NAME = re.compile(
    r"\b(?:my name is|mein name ist|ich hei(?:ß|ss)e|je m['’]appelle|mon nom est|me llamo"
    r"|mi nombre es|mi chiamo|il mio nome è|mijn naam is|ik heet|meu nome é|me chamo"
    r"|nazywam się|mam na imię|jag heter|(?<!the )name is)\s+"
    rf"(?P<name>{_TWO_NAMES})"
    rf"|меня зовут\s+(?P<russian>{_TWO_NAMES})"
    r"|私の名前は(?P<japanese>\w{2,8}?)(?:です|$)|我(?:叫|的名字是)(?P<chinese>\w{2,4})",
    re.IGNORECASE,
)
_WRITTEN_ON = re.compile(
    r"\b(?:(?:engraving|gravur|gravure|grabado|incisione)|(?:engraved|personali[sz]ed|graviert\w*|tasse"
    r"|mug|gravée?s?|grabad[oa]s?)(?:\s[^\W\d_]+)?\s(?:with|mit|avec|con)(?:\s[^\W\d_]+)?"
    r"\s(?:name|namen|nom|nombre|nome))(?:\s(?:mit|with|name|namen|nom|nombre|for|für))*\s"
    rf"(?P<name>{_TWO_NAMES})(?:\s(?:and|und|et|y)\s(?P<other>{_TWO_NAMES}))?",
    re.IGNORECASE,
)
_ADDRESSED_TO = re.compile(
    r"\b(?:c/o|attn\.?|z\.\s?hd\.?|(?:order|parcel|package|deliver\w*|paket|lieferung|bestellung"
    r"|colis|commande|livraison|pedido|pacco|pakket)\s(?:for|to|an|für|pour|de|para|per|voor)\s"
    r"(?:mrs?|ms|miss|dr|herrn?|frau|monsieur|madame|mme|señora?|signora?|mevrouw|meneer)\.?)\s+"
    rf"(?P<name>{_TWO_NAMES})",
    re.IGNORECASE,
)
_NOT_A_NAME = re.compile(
    r"\b(?:for|him|her|his|them|mum|dad|wife|husband|gift|mug|pen|ring|necklace|bracelet|gold|silver"
    r"|wood|wooden|steel|glass|plate|tag|badge|box|case|the|an?|with|names?|namen|und|and)\b",
    re.IGNORECASE,
)


def _names(text: str) -> Iterator[Finding]:
    for pattern in (_SAYS_ITS_NAME, _WRITTEN_ON, _ADDRESSED_TO):
        for match in pattern.finditer(text):
            for group in match.re.groupindex:
                if match[group] and not _NOT_A_NAME.search(match[group]):
                    yield Finding("name", match.start(group), match.end(group))


# A cheap first look: text without a sign of any kind above is most of what is typed.
_WORTH_A_LOOK = re.compile(
    "|".join(
        (
            r"@|\d.*\d",
            _words(r"\bat\b", r"\(at\)", r"\[at\]"),
            r"\b(?:name|nom|namen|nombre|nome|naam|hei(?:ß|ss)e|appelle|llamo|chiam[oa]|chamo|heet|heter"
            r"|nazywam|mam na)\b|зовут|名前|我叫|名字",
            r"engrav|personali|grav|grabad|incisione|c/o|attn|z\.\s?hd",
            r"\b(?:order|parcel|package|deliver|paket|lieferung|bestellung|colis|commande|livraison"
            r"|pedido|pacco|pakket)",
            _NUMBER_OF_HOUSE,
        )
    ),
    re.IGNORECASE,
)
