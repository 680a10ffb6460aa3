"""Collaborations of a workspace: the desk over its file, and orders and refunds from files."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from tandem.collaboration.desk import Desk
from tandem.contracts.collaboration import Apply, AttributedOrder, Invite, Party, Refund
from tandem.contracts.errors import Conflict, Forbidden, InvalidInput, TandemError
from tandem.governance.creators import CreatorConsent
from tandem.governance.pseudonyms import Pseudonyms, open_ring
from tandem.storage.campaigns import CampaignStore
from tandem.storage.catalog import offers_of
from tandem.storage.collaborations import CollaborationStore
from tandem.storage.layout import Layout
from tandem.storage.parties import read_handles

T = TypeVar("T")
OPERATOR = Party(role="platform", id="operator")
BATCH = 1_000  # rows in one transaction
ORDER_COLUMNS = ("collaboration", "order", "line", "product_id", "ordered", "amount", "currency")
REFUND_COLUMNS = ("refund", "order", "line", "amount", "currency")


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was not taken, and why. `line` counts from 1, the header included."""

    line: int
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """`taken` rows are recorded, now or by an earlier import of the same rows."""

    taken: int
    rejected: tuple[Rejected, ...]


class OrderNames:
    """Keyed hashes in place of order and refund numbers, under the key that is never rotated."""

    def __init__(self, layout: Layout) -> None:
        self._pseudonyms = Pseudonyms(open_ring(layout))

    def order_line(self, order: str, line: str) -> str:
        return self._pseudonyms.event_key(f"order line\0{order}\0{line}")

    def refund(self, refund: str) -> str:
        return self._pseudonyms.event_key(f"refund\0{refund}")


def handles_of(layout: Layout, creators: Collection[str]) -> dict[str, str]:
    """Handles by which creators may be called, by id: of those the platform declared, without
    those who withdrew from being shown."""
    known = read_handles(layout, creators)
    consent = CreatorConsent.of(layout) if known else None
    return {id_: name for id_, name in known.items() if consent and not consent.refused(id_)}


@contextlib.contextmanager
def collaboration_desk(workspace: Path) -> Iterator[Desk]:
    """The desk of a workspace; its file is made on first use."""
    layout = Layout.open(workspace)
    store = CollaborationStore(layout.collaborations)
    try:
        yield Desk(store, admit=lambda party, opening: admit(layout, party, opening))
    finally:
        store.close()


def admit(layout: Layout, party: Party, opening: Invite | Apply) -> None:
    """Who may be approached about what: nobody who withdrew from being approached (Directive
    2002/58/EC Art. 13), nobody whom a lot left out of the merchant's own trial as long as it runs,
    and about no product that the catalogue says another merchant sells. What the catalogue does not
    know is left to the parties. Raises Conflict and Forbidden.
    """
    invited = isinstance(opening, Invite)
    merchant = party.id if isinstance(opening, Invite) else opening.merchant_id
    if isinstance(opening, Invite) and CreatorConsent.of(layout).refused(opening.creator_id):
        raise Conflict(
            f"creator '{opening.creator_id}' takes no invitations",
            remedy="ask creators who are proposed to you",
        )
    if isinstance(opening, Invite):
        _check_trials(layout, merchant, opening)
    for product, (seller, _) in offers_of(layout, opening.product_ids).items():
        if seller not in (None, merchant):
            raise Forbidden(
                f"'{product}' is no product of {merchant}",
                remedy="name your own products" if invited else "name products of this merchant",
            )


def _check_trials(layout: Layout, merchant: str, invitation: Invite) -> None:
    today = datetime.now(UTC).date()
    for campaign in CampaignStore(layout).all(merchant):
        runs = campaign.by_lot and campaign.cancelled is None and today <= campaign.asked.ends
        held = {p.creator_id for p in campaign.held_out} if runs else set()
        if invitation.creator_id in held and set(invitation.product_ids) & set(
            campaign.asked.product_ids
        ):
            raise Conflict(
                f"a lot left creator '{invitation.creator_id}' out of your trial "
                f"'{campaign.asked.name}' until {campaign.asked.ends}",
                remedy="wait until it is over, or call the campaign off",
            )


def import_orders(workspace: Path, file: Path) -> Recorded:
    """Attribute the order lines of a CSV file with `ORDER_COLUMNS` and, if wanted, `share`.

    Order numbers become keyed hashes before anything is written. Rows that do not fit are told,
    the others are taken; importing a file again changes nothing.
    """
    names = OrderNames(Layout.open(workspace))

    def order(row: Mapping[str, str]) -> tuple[str, AttributedOrder]:
        value: dict[str, Any] = {
            "order_line": names.order_line(row["order"], row["line"]),
            "product_id": row["product_id"],
            "ordered": row["ordered"],
            "amount": {"amount": row["amount"], "currency": row["currency"]},
        }
        if row.get("share"):
            value["share"] = row["share"]
        return row["collaboration"], AttributedOrder.model_validate(value)

    with collaboration_desk(workspace) as desk:
        return _import(file, ORDER_COLUMNS, order, lambda rows: desk.attribute_each(OPERATOR, rows))


def import_refunds(workspace: Path, file: Path) -> Recorded:
    """Take in the refunds of a CSV file with `REFUND_COLUMNS`, as `import_orders`."""
    names = OrderNames(Layout.open(workspace))

    def refund(row: Mapping[str, str]) -> Refund:
        return Refund.model_validate(
            {
                "refund_id": names.refund(row["refund"]),
                "order_line": names.order_line(row["order"], row["line"]),
                "amount": {"amount": row["amount"], "currency": row["currency"]},
            }
        )

    with collaboration_desk(workspace) as desk:
        return _import(file, REFUND_COLUMNS, refund, lambda rows: desk.refund_each(OPERATOR, rows))


def _import(
    file: Path,
    columns: Sequence[str],
    parse: Callable[[Mapping[str, str]], T],
    record: Callable[[Sequence[T]], Sequence[object]],
) -> Recorded:
    """Read all of the file first: a file that cannot be read changes nothing."""
    parsed: list[tuple[int, T]] = []
    rejected: list[Rejected] = []
    for number, row in csv_rows(file, columns):
        try:
            parsed.append((number, parse(row)))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            rejected.append(Rejected(number, f"field '{field}': {first['msg']}", "correct it"))
    taken = 0
    for start in range(0, len(parsed), BATCH):
        batch = parsed[start : start + BATCH]
        results = record([value for _, value in batch])
        for (number, _), result in zip(batch, results, strict=True):
            if isinstance(result, TandemError):
                rejected.append(Rejected(number, result.message, result.remedy))
            else:
                taken += 1
    return Recorded(taken, tuple(sorted(rejected, key=lambda r: r.line)))


def csv_rows(file: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, row) of a CSV file that has these columns; InvalidInput where it cannot be read."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle, strict=True)
            missing = [c for c in columns if c not in (reader.fieldnames or ())]
            if missing:
                raise InvalidInput(
                    "missing column",
                    file=str(file),
                    line=1,
                    field=missing[0],
                    remedy=f"the file needs the columns {', '.join(columns)}",
                )
            for row in reader:
                if None in row or None in row.values():
                    raise InvalidInput(
                        "not as many cells as columns",
                        file=str(file),
                        line=reader.line_num,
                        remedy="correct the row",
                    )
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(
            f"cannot be read: {error}", file=str(file), remedy="give a CSV file in UTF-8"
        ) from None
