"""Judgment lists on disk: one Parquet file a list, under the workspace's `judgments/`.

Lists that a program made lie in `judgments/machine/`, so that none of them can pass for people's.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast, get_args

from tandem.contracts.errors import Conflict, InvalidInput, NotFound
from tandem.contracts.judgment import Judgment, JudgmentList, Provenance, Source
from tandem.storage.atomic import write_atomic
from tandem.storage.layout import Layout

MACHINE = "machine"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def save_judgments(layout: Layout, judgments: JudgmentList, name: str | None = None) -> None:
    """Store a list under `name`, by default its own (small letters, digits, - and _), replacing
    one of that name. Conflict where people's and a program's list would share a name.
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
    people, machine = _paths(layout, name)
    path, other = (people, machine) if judgments.source == "people" else (machine, people)
    if other.exists():
        raise Conflict(
            f"'{name}' is a judgment list of "
            + ("a program's" if judgments.source == "people" else "people's"),
            remedy="choose another name",
        )
    rows = list(judgments)
    about = [
        judgments.provenance.get((j.query, j.product_id), Provenance(judgments.source))
        for j in rows
    ]
    table = pa.table(
        {
            "query": pa.array([j.query for j in rows], pa.string()),
            "product_id": pa.array([j.product_id for j in rows], pa.string()),
            "relevance": pa.array([j.relevance for j in rows], pa.int8()),
            "source": pa.array([p.source for p in about], pa.string()),
            "judge": pa.array([p.judge for p in about], pa.string()),
            "at": pa.array([p.at for p in about], pa.string()),
            "looks": pa.array([p.looks for p in about], pa.float64()),
            "clicks": pa.array([p.clicks for p in about], pa.int64()),
        },
        metadata={"source": judgments.source},
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, sink.getvalue().to_pybytes())


def load_judgments(layout: Layout, name: str = "judgments") -> JudgmentList:
    """The list stored under `name`, queries in the order of its source. Raises NotFound."""
    import pyarrow.parquet as pq

    path = _path(layout, name)
    if path is None:
        raise NotFound(
            f"no judgment list '{name}' in {layout.root}",
            remedy="choose one of: "
            + (
                ", ".join((*judgment_names(layout), *machine_judgment_names(layout)))
                or "none yet; import one: tandem import judgments"
            ),
        )
    table = pq.read_table(path, use_threads=False)
    columns = table.to_pydict()
    verdicts = zip(columns["query"], columns["product_id"], columns["relevance"], strict=True)
    listed = JudgmentList.of((Judgment(*row) for row in verdicts), name)
    if "source" not in columns:  # written before verdicts had a provenance
        return listed
    about = (columns[c] for c in ("source", "judge", "at", "looks", "clicks"))
    known = (Provenance(*values) for values in zip(*about, strict=True))
    pairs = zip(columns["query"], columns["product_id"], strict=True)
    source = (table.schema.metadata or {}).get(b"source", b"people").decode()
    made_by = cast("Source", source if source in get_args(Source) else "people")
    plain = Provenance(made_by)
    return JudgmentList(
        listed.by_query,
        name,
        made_by,
        {pair: p for pair, p in zip(pairs, known, strict=True) if p != plain},
    )


def judgment_names(layout: Layout) -> tuple[str, ...]:
    """The names of all lists that people made, sorted."""
    return _names(layout.judgments)


def machine_judgment_names(layout: Layout) -> tuple[str, ...]:
    """The names of all lists that a program made, sorted."""
    return _names(layout.judgments / MACHINE)


def judgments_stamp(layout: Layout, name: str) -> tuple[int, int, int] | None:
    """What changes when a stored list changes; None when there is no such list."""
    path = _path(layout, name)
    try:
        stat = None if path is None else path.stat()
    except FileNotFoundError:
        return None
    return None if stat is None else (stat.st_ino, stat.st_mtime_ns, stat.st_size)


def _names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(p.stem for p in folder.glob("*.parquet"))) if folder.is_dir() else ()


def _paths(layout: Layout, name: str) -> tuple[Path, Path]:
    """Where a list of people's and where one of a program's lies."""
    file = f"{name}.parquet"
    return layout.judgments / file, layout.judgments / MACHINE / file


def _path(layout: Layout, name: str) -> Path | None:
    if not _NAME.fullmatch(name):
        return None
    return next((p for p in _paths(layout, name) if p.is_file()), None)
