"""What every row must satisfy, one rule a file.

A check gets the draft of a product. It returns a `Problem` that says what is wrong and what to do
about it, or it leaves the field in the type that the contract asks for and returns None. Checks run
in order and the first problem turns the row away.
"""

from __future__ import annotations

from collections.abc import Callable

from tandem.ingest.checks.attributes import check_attributes
from tandem.ingest.checks.control_characters import check_control_characters
from tandem.ingest.checks.counts import check_counts
from tandem.ingest.checks.created import check_created
from tandem.ingest.checks.currency import OneCurrency
from tandem.ingest.checks.duplicates import NoDuplicates
from tandem.ingest.checks.extra import check_extra
from tandem.ingest.checks.identity import check_identity
from tandem.ingest.checks.language import check_language
from tandem.ingest.checks.length import check_length
from tandem.ingest.checks.lists import check_lists
from tandem.ingest.checks.price import Price
from tandem.ingest.checks.rating import check_rating
from tandem.ingest.checks.text import check_text
from tandem.ingest.mapping import ColumnMapping, Draft
from tandem.ingest.problem import Problem

Check = Callable[[Draft], Problem | None]


def checks_for(
    mapping: ColumnMapping, currency: str, duplicates: NoDuplicates
) -> tuple[Check, ...]:
    """The checks of one file, in order. `currency` is the one that prices must be in.

    Duplicates are looked for last, so that a row which is turned away for another reason does not
    claim its id.
    """
    take = mapping.fields.get("price")
    return (
        check_identity,
        check_text,
        check_lists,
        check_attributes,
        check_length,
        check_control_characters,
        OneCurrency(currency),
        Price(minor_units=bool(take and take.minor_units)),
        check_rating,
        check_counts,
        check_created,
        check_language,
        check_extra,
        duplicates,
    )


__all__ = ["Check", "NoDuplicates", "checks_for"]
