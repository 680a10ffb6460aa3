"""What collaborations did: credit for conversions and lift of sales, from files."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta
from math import isfinite
from pathlib import Path

from tandem.collaboration.credit import Credit, Journey, credit
from tandem.collaboration.lift import Lift, NoLift, lift
from tandem.contracts.errors import InvalidInput
from tandem.flows.collaborate import csv_rows

JOURNEY_COLUMNS = ("journey", "collaboration", "at", "converted")
SALES_COLUMNS = ("day", "product_id", "sales")


def credit_file(file: Path, models: tuple[str, ...]) -> list[Credit]:
    """Credit by each model for the journeys of a CSV file with `JOURNEY_COLUMNS`."""
    journeys = read_journeys(file)
    return [credit(journeys, model) for model in models]


def read_journeys(file: Path) -> list[Journey]:
    """Journeys with their touches in order of time, at equal times in that of the names, so that
    the order of rows says nothing. A column `ordered`, where there is one, has the time of the
    order, in every row of a journey that ended in one: later touches had no part in it."""
    touches: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    answers: dict[str, tuple[str, str]] = {}
    for line, row in csv_rows(file, JOURNEY_COLUMNS):
        name, answer = row["journey"], (row["converted"], row.get("ordered") or "")
        if answer[0] not in ("0", "1") or answers.setdefault(name, answer)[0] != answer[0]:
            raise InvalidInput(
                f"'{answer[0]}' is not 0 or 1, or differs within the journey",
                file=str(file),
                line=line,
                field="converted",
                remedy="write 1 in every row of a journey that ended in an order, else 0",
            )
        if answers[name] != answer or (answer[1] and answer[0] == "0"):
            raise InvalidInput(
                f"'{answer[1]}' differs within the journey, or is of a journey without an order",
                file=str(file),
                line=line,
                field="ordered",
                remedy="write the time of the order in every row of a journey that ended in one",
            )
        until = _moment(file, line, answer[1], "ordered") if answer[1] else None
        if row["collaboration"]:
            at = _moment(file, line, row["at"])
            if until is None or at <= until:
                touches[name].append((at, row["collaboration"]))
    return [
        Journey(tuple(c for _, c in sorted(touches.get(name, ()))), converted == "1")
        for name, (converted, _) in answers.items()
    ]


def lift_file(
    file: Path, product: str, live: str, leave_out: tuple[str, ...], confidence: float
) -> Lift | NoLift:
    """The lift of `product` since the day `live`, from a CSV file with `SALES_COLUMNS`."""
    import numpy as np

    first = _day(file, None, live)
    sales: dict[str, dict[date, float]] = defaultdict(dict)
    for line, row in csv_rows(file, SALES_COLUMNS):
        day = _day(file, line, row["day"])
        try:
            number = float(row["sales"])
        except ValueError:
            number = float("nan")
        if not isfinite(number) or number < 0 or day in sales[row["product_id"]]:
            raise InvalidInput(
                f"'{row['sales']}' is no number of 0 or more, or this day is there twice",
                file=str(file),
                line=line,
                field="sales",
                remedy="give one row for each day and product",
            )
        sales[row["product_id"]][day] = number
    if product not in sales:
        raise InvalidInput(
            f"no sales of '{product}'",
            file=str(file),
            field="product_id",
            remedy="check the id of the product",
        )
    start, end = min(sales[product]), max(sales[product])
    days = [start + timedelta(days=n) for n in range((end - start).days + 1)]
    controls = sorted(p for p in sales if p != product and p not in leave_out)
    for name in (product, *controls):
        gap = next((d for d in days if d not in sales[name]), None)
        if gap is not None:
            raise InvalidInput(
                f"no row for '{name}' on {gap}",
                file=str(file),
                field="day",
                remedy="give every day a row (0 if nothing was sold), or leave the product out",
            )
    if not start < first <= end:
        raise InvalidInput(
            f"{first} is not within {start} to {end}", field="live", remedy="name a day within"
        )
    table = np.array([[sales[name][d] for name in (product, *controls)] for d in days])
    return lift(table[:, 0], table[:, 1:], days.index(first), confidence)


def _moment(file: Path, line: int, text: str, field: str = "at") -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise InvalidInput(
            f"'{text}' is no time with an offset",
            file=str(file),
            line=line,
            field=field,
            remedy="write it as 2026-03-01T12:00:00Z",
        )
    return moment


def _day(file: Path, line: int | None, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f"'{text}' is no day",
            file=None if line is None else str(file),
            line=line,
            field="live" if line is None else "day",
            remedy="write it as 2026-03-01",
        ) from None
