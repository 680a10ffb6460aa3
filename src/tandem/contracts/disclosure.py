"""Telling viewers that content is paid for."""

from __future__ import annotations

import re

# Hashtags that say so, by the guidance of FTC, ASA, the German and French regulators and their
# like; matched without regard to case. No legal advice.
_TAGS = """
ad advert advertisement advertorial sponsored paidpartnership paidpromotion anzeige werbung reclame
publicité publicite sponsorisé sponsorise partenariatrémunéré publicidad publi patrocinado anuncio
publicidade pubblicità pubblicita adv advertentie betaaldesamenwerking
gesponsert gesponsord bezahltepartnerschaft collaborationcommerciale collaborationrémunérée
collaborazioneretribuita partnershippubblicitaria contenidopatrocinado colaboraciónpagada
colaboracionpagada parceriapaga conteudopatrocinado patrocinio iklan реклама إعلان pr
広告 광고 广告 廣告
"""
DISCLOSING = frozenset(_TAGS.split())
DEFAULT_HASHTAG = "ad"


def hashtags(text: str) -> tuple[str, ...]:
    """The hashtags of a text in order, without `#`."""
    return tuple(re.findall(r"#(\w+)", text))


def disclosing(text: str) -> tuple[str, ...]:
    """The hashtags of a text that tell viewers of paid content."""
    return tuple(tag for tag in hashtags(text) if tag.casefold() in DISCLOSING)


# At the start of a caption, before a sign that ends them; and phrases that say so anywhere.
_FIRST_WORDS = re.compile(
    r"^\W*(?:ad|advertisement|advert|sponsored|werbung|anzeige|publicit[eé]|sponsoris[eé]|"
    r"publicidad|patrocinado|pubblicit[aà]|adv|reclame|advertentie|gesponsord|publicidade|"
    r"patroc[ií]nio)\s*(?:[:|\-–—.\])\n]|$)",
    re.IGNORECASE,
)
_PHRASES = re.compile(
    r"\b(?:paid (?:partnership|promotion|advertisement)|sponsored by|"
    r"bezahlte[rn]? (?:partnerschaft|werbung|anzeige)|gesponsert von|"
    r"partenariat r[eé]mun[eé]r[eé]|collaboration (?:commerciale|"
    r"r[eé]mun[eé]r[eé]e)|sponsoris[eé] par|colaboraci[oó]n pagada|contenido patrocinado|"
    r"patrocinado por|collaborazione (?:retribuita|a pagamento)|sponsorizzato da|"
    r"betaalde (?:samenwerking|promotie)|gesponsord door|parceria paga|conte[uú]do patrocinado)\b",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    r"\b(?:not|no|nicht|keine?|pas|non|sin|geen|niet|n[aã]o|sem)\s+(?:\w+\s+)?$", re.I
)


def disclosed_in_words(text: str) -> bool:
    """Whether a text says so at its start, or in a phrase that is not denied: "Anzeige: …"."""
    if _FIRST_WORDS.search(text):
        return True
    return any(not _BEFORE.search(text[: match.start()]) for match in _PHRASES.finditer(text))
