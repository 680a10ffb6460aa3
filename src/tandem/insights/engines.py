"""Where the batch jobs of `tandem.insights.jobs` run: DuckDB, or Spark.

An engine runs jobs over the table `given` of a DuckDB connection and leaves their tables in it,
where analyses read them. DuckDB makes them on the spot. Spark reads the events from Parquet files
and writes each table as Parquet into a folder that it shares with this machine.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import ibis

from tandem.contracts.errors import InvalidInput, MissingExtra
from tandem.contracts.insight import ENGINES
from tandem.insights.jobs import COLUMNS, PASSING, Job, expression, inputs

if TYPE_CHECKING:
    import duckdb
    from pyspark.sql import SparkSession

DEFAULT_MASTER = "local[*]"

# 60 bits of MD5, as a whole number: `tandem.insights.jobs` says what for.
_DUCKDB_NUMBER = """CREATE OR REPLACE TEMP MACRO tandem_number(it) AS
    CAST('0x' || left(md5(it), 15) AS BIGINT)"""
_SPARK_NUMBER = """CREATE OR REPLACE TEMPORARY FUNCTION tandem_number(it STRING) RETURNS BIGINT
    RETURN CAST(conv(left(md5(it), 15), 16, 10) AS BIGINT)"""
_DUCKDB_TYPES = {
    "string": "VARCHAR",
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "boolean": "BOOLEAN",
    "array<string>": "VARCHAR[]",
}
_SPARK_TYPES = {
    "string": "STRING",
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "boolean": "BOOLEAN",
    "array<string>": "ARRAY<STRING>",
}
# What a job means must not depend on how a cluster is set up.
_SEMANTICS = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.legacy.sizeOfNull": "false",
    "spark.sql.session.timeZone": "UTC",
}


class Engine(Protocol):
    """Runs jobs. The table or view `given` of `db` holds the events, with the columns `STORED`."""

    def run(self, db: duckdb.DuckDBPyConnection, jobs: Sequence[Job]) -> None:
        """Make the tables of jobs in `db`; they come in an order in which each finds what it
        reads."""
        ...


class DuckDBEngine:
    """In the connection itself, within its limits of memory and threads."""

    def run(self, db: duckdb.DuckDBPyConnection, jobs: Sequence[Job]) -> None:
        db.execute(_DUCKDB_NUMBER)
        for number, job in enumerate(jobs):
            db.execute(f'CREATE OR REPLACE TABLE "{job.__name__}" AS {_query(job, "duckdb")}')
            later = {name for other in jobs[number + 1 :] for name in inputs(other)}
            for name in inputs(job):
                if name in PASSING and name not in later:
                    db.execute(f'DROP TABLE "{name}"')


class SparkEngine:
    """On Spark: in this process's machine by default, or on the cluster that `spark.master` names.

    folder: where files go between the two; for a cluster one that all its machines see.
    properties: Spark's own, by name.
    Raises MissingExtra without pyspark, InvalidInput where Java is missing or Spark does not start.
    """

    def __init__(self, folder: Path, properties: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._made: set[str] = set()
        # A session of its own on the shared context: views of two runs do not meet.
        self._session = spark_session(tuple(sorted((properties or {}).items()))).newSession()
        for name, value in _SEMANTICS.items():
            self._session.conf.set(name, value)

    def run(self, db: duckdb.DuckDBPyConnection, jobs: Sequence[Job]) -> None:
        spark = self._session
        spark.sql(_SPARK_NUMBER)
        self._made |= {job.__name__ for job in jobs}
        for name in sorted({name for job in jobs for name in inputs(job)} - self._made):
            columns = ", ".join(f'"{column}"' for column in COLUMNS[name])
            folder = self._emptied(name)
            db.execute(
                f'COPY (SELECT {columns} FROM "{name}") TO {_quoted(str(folder))} '
                "(FORMAT parquet, COMPRESSION zstd, FILE_SIZE_BYTES '128MB', OVERWRITE)"
            )
            spark.read.parquet(str(folder)).createOrReplaceTempView(name)
        for job in jobs:
            name, folder = job.__name__, self._emptied(job.__name__)
            spark.sql(_query(job, "pyspark")).write.mode("overwrite").parquet(str(folder))
            spark.read.schema(_spark_schema(name)).parquet(str(folder)).createOrReplaceTempView(
                name
            )
        for job in jobs:
            if job.__name__ not in PASSING:
                self._fetch(db, job.__name__)

    def _emptied(self, name: str) -> Path:
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        return folder

    def _fetch(self, db: duckdb.DuckDBPyConnection, name: str) -> None:
        """Take a table that Spark has made into DuckDB."""
        columns = COLUMNS[name].items()
        stated = ", ".join(f'"{column}" {_DUCKDB_TYPES[str(kind)]}' for column, kind in columns)
        db.execute(f'CREATE OR REPLACE TABLE "{name}" ({stated})')
        if any((self._folder / name).glob("*.parquet")):
            files = _quoted(str(self._folder / name / "*.parquet"))
            db.execute(f'INSERT INTO "{name}" BY NAME SELECT * FROM read_parquet({files})')


def engine_named(
    name: str, folder: Path | None = None, properties: Mapping[str, str] | None = None
) -> Engine:
    """The engine of a name out of `ENGINES`, InvalidInput for any other. folder, properties: as
    `SparkEngine` takes them; DuckDB needs neither."""
    if name == "duckdb":
        return DuckDBEngine()
    if name != "spark":
        raise InvalidInput(
            f"there is no engine '{name}'", field="engine", remedy=f"use: {', '.join(ENGINES)}"
        )
    if folder is None:
        raise ValueError("Spark needs a folder for its files")
    return SparkEngine(folder, properties)


@cache
def spark_session(properties: tuple[tuple[str, str], ...] = ()) -> SparkSession:
    """The session of this process, silent. On this machine alone it listens on 127.0.0.1 only, and
    has no page of its own. What Java says goes to a file that is removed at the end."""
    try:
        with _quiet():
            from pyspark.sql import SparkSession

            _ = ibis.pyspark  # makes the options that its dialect reads
    except ImportError:
        raise MissingExtra(
            "Spark needs the library pyspark", remedy="pip install 'tandem-commerce[spark]'"
        ) from None
    if not _java():
        raise InvalidInput(
            "Spark needs Java 17 or later, and there is none",
            field="engine",
            remedy="install a Java runtime or set JAVA_HOME; or use the engine duckdb",
        )
    folder = Path(tempfile.mkdtemp(prefix="tandem-spark-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    settings = {
        "spark.master": DEFAULT_MASTER,
        "spark.app.name": "tandem",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        **dict(properties),
        **_SEMANTICS,
    }
    if settings["spark.master"].startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        settings.setdefault("spark.driver.bindAddress", "127.0.0.1")
        settings.setdefault("spark.driver.host", "127.0.0.1")
    builder = SparkSession.builder
    for name, value in settings.items():
        builder = builder.config(name, value)
    said = folder / "said.log"
    try:
        with _quiet(), _errors_into(said):
            session = builder.getOrCreate()
            session.sparkContext.setLogLevel("OFF")
    except Exception as error:
        tail = said.read_text(errors="replace").strip().splitlines()[-1:] or [str(error)]
        raise InvalidInput(
            f"Spark does not start: {tail[0][:300]}",
            field="engine",
            remedy="check spark.master and Java; or use the engine duckdb",
        ) from None
    return session


def _java() -> bool:
    home = os.environ.get("JAVA_HOME")
    return bool(shutil.which("java", path=f"{home}/bin" if home else None))


@contextmanager
def _quiet() -> Iterator[None]:
    """pyspark warns of pandas' version, and none of its ways through pandas is taken here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


@contextmanager
def _errors_into(file: Path) -> Iterator[None]:
    """Child processes that start meanwhile write their errors into a file, for good: Java warns of
    things that nobody here can change, before any setting of its log counts."""
    kept = os.dup(2)
    try:
        with file.open("wb") as handle:
            os.dup2(handle.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _query(job: Job, dialect: Literal["duckdb", "pyspark"]) -> str:
    """A job in SQL, each column of the type that it states: sums of int64 are wider in DuckDB."""
    types = _DUCKDB_TYPES if dialect == "duckdb" else _SPARK_TYPES
    sign = '"' if dialect == "duckdb" else "`"
    columns = ", ".join(
        f"CAST({sign}{column}{sign} AS {types[str(kind)]}) AS {sign}{column}{sign}"
        for column, kind in COLUMNS[job.__name__].items()
    )
    return f"SELECT {columns} FROM ({ibis.to_sql(expression(job), dialect=dialect, pretty=False)})"


def _spark_schema(name: str) -> str:
    return ", ".join(f"`{c}` {_SPARK_TYPES[str(kind)]}" for c, kind in COLUMNS[name].items())


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
