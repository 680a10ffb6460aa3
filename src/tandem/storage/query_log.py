"""The query log on disk: texts with counts, one Parquet file, replaced as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from tandem.contracts.query_log import QueryCount
from tandem.storage.atomic import write_atomic
from tandem.storage.layout import Layout


def save_query_log(layout: Layout, log: Sequence[QueryCount]) -> None:
    """Store a log in place of the one before."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "query": pa.array([entry.query for entry in log], pa.string()),
            "asked": pa.array([entry.asked for entry in log], pa.int64()),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_atomic(layout.query_log, sink.getvalue().to_pybytes())


def load_query_log(layout: Layout) -> list[QueryCount]:
    """The stored log, in its order; empty when there is none."""
    import pyarrow.parquet as pq

    if not layout.query_log.exists():
        return []
    columns = pq.read_table(layout.query_log, use_threads=False).to_pydict()
    return [QueryCount(*row) for row in zip(columns["query"], columns["asked"], strict=True)]
