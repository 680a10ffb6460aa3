"""Reading rows: formats, encodings, line numbers, bounds."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tandem.contracts.errors import InvalidInput
from tandem.ingest import readers
from tandem.ingest.readers import BadRow, Row, RowFile


def rows(path: Path, data: bytes) -> list[Row | BadRow]:
    path.write_bytes(data)
    return list(RowFile(path))


@pytest.mark.parametrize("name", ["x.jsonl", "x.ndjson", "x.json", "X.JSONL"])
def test_jsonl_with_and_without_bom_and_blank_lines(tmp_path: Path, name: str) -> None:
    data = b'\xef\xbb\xbf{"id": "a"}\r\n\n  \n{"id": "b"}'
    assert rows(tmp_path / name, data) == [Row(1, {"id": "a"}), Row(4, {"id": "b"})]


def test_csv_numbers_the_line_on_which_a_record_begins(tmp_path: Path) -> None:
    data = b'\xef\xbb\xbfid,text\r\na,"1\n2\n3"\r\n\r\nb,"say ""hi"""\r\n'
    assert rows(tmp_path / "x.csv", data) == [
        Row(2, {"id": "a", "text": "1\n2\n3"}),
        Row(6, {"id": "b", "text": 'say "hi"'}),
    ]


def test_tsv_and_other_delimiters(tmp_path: Path) -> None:
    assert rows(tmp_path / "x.tsv", b"id\tt\na\tA\n") == [Row(2, {"id": "a", "t": "A"})]
    (tmp_path / "x.csv").write_bytes(b"id;t\na;A\n")
    assert list(RowFile(tmp_path / "x.csv", ";")) == [Row(2, {"id": "a", "t": "A"})]


def test_columns_without_a_name_get_one(tmp_path: Path) -> None:
    assert rows(tmp_path / "x.csv", b",id\n0,a\n") == [Row(2, {"column 1": "0", "id": "a"})]


def test_parquet_keeps_types_and_counts_rows(tmp_path: Path) -> None:
    table = pa.table({"id": ["a", "b"], "n": [1, None], "list": [["x"], []]})
    pq.write_table(table, tmp_path / "x.parquet")
    assert list(RowFile(tmp_path / "x.parquet")) == [
        Row(1, {"id": "a", "n": 1, "list": ["x"]}),
        Row(2, {"id": "b", "n": None, "list": []}),
    ]


def test_parquet_text_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    text = pa.array([b"a", b"\xff"]).cast(pa.string(), safe=False)
    pq.write_table(pa.table({"id": text}), tmp_path / "x.parquet")
    with pytest.raises(InvalidInput, match="utf-8"):
        list(RowFile(tmp_path / "x.parquet"))


def test_nan_gets_through_to_the_checks(tmp_path: Path) -> None:
    [row] = rows(tmp_path / "x.jsonl", b'{"price": NaN}\n')
    assert isinstance(row, Row)
    assert row.values["price"] != row.values["price"]


def test_a_line_without_end_is_skipped_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "MAX_LINE", 100)
    first, long, last = rows(
        tmp_path / "x.jsonl", b'{"id": 1}\n{"id": "' + b"x" * 1000 + b'"}\n{"id": 3}\n'
    )
    assert (first, last) == (Row(1, {"id": 1}), Row(3, {"id": 3}))
    assert isinstance(long, BadRow)
    assert (long.line, long.problem.code, long.row) == (2, "line-too-long", "")


def test_a_quote_that_swallows_the_file_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "MAX_LINE", 100)
    with pytest.raises(InvalidInput, match="never closed") as caught:
        rows(tmp_path / "x.csv", b'id,t\na,A\nb,"B\n' + b"c,C\n" * 100)
    assert caught.value.line == 3


def test_deep_nesting_is_a_bad_row(tmp_path: Path) -> None:
    [row] = rows(tmp_path / "x.jsonl", b'{"a": ' + b"[" * 100_000 + b"\n")
    assert isinstance(row, BadRow)


def test_fraction_grows_to_one(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"id": "0123456789"}\n' * 20_000)
    file = RowFile(tmp_path / "x.jsonl")
    seen = [file.fraction for _ in file]
    assert seen == sorted(seen)
    assert 0 < seen[0] < 0.5
    assert file.fraction == 1.0


def test_head_skips_bad_rows(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b"nonsense\n" + b'{"id": 1}\n' * 5)
    assert [row.line for row in RowFile(tmp_path / "x.jsonl").head(2)] == [2, 3]


CELL = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0\r"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=5))
def test_csv_gives_back_what_was_written(tmp_path: Path, cells: list[tuple[str, str]]) -> None:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([("a", "b"), *cells])
    read = rows(tmp_path / "x.csv", out.getvalue().encode())
    assert [row.values for row in read if isinstance(row, Row)] == [
        {"a": a, "b": b} for a, b in cells
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.sampled_from(["x.jsonl", "x.csv", "x.csv.gz", "x.jsonl.zst", "x.parquet"]),
    st.binary(max_size=200) | st.text(alphabet='{}[]",:\n ab\\u0', max_size=80).map(str.encode),
)
def test_whatever_is_in_a_file_there_is_no_traceback(
    tmp_path: Path, name: str, data: bytes
) -> None:
    error = None
    try:
        read = rows(tmp_path / name, data)
    except InvalidInput as caught:
        error = caught
    if error is not None:
        assert error.file == str(tmp_path / name)
        assert error.remedy
    else:
        assert read
        assert all(row.line > 0 for row in read)


def test_quoted_json_survives_csv(tmp_path: Path) -> None:
    cell = json.dumps({"wide": True})
    out = io.StringIO(newline="")
    csv.writer(out).writerows([("id", "attributes"), ("a", cell)])
    assert rows(tmp_path / "x.csv", out.getvalue().encode()) == [
        Row(2, {"id": "a", "attributes": cell})
    ]
