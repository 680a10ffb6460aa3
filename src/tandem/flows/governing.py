"""What a workspace says about its handling of personal data."""

from __future__ import annotations

from typing import Any

from tandem.contracts.consent import DEFAULT_BASES
from tandem.governance.consent import ConsentLedger
from tandem.governance.data_map import data_map
from tandem.governance.retention import DEFAULT_DAYS, periods
from tandem.storage.layout import Layout


def workspace_data_map(layout: Layout | None) -> dict[str, Any]:
    """The data map with the legal bases of a workspace; None: as a new one has them."""
    if layout is None:
        return data_map(DEFAULT_BASES, DEFAULT_DAYS)
    return data_map(ConsentLedger(layout).bases(), periods(layout), shop=layout.settings().name)
