"""Why a creator and a product are matched, in words, from the features that the score rests on."""

from __future__ import annotations

import numpy as np

from tandem.matching.pairs import FEATURES, Floats

MOST = 4
_AT = {name: i for i, name in enumerate(FEATURES)}
_SIMILAR = 0.6
"""Cosine from which two products are called similar."""
_BETTER = 0.2
"""log of a ratio: a fifth above what is usual."""


def reasons(features: Floats, new: bool, *, audience: str | None = None) -> tuple[str, ...]:
    """For one pair (F,), the weightiest first. audience: the category that followers buy most."""

    def value(name: str) -> float:
        return float(features[_AT[name]])

    found: list[tuple[float, str]] = []
    if value("closest_shown") >= _SIMILAR:
        pieces = max(1, round(float(np.expm1(value("similar_shown")))))
        text = f"Promoted similar products: {pieces} {'piece' if pieces == 1 else 'pieces'}"
        found.append((3.0, text))
        if value("similar_ctor") >= _BETTER:
            found.append((2.5, f"Similar products sold {_more(value('similar_ctor'))} than usual"))
        elif value("similar_ctr") >= _BETTER:
            ratio = _more(value("similar_ctr"))
            found.append((2.2, f"Similar products were clicked {ratio} than usual"))
    if value("viewed_fit") >= _SIMILAR:
        found.append((2.4, "Followers viewed similar products"))
    if value("same_merchant") > 0:
        found.append((2.3, f"Showed this brand before: {value('same_merchant'):.0%} of content"))
    if value("profile_fit") >= 0.45:
        found.append((1.5, "Talks about this topic"))
    if audience is not None and value("audience_fit") >= 0.45:
        found.append((1.4, f"Followers buy {audience}"))
    if value("price_distance") <= 0.5:
        found.append((1.3, "Sells in this price range"))
    if value("post_rate") >= 0.85:
        found.append((1.2, f"Delivers: {value('post_rate'):.0%} of samples led to content"))
    if value("hook_rate") >= 0.5:
        found.append((1.0, f"Holds viewers: {value('hook_rate'):.0%} stay beyond two seconds"))
    words = [text for _, text in sorted(found, key=lambda pair: -pair[0])][:MOST]
    if new:
        words.append("No measured content yet: the estimate rests on the profile")
    return tuple(words) or ("Reach: no sign speaks for or against this product",)


def _more(log_ratio: float) -> str:
    return f"{np.expm1(log_ratio):.0%} more"
