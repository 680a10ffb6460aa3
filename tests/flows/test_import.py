"""Importing a catalogue: what is turned away, what fails, and what is left as it was."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tandem.contracts.errors import Conflict, InvalidInput
from tandem.contracts.product import Product
from tandem.flows.import_ import (
    ImportReport,
    create_workspace,
    import_catalog,
    import_judgments,
    import_simulated,
)
from tandem.ingest.datasets import find
from tandem.storage.catalog import manifest, read_products
from tandem.storage.judgments import judgment_names, load_judgments
from tandem.storage.layout import Layout

GOOD = {"id": "a", "title": "Red shoe", "price": "12.50", "rating": 4.5}
ALSO_GOOD = {"id": "c", "title": "Blue hat"}


@pytest.fixture
def shop(tmp_path: Path) -> Layout:
    """A workspace that has a catalogue of one product already."""
    layout = create_workspace(tmp_path / "shop")
    import_catalog(layout, [jsonl(tmp_path / "first.jsonl", {"id": "old", "title": "Old"})])
    return layout


def jsonl(path: Path, *rows: dict[str, Any] | str) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    return path


def products(layout: Layout) -> list[Product]:
    return [product for batch in read_products(layout) for product in batch]


def contents(layout: Layout) -> dict[str, bytes]:
    """Every file of the workspace but the record of runs, which has the failed ones too."""
    return {
        str(path.relative_to(layout.root)): path.read_bytes()
        for path in sorted(layout.root.rglob("*"))
        if path.is_file() and path != layout.root / "registry" / "lineage.jsonl"
    }


def last_run(layout: Layout) -> str:
    """How the last run ended, as OpenLineage says it."""
    lines = (layout.root / "registry" / "lineage.jsonl").read_text().splitlines()
    return str(json.loads(lines[-1])["eventType"])


def quarantined(report: ImportReport) -> list[dict[str, Any]]:
    assert report.quarantine_file is not None
    return [json.loads(line) for line in report.quarantine_file.read_text().splitlines()]


ROWS: dict[str, tuple[dict[str, Any] | str, str, str | None]] = {
    "missing id": ({"title": "t"}, "missing-id", "id"),
    "blank id": ({"id": "  ", "title": "t"}, "missing-id", "id"),
    "id is a flag": ({"id": True, "title": "t"}, "id-type", "id"),
    "long id": ({"id": "x" * 257, "title": "t"}, "too-long", "id"),
    "missing title": ({"id": "b"}, "missing-title", "title"),
    "null title": ({"id": "b", "title": None}, "missing-title", "title"),
    "NaN title": ('{"id": "b", "title": NaN}', "missing-title", "title"),
    "title is a list": ({"id": "b", "title": ["t"]}, "not-text", "title"),
    "duplicate id": ({"id": "a", "title": "again"}, "duplicate-id", "id"),
    "NaN price": ('{"id": "b", "title": "t", "price": NaN}', "price-not-finite", "price"),
    "NaN price as text": (
        {"id": "b", "title": "t", "price": "nan"},
        "price-not-finite",
        "price",
    ),
    "infinite price": ('{"id": "b", "title": "t", "price": Infinity}', "price-not-finite", "price"),
    "negative price": ({"id": "b", "title": "t", "price": -1}, "price-negative", "price"),
    "price in words": (
        {"id": "b", "title": "t", "price": "12,50 €"},
        "price-not-a-number",
        "price",
    ),
    "price is a flag": ({"id": "b", "title": "t", "price": True}, "price-not-a-number", "price"),
    "huge price": ({"id": "b", "title": "t", "price": 10**20}, "price-too-large", "price"),
    "price object without amount": (
        {"id": "b", "title": "t", "price": {"currency": "EUR"}},
        "price-not-a-number",
        "price",
    ),
    "unknown currency": (
        {"id": "b", "title": "t", "price": 1, "currency": "EURO"},
        "currency-unknown",
        "currency",
    ),
    "no currency code": (
        {"id": "b", "title": "t", "price": 1, "currency": "XXX"},
        "currency-unknown",
        "currency",
    ),
    "10 MB title": ({"id": "b", "title": "x" * 10_000_000}, "too-long", "title"),
    "long description": (
        {"id": "b", "title": "t", "description": "x" * 100_001},
        "too-long",
        "description",
    ),
    "control character": ({"id": "b", "title": "a\x00b"}, "control-character", "title"),
    "escape in brand": (
        {"id": "b", "title": "t", "brand": "\x1b[31m"},
        "control-character",
        "brand",
    ),
    "control character in attribute": (
        {"id": "b", "title": "t", "attributes": {"colour": "re\x07d"}},
        "control-character",
        "attributes.colour",
    ),
    "lone surrogate": ('{"id": "b", "title": "\\ud800"}', "control-character", "title"),
    "rating in words": (
        {"id": "b", "title": "t", "rating": "good"},
        "rating-not-a-number",
        "rating",
    ),
    "NaN rating": ('{"id": "b", "title": "t", "rating": NaN}', "rating-not-a-number", "rating"),
    "rating too high": (
        {"id": "b", "title": "t", "rating": 5.1},
        "rating-out-of-range",
        "rating",
    ),
    "negative rating": (
        {"id": "b", "title": "t", "rating": -0.1},
        "rating-out-of-range",
        "rating",
    ),
    "negative stock": ({"id": "b", "title": "t", "stock": -1}, "not-a-count", "stock"),
    "half a rating count": (
        {"id": "b", "title": "t", "rating_count": 1.5},
        "not-a-count",
        "rating_count",
    ),
    "bad date": ({"id": "b", "title": "t", "created": "31.12.2024"}, "date", "created"),
    "impossible date": ({"id": "b", "title": "t", "created": "2024-02-30"}, "date", "created"),
    "date as number": ({"id": "b", "title": "t", "created": 1700000000}, "date", "created"),
    "bad language": ({"id": "b", "title": "t", "language": "English!"}, "language", "language"),
    "NaN attribute": (
        '{"id": "b", "title": "t", "attributes": {"w": NaN}}',
        "attribute-type",
        "attributes.w",
    ),
    "attribute is an object": (
        {"id": "b", "title": "t", "attributes": {"w": {"x": 1}}},
        "attribute-type",
        "attributes.w",
    ),
    "too many attributes": (
        {"id": "b", "title": "t", "attributes": {str(n): n for n in range(1001)}},
        "too-long",
        "attributes",
    ),
    "category of numbers": ({"id": "b", "title": "t", "category": [1.5]}, "not-text", "category"),
    "huge extra column": ({"id": "b", "title": "t", "html": "x" * 200_000}, "too-long", "extra"),
    "unfinished JSON": ('{"id": "b", "title": "t"', "json", None),
    "JSON that is no object": ('"b"', "json", None),
}


@pytest.mark.parametrize(("row", "code", "field"), ROWS.values(), ids=ROWS.keys())
def test_a_bad_row_goes_to_quarantine_and_good_rows_go_on(
    shop: Layout, tmp_path: Path, row: dict[str, Any] | str, code: str, field: str | None
) -> None:
    file = jsonl(tmp_path / "shop.jsonl", GOOD, row, ALSO_GOOD)
    report = import_catalog(shop, [file])
    assert (report.imported, report.quarantined, report.by_reason) == (2, 1, {code: 1})
    assert [p.id for p in products(shop)] == ["a", "c"]
    [entry] = quarantined(report)
    assert (entry["file"], entry["line"], entry["field"]) == (str(file), 2, field)
    assert entry["code"] == code
    assert entry["reason"]
    assert entry["remedy"]
    assert len(entry["row"]) < 2_000


@pytest.mark.parametrize(("row", "code", "field"), ROWS.values(), ids=ROWS.keys())
def test_strict_fails_at_the_bad_row_and_changes_nothing(
    shop: Layout, tmp_path: Path, row: dict[str, Any] | str, code: str, field: str | None
) -> None:
    file = jsonl(tmp_path / "shop.jsonl", GOOD, row, ALSO_GOOD)
    before = contents(shop)
    with pytest.raises(InvalidInput) as caught:
        import_catalog(shop, [file], strict=True)
    assert (caught.value.file, caught.value.line, caught.value.field) == (str(file), 2, field)
    assert caught.value.remedy
    assert contents(shop) == before
    assert last_run(shop) == "FAIL"


def test_json_errors_name_the_column(shop: Layout, tmp_path: Path) -> None:
    file = jsonl(tmp_path / "shop.jsonl", GOOD, '{"id": "b", title: "t"}')
    [entry] = quarantined(import_catalog(shop, [file]))
    assert "column 13" in entry["reason"]


def test_duplicates_name_the_first_place(shop: Layout, tmp_path: Path) -> None:
    one = jsonl(tmp_path / "one.jsonl", GOOD, ALSO_GOOD, GOOD)
    two = jsonl(tmp_path / "two.jsonl", ALSO_GOOD)
    entries = quarantined(import_catalog(shop, [one, two]))
    assert [(e["file"], e["line"]) for e in entries] == [(str(one), 3), (str(two), 1)]
    assert "line 1" in entries[0]["reason"]
    assert f"{one}:2" in entries[1]["reason"]


def test_a_row_turned_away_does_not_claim_its_id(shop: Layout, tmp_path: Path) -> None:
    file = jsonl(tmp_path / "shop.jsonl", {**GOOD, "price": -1}, GOOD)
    report = import_catalog(shop, [file])
    assert (report.imported, report.by_reason) == (1, {"price-negative": 1})


def test_csv_rows_with_wrong_fields_or_quotes(shop: Layout, tmp_path: Path) -> None:
    file = tmp_path / "shop.csv"
    file.write_text(
        'id,title,description\na,A,"two\nlines"\nb,B\nc,"C"x,no\nd,D,fine\ne,E,one,too many\n'
    )
    report = import_catalog(shop, [file])
    assert [p.id for p in products(shop)] == ["a", "d"]
    found = [(e["line"], e["code"]) for e in quarantined(report)]
    assert found == [(4, "csv-fields"), (5, "csv-quoting"), (7, "csv-fields")]


def many(rows: int = 3000) -> bytes:
    return b"".join(
        json.dumps({"id": str(n), "title": f"Title {n * 7919 % 10007}"}).encode() + b"\n"
        for n in range(rows)
    )


def compressed(data: bytes, codec: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": ["a"], "title": ["A"]}), sink)
    return sink.getvalue().to_pybytes()


HEADER = b"id,title,brand\n"
FILES: dict[str, tuple[str, Callable[[], bytes], str, int | None]] = {
    "truncated gzip": ("x.jsonl.gz", lambda: gzip.compress(many())[:-200], "cut off", -1),
    "truncated zstd": ("x.jsonl.zst", lambda: compressed(many(), "zstd")[:-200], "cut off", -1),
    "gzip cut in its header": ("x.jsonl.gz", lambda: gzip.compress(many())[:5], "cut off", 1),
    "damaged gzip": (
        "x.jsonl.gz",
        lambda: (z := gzip.compress(many()))[:-8] + b"\0\0\0\0" + z[-4:],
        "damaged",
        -1,
    ),
    "truncated CSV in gzip": (
        "x.csv.gz",
        lambda: gzip.compress(HEADER + b"".join(b"%d,T%d,B\n" % (n, n) for n in range(9999)))[:-99],
        "cut off",
        -1,
    ),
    "gzip by name only": ("x.jsonl.gz", many, "the name says gzip", None),
    "gzip without the name": ("x.jsonl", lambda: gzip.compress(many()), "content is gzip", None),
    "Latin-1": (
        "x.csv",
        lambda: HEADER + b"a,A,B\n" + "b,Café,B\n".encode("latin-1"),
        "wrong encoding: byte 0xe9 at column 6",
        3,
    ),
    "Latin-1 in JSON": (
        "x.jsonl",
        lambda: b'{"id": "a", "title": "A"}\n{"id": "b", "title": "\xe9"}\n',
        "wrong encoding",
        2,
    ),
    "UTF-16": ("x.csv", lambda: "id,title\na,A\n".encode("utf-16"), "the file is UTF-16", 1),
    "semicolons": ("x.csv", lambda: b"id;title\na;A\n", "wrong delimiter", 1),
    "tabs": ("x.csv", lambda: b"id\ttitle\na\tA\n", "wrong delimiter", 1),
    "commas in TSV": ("x.tsv", lambda: b"id,title\na,A\n", "wrong delimiter", 1),
    "empty": ("x.csv", lambda: b"", "empty", None),
    "empty gzip": ("x.jsonl.gz", lambda: gzip.compress(b""), "no rows", None),
    "blank lines only": ("x.jsonl", lambda: b"\n\n \n", "no rows", None),
    "header only": ("x.csv", lambda: HEADER, "no rows", None),
    "no id column": ("x.csv", lambda: b"sku,title\na,A\n", "no column for the id", 1),
    "no title column": ("x.jsonl", lambda: b'{"id": "a"}\n', "no column for the title", 1),
    "two columns of one name": ("x.csv", lambda: b"id,title,id\na,A,b\n", "two columns", 1),
    "quote never closed": ("x.csv", lambda: b'id,title\na,A\nb,"B\nc,C\n', "never closed", 3),
    "JSON array": ("x.json", lambda: b'[{"id": "a", "title": "A"}]\n', "JSON array", 1),
    "unknown ending": ("x.xlsx", lambda: b"PK", "unknown kind of file", None),
    "truncated Parquet": ("x.parquet", lambda: parquet()[:-20], "Parquet", None),
    "Parquet by name only": ("x.parquet", lambda: b"id,title\na,A\n", "Parquet", None),
    "only bad rows": (
        "x.jsonl",
        lambda: b'{"id": "a", "title": "A", "price": -1}\n{"id": "b", "title": "B"\n',
        "no row could be imported",
        1,
    ),
}


@pytest.mark.parametrize(("name", "make", "message", "line"), FILES.values(), ids=FILES.keys())
def test_a_broken_file_is_one_clear_error_and_changes_nothing(
    shop: Layout, tmp_path: Path, name: str, make: Callable[[], bytes], message: str, line: int
) -> None:
    file = tmp_path / name
    file.write_bytes(make())
    before = contents(shop)
    with pytest.raises(InvalidInput, match=message) as caught:
        import_catalog(shop, [file])
    assert caught.value.file == str(file)
    assert caught.value.remedy
    if line == -1:  # where it is noticed depends on the size of compressed blocks
        assert caught.value.line is not None
        assert 1 <= caught.value.line <= 10_000
    else:
        assert caught.value.line == line
    assert contents(shop) == before


@pytest.mark.parametrize(("name", "make", "message", "line"), FILES.values(), ids=FILES.keys())
def test_a_broken_file_leaves_a_new_workspace_empty(
    tmp_path: Path, name: str, make: Callable[[], bytes], message: str, line: int
) -> None:
    layout = create_workspace(tmp_path / "new")
    (tmp_path / name).write_bytes(make())
    with pytest.raises(InvalidInput):
        import_catalog(layout, [tmp_path / name])
    assert not layout.catalog.root.exists()


def test_one_broken_file_among_good_ones_changes_nothing(shop: Layout, tmp_path: Path) -> None:
    good = jsonl(tmp_path / "good.jsonl", GOOD, {"id": ""}, ALSO_GOOD)
    bad = tmp_path / "bad.jsonl.gz"
    bad.write_bytes(gzip.compress(many())[:-200])
    before = contents(shop)
    with pytest.raises(InvalidInput, match="cut off"):
        import_catalog(shop, [good, bad])
    assert contents(shop) == before


def test_missing_files_and_mappings_are_named(shop: Layout, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such file"):
        import_catalog(shop, [tmp_path / "none.csv"])
    with pytest.raises(InvalidInput, match="no mapping 'amazon'"):
        import_catalog(shop, [jsonl(tmp_path / "x.jsonl", GOOD)], mapping="amazon")
    with pytest.raises(InvalidInput, match="no currency"):
        import_catalog(shop, [jsonl(tmp_path / "x.jsonl", GOOD)], currency="euro")
    with pytest.raises(InvalidInput, match="no file"):
        import_catalog(shop, [])


ROUND = [
    {
        "id": f"p{n}",
        "title": f'Größe "{n}", 日本語',
        "description": "line one\nline two",
        "brand": "Ä & Co",
        "category": "Home > Kitchen",
        "price": f"{n}.50",
        "currency": "EUR",
        "stock": n,
        "rating": 4.25,
        "rating_count": 3,
        "created": "2024-05-31T10:00:00+02:00",
        "language": "de-DE",
        "images": "a.jpg|b.jpg",
        "attributes": '{"wide": true, "watt": 5.0, "size": "XL"}',
        "supplier_note": "keep me",
    }
    for n in range(40)
]


def written(path: Path) -> Path:
    """`ROUND` in the format and compression that the name of the file asks for."""
    kind, _, compression = path.name.partition(".")[2].partition(".")
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pylist(ROUND)
    if kind == "jsonl":
        sink.write(b"".join(json.dumps(r, ensure_ascii=False).encode() + b"\n" for r in ROUND))
    elif kind == "csv":
        sink.write(b"\xef\xbb\xbf")
        pyarrow.csv.write_csv(table, sink)
    else:
        pq.write_table(table, sink)
    data = sink.getvalue().to_pybytes()
    codec = {"gz": "gzip", "zst": "zstd"}.get(compression)
    path.write_bytes(compressed(data, codec) if codec else data)
    return path


@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_every_format_gives_the_same_catalogue(tmp_path: Path, kind: str, compression: str) -> None:
    layout = create_workspace(tmp_path / "shop")
    report = import_catalog(layout, [written(tmp_path / f"x.{kind}{compression}")])
    assert (report.imported, report.quarantined, report.quarantine_file) == (40, 0, None)
    product = products(layout)[7]
    assert product.title == 'Größe "7", 日本語'
    assert product.description == "line one\nline two"
    assert product.category == ("Home", "Kitchen")
    assert product.price is not None
    assert (str(product.price.amount), product.price.currency) == ("7.50", "EUR")
    assert product.attributes == {"wide": True, "watt": 5.0, "size": "XL"}
    assert product.attributes["wide"] is True
    assert product.created is not None
    assert product.created.isoformat() == "2024-05-31T08:00:00+00:00"
    assert product.language == "de"
    assert product.images == ("a.jpg", "b.jpg")
    assert product.extra == {"supplier_note": "keep me"}


def test_fingerprints_do_not_depend_on_the_format(tmp_path: Path) -> None:
    layout = create_workspace(tmp_path / "shop")
    fingerprints = set()
    for name in ("x.jsonl", "x.csv.zst", "x.parquet"):
        import_catalog(layout, [written(tmp_path / name)])
        fingerprints.add(manifest(layout).fingerprint)
    assert len(fingerprints) == 1


def test_merge_updates_by_id_and_keeps_the_rest(shop: Layout, tmp_path: Path) -> None:
    import_catalog(shop, [jsonl(tmp_path / "one.jsonl", GOOD, ALSO_GOOD)])
    changed = {**GOOD, "title": "Redder shoe"}
    file = jsonl(tmp_path / "two.jsonl", changed, {"id": "d", "title": "New"})
    report = import_catalog(shop, [file], mode="merge")
    assert (report.imported, report.products) == (2, 3)
    assert [(p.id, p.title) for p in products(shop)] == [
        ("c", "Blue hat"),
        ("a", "Redder shoe"),
        ("d", "New"),
    ]


def test_merge_into_an_empty_workspace_is_an_import(tmp_path: Path) -> None:
    layout = create_workspace(tmp_path / "shop")
    import_catalog(layout, [jsonl(tmp_path / "x.jsonl", GOOD)], mode="merge")
    assert [p.id for p in products(layout)] == ["a"]


def test_prices_that_name_no_currency_take_the_shops(tmp_path: Path) -> None:
    layout = create_workspace(tmp_path / "shop", currency="JPY")
    import_catalog(layout, [jsonl(tmp_path / "x.jsonl", {**GOOD, "price": 1200})])
    price = products(layout)[0].price
    assert price is not None
    assert (str(price.amount), price.currency) == ("1200", "JPY")


def test_a_catalogue_is_in_the_currency_that_most_rows_name(tmp_path: Path) -> None:
    layout = create_workspace(tmp_path / "shop", currency="EUR")
    rows = [{"id": str(n), "title": "t", "price": 1, "currency": "usd"} for n in range(5)]
    rows[2]["currency"] = "GBP"
    report = import_catalog(layout, [jsonl(tmp_path / "x.jsonl", *rows)])
    assert {p.price.currency for p in products(layout) if p.price} == {"USD"}
    [entry] = quarantined(report)
    assert (entry["line"], entry["field"], entry["code"]) == (3, "currency", "currency-other")
    assert "GBP" in entry["reason"]


def test_a_currency_asked_for_is_held_against_every_row(tmp_path: Path) -> None:
    layout = create_workspace(tmp_path / "shop")
    row = {"id": "a", "title": "t", "price": {"amount": "3", "currency": "USD"}}
    file = jsonl(tmp_path / "x.jsonl", row, ALSO_GOOD)
    report = import_catalog(layout, [file], currency="CHF")
    assert report.by_reason == {"currency-other": 1}
    import_catalog(layout, [file], currency="USD")
    assert products(layout)[0].price is not None


def test_a_mapping_file(tmp_path: Path) -> None:
    mapping = tmp_path / "shop.toml"
    mapping.write_text(
        """
        delimiter = ";"
        currency = "CHF"
        [fields]
        id = "sku"
        title = "name"
        category = { from = "path", split = "/" }
        price = { from = "cents", minor_units = true }
        """
    )
    file = tmp_path / "x.csv"
    file.write_text("sku;name;path;cents\n1;Shoe;A/B;1999\n")
    layout = create_workspace(tmp_path / "shop")
    report = import_catalog(layout, [file], mapping=mapping)
    assert report.sources == ((str(file), "shop", "CHF"),)
    [product] = products(layout)
    assert (product.id, product.category) == ("1", ("A", "B"))
    assert product.price is not None
    assert product.price.amount == Decimal("19.99")


def test_progress_ends_at_the_number_of_rows(shop: Layout, tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(many(5000))
    told: list[tuple[int, int | None]] = []
    import_catalog(shop, [file], progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (5000, 5000)
    assert all(total is None or total >= done for done, total in told)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_only_one_process_writes(shop: Layout, tmp_path: Path) -> None:
    before = contents(shop)
    with shop.writing(), pytest.raises(Conflict):
        import_catalog(shop, [jsonl(tmp_path / "x.jsonl", GOOD)])
    assert contents(shop) == before
    assert last_run(shop) == "FAIL"


def test_old_generations_go(shop: Layout, tmp_path: Path) -> None:
    for _ in range(5):
        import_catalog(shop, [jsonl(tmp_path / "x.jsonl", GOOD)])
    assert len(shop.catalog.names()) == 3
    assert shop.catalog.live() == shop.catalog.names()[-1]


def test_judgments_are_stored_and_checked_against_the_catalogue(
    shop: Layout, tmp_path: Path
) -> None:
    import_catalog(shop, [jsonl(tmp_path / "x.jsonl", GOOD)])
    file = tmp_path / "judgments.csv"
    file.write_text("query,product_id,label\nshoe,a,E\nshoe,gone,I\nhat,gone,S\n")
    report = import_judgments(shop, file, "mine")
    assert (report.queries, report.judgments, report.unknown_products) == (2, 3, 2)
    assert load_judgments(shop, "mine").by_query == {
        "shoe": {"a": 3, "gone": 0},
        "hat": {"gone": 2},
    }


def test_bad_judgments_change_nothing(shop: Layout, tmp_path: Path) -> None:
    file = tmp_path / "judgments.csv"
    file.write_text("query,product_id,label\nshoe,a,E\nshoe,b,X\n")
    before = contents(shop)
    with pytest.raises(InvalidInput) as caught:
        import_judgments(shop, file)
    assert (caught.value.line, caught.value.field) == (3, "label")
    assert contents(shop) == before


def test_a_simulated_shop_says_so(tmp_path: Path) -> None:
    layout = create_workspace(tmp_path / "shop", currency="USD", simulated=True)
    told: list[tuple[int, int | None]] = []
    report = import_simulated(layout, 1500, progress=lambda *p: told.append(p))
    assert (report.imported, told) == (1500, [(1000, 1500), (1500, 1500)])
    assert manifest(layout).source["simulated"] is True
    assert all(p.extra["simulated"] is True for p in products(layout))
    assert judgment_names(layout) == ("simulated",)
    ids = {p.id for p in products(layout)}
    assert {j.product_id for j in load_judgments(layout, "simulated")} <= ids


@pytest.mark.parametrize("name", ['She said "hi"', "back\\slash", "日本"])
def test_any_name_makes_a_workspace_that_opens(tmp_path: Path, name: str) -> None:
    layout = create_workspace(tmp_path / "shop", name=name)
    assert Layout.open(layout.root).settings().name == name


def test_a_workspace_needs_a_real_currency(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="EURO"):
        create_workspace(tmp_path / "shop", currency="EURO")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "count", "judgments"), [("esci", 6764, 4736), ("icecat", 19406, 2649)]
)
def test_real_data_sets_come_in_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, count: int, judgments: int
) -> None:
    monkeypatch.setattr("tandem.ingest.datasets._download", refuse)
    files = find(name)
    if files is None:
        pytest.skip("the data sets are neither in TANDEM_DATA nor in ../shared/data")
    layout = create_workspace(tmp_path / "shop", currency=files.currency)
    report = import_catalog(layout, files.products)
    assert (report.imported, report.quarantined) == (count, 0)
    assert report.sources[0][1:] == (files.mapping, files.currency)
    assert all(p == Product.model_validate(p.model_dump()) for p in products(layout)[:500])
    assert import_judgments(layout, files.judgments, name).judgments == judgments


def refuse(name: str, target: Path) -> None:
    raise OSError("no network in tests")
