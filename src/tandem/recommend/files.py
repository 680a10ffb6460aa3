"""Click sessions out of files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.recommend.sessions import Ints, Pairs, Sessions

CLICKS = "train_clicks.parquet"


@dataclass(frozen=True)
class Clicks:
    """Sessions over item codes. ids: (items,) the id behind every code, ascending."""

    sessions: Sessions
    ids: Ints

    def codes(self, ids: NDArray[Any]) -> Ints:
        """(len(ids),) codes; -1 for items that were never clicked."""
        at = np.minimum(np.searchsorted(self.ids, ids), self.ids.size - 1)
        return np.where(self.ids[at] == ids, at, -1)


def read_clicks(path: Path) -> Clicks:
    """Read clicks: columns session_id, position, item_id (whole numbers). Session ids ascend with
    time; positions give the order within a session. Raises InvalidInput or NotFound."""
    table = _read(path, ("session_id", "position", "item_id"))
    columns = [_whole(table, name, path) for name in ("session_id", "position", "item_id")]
    session, position, item = columns
    if session.size == 0:
        raise InvalidInput("no clicks", file=str(path), remedy="check that the file is complete")
    order = np.lexsort((position, session))
    session, item = session[order], item[order]
    ids, codes = np.unique(item, return_inverse=True)
    begins = np.flatnonzero(np.diff(session, prepend=session[0] - 1))
    starts = np.append(begins, session.size)
    return Clicks(Sessions(starts, codes.astype(np.int64), ids.size), ids)


def read_pairs(path: Path, clicks: Clicks) -> Pairs:
    """Read what came next: columns prefix (list of item ids) and target (item id).

    Items that were never clicked before are taken out of the beginnings; as a target they cannot
    be hit and get the code -1. Raises InvalidInput or NotFound.
    """
    table = _read(path, ("prefix", "target"))
    targets = clicks.codes(_whole(table, "target", path))
    prefixes = []
    for line, prefix in enumerate(table.column("prefix").to_pylist(), start=1):
        whole = isinstance(prefix, list) and all(
            isinstance(i, int) and not isinstance(i, bool) for i in prefix
        )
        if not whole or not prefix:
            raise InvalidInput(
                "not a list of item ids" if not whole else "an empty beginning",
                file=str(path),
                line=line,
                field="prefix",
                remedy="give every row a list with at least one whole number",
            )
        codes = clicks.codes(np.array(prefix, np.int64))
        prefixes.append(codes[codes >= 0])
    return Pairs(Sessions.of(prefixes, clicks.sessions.size), targets)


def _read(path: Path, columns: tuple[str, ...]) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise NotFound(f"{path}: no such file", remedy="check the path of the file")
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            for name in columns:
                if name not in names:
                    raise InvalidInput(
                        f"no column {name}; the file has {', '.join(names[:20])}",
                        file=str(path),
                        field=name,
                        remedy=f"give the file the columns {', '.join(columns)}",
                    )
            return file.read(list(columns), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(
            f"not a Parquet file: {str(error).splitlines()[0]}",
            file=str(path),
            remedy="write it as Parquet, or check that it is complete",
        ) from None


def _whole(table: Any, name: str, path: Path) -> Ints:
    import pyarrow as pa

    column = table.column(name)
    if not pa.types.is_integer(column.type) or column.null_count:
        raise InvalidInput(
            f"{column.type} with {column.null_count} missing, not whole numbers",
            file=str(path),
            field=name,
            remedy="write item and session ids as whole numbers, none missing",
        )
    return np.asarray(column.to_numpy(), np.int64)
