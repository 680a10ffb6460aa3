"""What a data set tells about its goods beside who bought them: text, and who makes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput
from tandem.recommend.sessions import Ints

UNKNOWN = -1


@dataclass(frozen=True)
class GoodsLayout:
    """How a file says it: the columns of the item, of its text (in the order it is read) and of its
    maker, where there is one."""

    file: str
    item: str
    texts: tuple[str, ...]
    maker: str | None = None


GOODS = {
    "retail": GoodsLayout("transactions.parquet", "stock_code", ("description",)),
    "complete_journey": GoodsLayout(
        "products.parquet",
        "product_id",
        ("product_type", "product_category", "department", "brand"),
        "manufacturer_id",
    ),
}


@dataclass(frozen=True)
class Goods:
    """texts: of every item, empty where there is none. maker: (items,) who makes it, a number from
    0 on, or `UNKNOWN`."""

    texts: tuple[str, ...]
    maker: Ints


def read_goods(paths: list[Path], layout: GoodsLayout, ids: NDArray[Any]) -> Goods:
    """Read what files tell about the items behind `ids`. Where they say different things of an item
    (a text may stand in every line of a receipt), the one said most often counts, ties by
    alphabet; a column that is not there tells nothing. Raises InvalidInput."""
    import pyarrow as pa

    tables = [_read(path, layout) for path in paths]
    table = pa.concat_tables(tables, promote_options="permissive")
    place = {_key(id_): code for code, id_ in enumerate(ids.tolist())}
    told = (layout.texts, (layout.maker,) if layout.maker else ())
    texts, makers = (_most(table, layout.item, columns, place) for columns in told)
    numbers = {name: n for n, name in enumerate(sorted(set(makers.values())))}
    maker = np.full(ids.size, UNKNOWN, np.int64)
    for code, name in makers.items():
        maker[code] = numbers[name]
    return Goods(tuple(texts.get(code, "") for code in range(ids.size)), maker)


def _read(path: Path, layout: GoodsLayout) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = [layout.item, *layout.texts, *([layout.maker] if layout.maker else [])]
    try:
        with pq.ParquetFile(path) as file:
            there = file.schema_arrow.names
            if layout.item not in there:
                raise InvalidInput(
                    f"no column {layout.item}",
                    file=str(path),
                    field=layout.item,
                    remedy="give the file a column that names the item",
                )
            return file.read([name for name in wanted if name in there], use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(
            f"cannot be read: {str(error).splitlines()[0]}",
            file=str(path),
            remedy="write it as Parquet, or check that it is complete",
        ) from None


def _most(table: Any, item: str, columns: tuple[str, ...], place: dict[str, int]) -> dict[int, str]:
    """By item code, what is said of it most often; of several columns, joined."""
    columns = tuple(name for name in columns if name in table.column_names)
    if not columns:
        return {}
    counted = table.group_by([item, *columns]).aggregate([([], "count_all")]).to_pylist()
    best: dict[int, tuple[int, str]] = {}
    for row in counted:
        code = place.get(_key(row[item]))
        said = ". ".join(str(row[name]).strip() for name in columns if row[name] is not None)
        if code is None or not said:
            continue
        found = (-int(row["count_all"]), said)
        best[code] = min(best.get(code, found), found)
    return {code: said for code, (_, said) in best.items()}


def _key(id_: Any) -> str:
    """An id as text; whole numbers in a column of another number type are the same."""
    return str(int(id_)) if isinstance(id_, float) and id_.is_integer() else str(id_)
