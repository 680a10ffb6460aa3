"""How long personal data is kept, by category."""

from __future__ import annotations

from collections.abc import Mapping

DEFAULT_DAYS: Mapping[str, int] = {
    # A year and a month: this season can be compared with the last.
    "events": 395,
    # Limitation of claims: three years to the end of the year (BGB §§ 195, 199).
    "consent": 1_461,
    "audit": 1_461,
    # A month after the last visit: what somebody looked for then says little about now.
    "visitors": 30,
}
