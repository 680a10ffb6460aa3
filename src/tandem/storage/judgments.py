"""Judgment lists on disk: one Parquet file a list, under the workspace's `judgments/`."""

from __future__ import annotations

import re

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.judgment import Judgment, JudgmentList
from tandem.storage.atomic import write_atomic
from tandem.storage.layout import Layout

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def save_judgments(layout: Layout, judgments: JudgmentList, name: str | None = None) -> None:
    """Store a list under `name`, by default its own (small letters, digits, - and _), replacing
    one of that name.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = judgments.name if name is None else name
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"'{name}' cannot name a judgment list",
            field="name",
            remedy="use small letters, digits, - and _ (64 at most)",
        )
    rows = list(judgments)
    table = pa.table(
        {
            "query": pa.array([j.query for j in rows], pa.string()),
            "product_id": pa.array([j.product_id for j in rows], pa.string()),
            "relevance": pa.array([j.relevance for j in rows], pa.int8()),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_atomic(layout.judgments / f"{name}.parquet", sink.getvalue().to_pybytes())


def load_judgments(layout: Layout, name: str = "judgments") -> JudgmentList:
    """The list stored under `name`, queries in the order of its source. Raises NotFound."""
    import pyarrow.parquet as pq

    path = layout.judgments / f"{name}.parquet"
    if not _NAME.fullmatch(name) or not path.is_file():
        raise NotFound(
            f"no judgment list '{name}' in {layout.root}",
            remedy="choose one of: "
            + (
                ", ".join(judgment_names(layout)) or "none yet; import one: tandem import judgments"
            ),
        )
    columns = pq.read_table(path, use_threads=False).to_pydict()
    rows = zip(columns["query"], columns["product_id"], columns["relevance"], strict=True)
    return JudgmentList.of((Judgment(*row) for row in rows), name)


def judgment_names(layout: Layout) -> tuple[str, ...]:
    """The names of all stored lists, sorted."""
    if not layout.judgments.is_dir():
        return ()
    return tuple(sorted(p.stem for p in layout.judgments.glob("*.parquet")))


def judgments_stamp(layout: Layout, name: str) -> tuple[int, int, int] | None:
    """What changes when a stored list changes; None when there is no such list."""
    try:
        stat = (layout.judgments / f"{name}.parquet").stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
