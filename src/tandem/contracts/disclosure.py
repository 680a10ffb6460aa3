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
