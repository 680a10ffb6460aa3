"""Baskets out of the files of shops: one row for each line of a receipt.

Ids of people stay here: what leaves is a number per person that means nothing outside the reading.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.recommend.baskets import GUEST, Baskets
from tandem.recommend.sessions import Ints, Sessions

DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Shop:
    """Baskets, and (items,) the id behind every code."""

    baskets: Baskets
    ids: NDArray[Any]


@dataclass(frozen=True)
class Layout:
    """How a file says it: the columns of basket, item, person, time and quantity; `goods` tells
    from (rows,) item ids which rows are goods, not postage or a correction."""

    file: str
    basket: str
    item: str
    person: str
    time: str
    quantity: str
    goods: Callable[[Any], Any] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return self.basket, self.item, self.person, self.time, self.quantity


def _stock(codes: Any) -> Any:
    import pyarrow.compute as pc

    return pc.match_substring_regex(codes, "^[0-9]{5}")


LAYOUTS = {
    # Goods have a code of five digits and perhaps letters; POST, M, BANK CHARGES … are not goods.
    "retail": Layout(
        "transactions.parquet",
        "invoice",
        "stock_code",
        "customer_id",
        "invoice_date",
        "quantity",
        _stock,
    ),
    "complete_journey": Layout(
        "transactions_sample.parquet",
        "basket_id",
        "product_id",
        "household_id",
        "transaction_timestamp",
        "quantity",
    ),
}


def read_baskets(path: Path, layout: Layout, later: Path | None = None) -> tuple[Shop, float]:
    """Read baskets in order of time; the moment of a basket is that of its first line.

    Rows with a quantity of 0 or less (returns, cancellations) and rows that are no goods are left
    out. A row without a person is a guest's. later: a second file of the same layout, of what was
    bought afterwards. Gives the shop and the day that `later` begins, or infinity without it.
    Raises InvalidInput or NotFound.
    """
    import pyarrow as pa

    tables = [_read(file, layout) for file in (path, later) if file is not None]
    begins = float(_days(tables[1], layout).min()) if later is not None else np.inf
    table = pa.concat_tables(tables, promote_options="permissive")
    _, basket = _coded(table.column(layout.basket))
    ids, item = _coded(table.column(layout.item))
    _, person = _coded(table.column(layout.person))
    return Shop(_gathered(basket, item, person, _days(table, layout), ids.size), ids), begins


def _read(path: Path, layout: Layout) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if not path.is_file():
        raise NotFound(f"{path}: no such file", remedy="check the path of the file")
    try:
        with pq.ParquetFile(path) as file:
            missing = [c for c in layout.columns if c not in file.schema_arrow.names]
            if missing:
                raise InvalidInput(
                    f"no column {missing[0]}",
                    file=str(path),
                    field=missing[0],
                    remedy=f"give the file the columns {', '.join(layout.columns)}",
                )
            table = file.read(list(layout.columns), use_threads=False)
        for name in layout.columns:
            if name != layout.person and table.column(name).null_count:
                raise InvalidInput(
                    f"{table.column(name).null_count} rows without {name}",
                    file=str(path),
                    field=name,
                    remedy="fill them or take the rows out",
                )
        table = table.filter(pc.greater(table.column(layout.quantity), 0))
        if layout.goods is not None:
            table = table.filter(layout.goods(table.column(layout.item)))
        moment = pc.cast(table.column(layout.time), pa.timestamp("us"))
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(
            f"cannot be read: {str(error).splitlines()[0]}",
            file=str(path),
            remedy="write it as Parquet with a time and a quantity in every row",
        ) from None
    if not len(table):
        raise InvalidInput("no purchases", file=str(path), remedy="check that it is complete")
    return table.set_column(layout.columns.index(layout.time), layout.time, moment)


def _days(table: Any, layout: Layout) -> NDArray[np.float64]:
    moments = table.column(layout.time).to_numpy()
    return np.asarray((moments - np.datetime64(0, "us")) / DAY, np.float64)


def _coded(column: Any) -> tuple[NDArray[Any], Ints]:
    """Distinct values, ascending, and the place of every row's among them; -1 for a missing one."""
    import pyarrow.compute as pc

    encoded = pc.dictionary_encode(column.combine_chunks())
    values = encoded.dictionary.to_numpy(zero_copy_only=False)
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    order = np.argsort(values, kind="stable")
    place = np.empty(values.size + 1, np.int64)
    place[order] = np.arange(values.size)
    place[-1] = GUEST
    return values[order], place[codes]


def _gathered(basket: Ints, item: Ints, person: Ints, day: NDArray[Any], size: int) -> Baskets:
    count = int(basket.max()) + 1
    moment = np.full(count, np.inf)
    np.minimum.at(moment, basket, day)
    owner = np.full(count, GUEST)
    np.maximum.at(owner, basket, person)
    order = np.argsort(moment, kind="stable")
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    lines = np.unique(rank[basket] * size + item)  # every item once, baskets in order of time
    starts = np.searchsorted(lines // size, np.arange(count + 1))
    return Baskets(
        Sessions(starts, lines % size, size),
        owner[order],
        moment[order],
        int(person.max(initial=GUEST)) + 1,
    )
