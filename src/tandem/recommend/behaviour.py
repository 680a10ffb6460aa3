"""What people did, out of events: sessions of what was looked at, and baskets.

One row for each event: `session_id`, `item_id`; `timestamp` (ISO 8601 text, a time, or a number)
or `position` for the order; `action`: `purchase` for what was bought, `view`, `click` or
`add_to_cart` for what was looked at (without the column, all was looked at), anything else is left
out; `order_id` where a session has several purchases. Stored events name the same columns
`session`, `object_id`, `action_name` and `order`. Session ids are used to group and then dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.recommend.baskets import GUEST, Baskets
from tandem.recommend.sessions import Ints, Sessions

PURCHASE = "purchase"
LOOKED = ("view", "click", "add_to_cart")
STORED = {
    "session": "session_id",
    "object_id": "item_id",
    "action_name": "action",
    "order": "order_id",
}
REMEDY = "write rows with session_id, item_id, timestamp and, for what was bought, action=purchase"


@dataclass(frozen=True)
class Behaviour:
    """Sessions and baskets over the codes of `ids`. unknown: rows about items that are not in the
    catalogue, left out."""

    ids: tuple[str, ...]
    sessions: Sessions
    baskets: Baskets
    unknown: int
    simulated: bool = False


def read_behaviour(path: Path, catalogue: Sequence[str]) -> Behaviour:
    """Read a Parquet or JSONL file. Raises InvalidInput or NotFound."""
    return behaviour_of(_table(path), catalogue, str(path))


def behaviour_of(table: Any, catalogue: Sequence[str], source: str = "events") -> Behaviour:
    """The behaviour in an Arrow table. `source` is what an error names. Raises InvalidInput."""
    import pyarrow as pa
    import pyarrow.compute as pc

    made_up = (table.schema.metadata or {}).get(b"simulated") == b"true"  # renaming drops it
    names = [STORED.get(n, n) if STORED.get(n) not in table.column_names else n
             for n in table.column_names]  # fmt: skip
    table = table.rename_columns(names)
    if "simulated" in names:  # lines have no metadata
        said = pc.cast(table.column("simulated"), pa.string())
        made_up = made_up or bool(pc.any(pc.equal(said, "true")).as_py())
    for name in ("session_id", "item_id"):
        if name not in table.column_names:
            raise InvalidInput(f"no column {name}", file=source, field=name, remedy=REMEDY)
    if "action" in table.column_names:
        acted = pc.cast(table.column("action"), pa.string())
        table = table.filter(pc.is_in(acted, pa.array((*LOOKED, PURCHASE))))
        bought = np.asarray(pc.equal(pc.cast(table.column("action"), pa.string()), PURCHASE))
    else:
        bought = np.zeros(len(table), bool)
    session, item = (_texts(table, name, source) for name in ("session_id", "item_id"))
    basket = session
    if "order_id" in table.column_names:
        order_id = pc.cast(table.column("order_id"), pa.string())
        basket = np.asarray(
            pc.coalesce(order_id, pa.array(session, pa.string())).to_pylist(), object
        )
    order = _order(table, session, source)

    codes = {id_: code for code, id_ in enumerate(catalogue)}
    code = np.array([codes.get(i, -1) for i in item.tolist()], np.int64)
    known, size = code >= 0, len(catalogue)
    looked, bought = known & ~bought, known & bought
    owner, _ = _by_first(session[looked], order[looked])
    rows = np.lexsort((order[looked], owner))
    sessions = _laid(owner[rows], code[looked][rows], size)
    owner, day = _by_first(basket[bought], order[bought])
    lines = np.unique(owner * size + code[bought])  # every item once
    sets = _laid(lines // max(size, 1), lines % max(size, 1), size)
    baskets = Baskets(sets, np.full(len(sets), GUEST), day, 0)
    return Behaviour(tuple(catalogue), sessions, baskets, int((~known).sum()), made_up)


def _by_first(group: NDArray[Any], order: NDArray[np.float64]) -> tuple[Ints, NDArray[np.float64]]:
    """(rows,) groups numbered by when each begins, and those beginnings."""
    _, number = np.unique(group.astype(str), return_inverse=True)
    begin = np.full(int(number.max(initial=-1)) + 1, np.inf)
    np.minimum.at(begin, number, order)
    rank = np.empty(begin.size, np.int64)
    rank[np.argsort(begin, kind="stable")] = np.arange(begin.size)
    return rank[number], np.sort(begin)


def _texts(table: Any, name: str, source: str) -> NDArray[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table.column(name)
    if column.null_count:
        row = int(np.flatnonzero(np.asarray(column.is_null()))[0]) + 1
        raise InvalidInput(f"no {name}", file=source, line=row, field=name, remedy=REMEDY)
    if pa.types.is_nested(column.type):
        raise InvalidInput("not a text or number", file=source, field=name, remedy=REMEDY)
    return np.asarray(pc.cast(column, pa.string()).to_pylist(), object)


def _laid(group: Ints, code: Ints, size: int) -> Sessions:
    begins = np.flatnonzero(np.diff(group, prepend=-1))
    return Sessions(np.append(begins, group.size).astype(np.int64), code, size)


def _table(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.json as pj
    import pyarrow.parquet as pq

    if not path.is_file():
        raise NotFound(f"{path}: no such file", remedy="check the path of the file")
    try:
        if path.suffix in (".jsonl", ".ndjson", ".json"):
            return pj.read_json(path)
        return pq.read_table(path, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(
            f"cannot be read: {str(error).splitlines()[0]}", file=str(path), remedy=REMEDY
        ) from None


def _order(table: Any, session: NDArray[Any], source: str) -> NDArray[np.float64]:
    """(rows,) what to sort by: the time; else sessions as they come, and position within."""
    import pyarrow as pa
    import pyarrow.compute as pc

    name = next((n for n in ("timestamp", "position") if n in table.column_names), None)
    if name is None:
        return np.arange(len(table), dtype=np.float64)
    column = table.column(name)
    try:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column = pc.cast(column, pa.timestamp("us", "UTC"))
        if pa.types.is_timestamp(column.type):
            column = pc.cast(pc.cast(column, pa.timestamp("us", column.type.tz)), pa.int64())
        values = np.asarray(pc.cast(column, pa.float64(), safe=False).to_pylist(), np.float64)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise InvalidInput(
            f"not a {name}: {str(error).splitlines()[0]}", file=source, field=name, remedy=REMEDY
        ) from None
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0]) + 1
        raise InvalidInput(f"no {name}", file=source, line=row, field=name, remedy=REMEDY)
    if name == "timestamp" or not values.size:
        return values
    _, first, group = np.unique(session.astype(str), return_index=True, return_inverse=True)
    spread = np.ptp(values) + 1
    return np.asarray(first[group] + (values - values.min()) / spread, np.float64)
