"""Each batch job gives the same rows on DuckDB and on Spark."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import unicodedata
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tandem.contracts.errors import InvalidInput, MissingExtra
from tandem.flows.insights import report_insights
from tandem.insights.engines import DuckDBEngine, SparkEngine, engine_named
from tandem.insights.jobs import CHAIN_PAUSE, JOBS, SESSION_PAUSE
from tandem.insights.symptoms import SYMPTOMS
from tandem.insights.tables import product_table
from tandem.simulate.shoppers import SCHEMA, WAYS, simulated_shopping
from tandem.storage.catalog import CatalogWriter
from tandem.storage.layout import Layout, Settings

home = os.environ.get("JAVA_HOME")
JAVA = shutil.which("java", path=f"{home}/bin" if home else None) is not None
PROPERTIES = {
    "spark.master": "local[1]",
    "spark.sql.shuffle.partitions": "1",
    "spark.driver.memory": "1g",
    # The logs are small: compiling them away would take most of the time.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}
SECOND = 1_000_000
spark = pytest.mark.skipif(not JAVA, reason="Spark needs Java, which is not on the path")


@pytest.fixture(scope="session")
def spark_properties() -> dict[str, str]:
    """Properties of the one Spark session that all tests of a process share."""
    pytest.importorskip("pyspark", reason="pyspark is not installed: requirements/spark.txt")
    return PROPERTIES


@pytest.fixture(scope="module")
def on_spark(spark_properties, tmp_path_factory) -> SparkEngine:
    return SparkEngine(tmp_path_factory.mktemp("spark"), spark_properties)


def odd_events() -> pa.Table:
    """Events that engines are known to read differently: ties, nulls, time zones that cross
    midnight, letters with special lower case, amounts that are no numbers, no session names."""
    number = itertools.count()

    def event(action: str, at: float, **values: Any) -> dict[str, Any]:
        row: dict[str, Any] = dict.fromkeys(SCHEMA.names)
        row |= {
            # Distinct at the end and at the start, not in the order of time.
            "event_key": f"{next(number) * 7919 % 1009:032x}",
            "action_name": action,
            "timestamp": round(at * SECOND),
            "received": round(at * SECOND),
            "client": "k1.c",
            "session": "k1.s",
            "masked": [],
            "object_ids": [],
            "filters": [],
            "traffic": "shopper",
            "clock": "kept",
        }
        return row | values

    pause, chain = SESSION_PAUSE / SECOND, CHAIN_PAUSE / SECOND
    midnight = 1_772_409_600.0  # 2026-03-02 00:00 UTC
    rows = [
        # Sent twice, and at the same time with other contents.
        event("search", 10, query_id="q1", user_query="  RED\t\nlamp\x0b ", object_ids=["a", "b"]),
        event("search", 10, query_id="q1", user_query="blue lamp", object_ids=["b"], total=7),
        event("search", 12, query_id="q1", user_query="late", object_ids=["c"]),
        # Everything at one moment.
        event("click", 20, query_id="q1", object_id="b", position=2),
        event("click", 20, query_id="q1", object_id="a", position=1),
        event("click", 20, query_id="q1", object_id="a", position=None),
        event("view", 20, object_id="a"),
        event("add_to_cart", 25.5, query_id="q1", object_id="a", position=1),
        event("purchase", 31, query_id="q1", object_id="a", amount="12.345678", currency="EUR"),
        event("purchase", 31, query_id="q1", object_id="b", amount="0.1", currency="EUR"),
        event("purchase", 31, query_id="q1", object_id="b", amount="much", currency="EUR"),
        event("purchase", 31, query_id="q1", object_id="b"),
        # Exactly at the pause, and one microsecond behind it.
        event("search", 40 + chain, query_id="q2", user_query="İSTANBUL ΟΔΟΣ", object_ids=[]),
        event("search", 40 + 2 * chain, query_id="q3", user_query="ẞ straße", total=0),
        event("search", 40 + 3 * chain + 1e-6, query_id="q4", user_query="", object_ids=None),
        event("search", 40 + 3 * chain + 1e-6, query_id="q5", user_query="x", object_ids=["a"]),
        # Good abandonment; bought at the very moment of the search does not count.
        event("search", 9_000, query_id="q6", user_query="hat", object_ids=["h", "h", "i"]),
        event("add_to_cart", 9_000, object_id="i"),
        event("add_to_cart", 9_050, object_id="h"),
        # Nobody's session name: cut at the pause, peers together.
        event("view", 0, client="k1.d", session=None, object_id="a"),
        event("view", pause, client="k1.d", session=None, object_id="a"),
        event("view", 2 * pause + 1e-6, client="k1.d", session=None, object_id="a"),
        event("click", 2 * pause + 1e-6, client="k1.d", session=None, object_id="b"),
        event("view", 2 * pause + 1e-6, client="k1.d", session=None, object_id="c"),
        # A name that several clients use, and one that is a client's id.
        event("view", 1, client="k1.b", session="k1.s"),
        event("view", 1, client="k1.a", session="k1.s"),
        event("view", 1, client="k1.d", session="k1.d"),
        # Either side of midnight, before 1970, and long ago.
        event("search", midnight - 1e-6, query_id="m1", user_query="m", language="de"),
        event("search", midnight, query_id="m2", user_query="m", language="de", device="app"),
        event("search", -5, query_id="n1", user_query="n", filters=["brand"], latency_ms=0.1),
        event("search", 50, query_id="bot", user_query="lamp", traffic="bot_rate"),
        event("click", 60, query_id="unknown", object_id="a", position=1),
        event("click", 61, query_id="q5", object_id=None, position=1),
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def every_letter() -> pa.Table:
    """Searches for each letter that has a case, alone and at the end of a word."""
    letters = [chr(c) for c in range(1, 0x1F000) if unicodedata.category(chr(c)) in CASED]
    search = next(r for r in odd_events().to_pylist() if r["action_name"] == "search")
    return pa.Table.from_pylist(
        [
            {**search, "query_id": f"l{n}", "user_query": f"{a} a{a}", "session": f"k1.l{n}"}
            for n, a in enumerate(letters)
        ],
        schema=SCHEMA,
    )


CASED = ("Lu", "Ll", "Lt", "Lm")


def given(log: str) -> duckdb.DuckDBPyConnection:
    """What the jobs read: a log, the catalogue, and how far shoppers look."""
    shop = simulated_shopping(250, seed=11, products=300)
    events = {
        "simulated": lambda: pa.concat_tables([shop.events, odd_events(), every_letter()]),
        "empty": SCHEMA.empty_table,
    }[log]()
    odd = [("a", "Home > lamp", 9.0, 0), ("b", "Home > lamp", None, None), ("h", None, 3.0, 2)]
    products = product_table(list(shop.products)).to_pylist() + [
        {"product": p, "category": c, "price": price, "stock": s} for p, c, price, s in odd
    ]
    db = duckdb.connect()
    db.execute("SET memory_limit='500MB'; SET threads=1")
    for name, table in (
        ("given", events),
        ("products", pa.Table.from_pylist(products, schema=product_table([]).schema)),
        ("looks", pa.table({"position": range(1, 11), "look": [1 / k for k in range(1, 11)]})),
    ):
        db.register("it", table)
        db.execute(f"CREATE TABLE {name} AS FROM it")
    return db


def rows(db: duckdb.DuckDBPyConnection, table: str) -> list[tuple[Any, ...]]:
    return sorted(db.execute(f'SELECT * FROM "{table}"').fetchall(), key=repr)


@spark
@pytest.mark.parametrize("log", ["simulated", "empty"])
def test_every_job_gives_the_same_rows_on_both_engines(log, on_spark, monkeypatch):
    monkeypatch.setattr("tandem.insights.engines.PASSING", ())  # every table is kept
    with given(log) as duck, given(log) as other:
        for jobs in (JOBS, SYMPTOMS):
            DuckDBEngine().run(duck, jobs)
            on_spark.run(other, jobs)
        for job in (*JOBS, *SYMPTOMS):
            ours, theirs = rows(duck, job.__name__), rows(other, job.__name__)
            assert ours == theirs, job.__name__
            # Usual prices are of the catalogue, and with no wait there is a bound for one.
            some = log != "empty" or job.__name__ in ("usual", "waits")
            assert bool(ours) == some, f"{job.__name__} is compared on {len(ours)} rows"


@spark
def test_a_report_is_the_same_whichever_engine_ran_the_jobs(tmp_path, spark_properties):
    """The whole way: settings, what may be read, jobs, failures, drift."""
    layout = Layout.create(tmp_path / "shop", Settings(engine="spark", spark=spark_properties))
    made = simulated_shopping(4_000, seed=2, broken=WAYS, products=1_500)
    with layout.writing(), CatalogWriter(layout, source={"simulated": True}) as writer:
        for product in made.products:
            writer.add(product)
    pq.write_table(made.events, tmp_path / "events.parquet")
    reports = []
    for engine in (None, "duckdb"):
        report = report_insights(layout, [tmp_path / "events.parquet"], engine=engine).to_json()
        del report["made"]
        reports.append(report)
    assert len(reports[0]["findings"]) >= 3
    on_spark, on_duckdb = map(rounded, reports)
    assert on_spark == on_duckdb


def rounded(value: Any) -> Any:
    """Floats to ten digits: sums depend on the order that DuckDB's threads take rows in."""
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return [rounded(v) for v in value] if isinstance(value, list | tuple) else value


def test_an_engine_that_is_none_is_told(tmp_path):
    with pytest.raises(InvalidInput, match="no engine 'hadoop'"):
        engine_named("hadoop")
    for wrong in ('engine = "hadoop"', '[spark]\nspark.master = "local"'):
        (tmp_path / "tandem.toml").write_text(wrong)
        with pytest.raises(InvalidInput, match=r"tandem\.toml"):
            Settings.load(tmp_path / "tandem.toml")


def test_settings_of_an_engine_are_kept(tmp_path):
    settings = Settings(engine="spark", spark={"spark.master": 'local["2"]'})
    assert Layout.create(tmp_path / "shop", settings).settings() == settings


def test_without_java_spark_says_what_to_do(monkeypatch, tmp_path):
    pytest.importorskip("pyspark", reason="pyspark is not installed: requirements/spark.txt")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(InvalidInput, match="Java") as told:
        SparkEngine(tmp_path, {"spark.app.name": "never started"})
    assert "duckdb" in told.value.remedy


def test_without_pyspark_spark_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(MissingExtra) as told:
        SparkEngine(tmp_path, {"spark.app.name": "never started either"})
    assert "tandem-commerce[spark]" in told.value.remedy
