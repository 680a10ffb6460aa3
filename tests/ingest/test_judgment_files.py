"""Judgment files in all the shapes that people have."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tandem.contracts.errors import InvalidInput
from tandem.ingest.judgments import read_judgments


def read(path: Path, text: str) -> dict[str, dict[str, int]]:
    path.write_bytes(text.encode())
    return {query: dict(products) for query, products in read_judgments(path).by_query.items()}


def test_labels_in_any_case_and_in_full(tmp_path: Path) -> None:
    text = "query,product_id,label\nq,a,E\nq,b,s\nq,c,Complement\nq,d,IRRELEVANT\nq,e,exact\n"
    assert read(tmp_path / "x.csv", text) == {"q": {"a": 3, "b": 2, "c": 1, "d": 0, "e": 3}}


@pytest.mark.parametrize("column", ["rating", "relevance", "label", "Rating"])
def test_numbers_in_any_column(tmp_path: Path, column: str) -> None:
    text = f"query,product_id,{column}\nq,a,3\nq,b,2.0\nq,c, 0 \n"
    assert read(tmp_path / "x.csv", text) == {"q": {"a": 3, "b": 2, "c": 0}}


def test_quotes_unicode_bom_other_columns_and_order(tmp_path: Path) -> None:
    text = '\ufeffnote,Query ,label,product_id\n,"15"" laptop, ""new""",E,a\n,スピーカー,I,ü-1\n'
    assert read(tmp_path / "x.csv", text) == {
        '15" laptop, "new"': {"a": 3},
        "スピーカー": {"ü-1": 0},
    }


def test_the_later_of_two_verdicts_wins(tmp_path: Path) -> None:
    assert read(tmp_path / "x.csv", "query,product_id,label\nq,a,E\nq,a,I\n") == {"q": {"a": 0}}


def test_jsonl_parquet_and_public_names(tmp_path: Path) -> None:
    expected = {"q": {"7": 2}}
    assert read(tmp_path / "x.jsonl", '{"query": "q", "product_id": 7, "rating": 2}') == expected
    assert read(tmp_path / "y.csv", "query,docid,rating\nq,7,2\n") == expected
    table = pa.table({"query": ["q"], "product_id": ["7"], "esci_label": ["S"]})
    pq.write_table(table, tmp_path / "z.parquet")
    assert read_judgments(tmp_path / "z.parquet").by_query == expected
    assert read_judgments(tmp_path / "z.parquet").name == "z"


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("query,product_id,label\nq,a,X\n", 2, "label"),
        ("query,product_id,rating\nq,a,3\nq,b,4\n", 3, "rating"),
        ("query,product_id,rating\nq,a,1.5\n", 2, "rating"),
        ("query,product_id,rating\nq,a,-1\n", 2, "rating"),
        ("query,product_id,rating\nq,a,nan\n", 2, "rating"),
        ("query,product_id,rating\nq,a,\n", 2, "rating"),
        ("query,product_id,label\n,a,E\n", 2, "query"),
        ('query,product_id,label\n"  ",a,E\n', 2, "query"),
        ("query,product_id,label\nq,,E\n", 2, "product_id"),
        ("query,product_id,label\nq,a\n", 2, None),
        ("product_id,label\na,E\n", 2, "query"),
        ("query,label\nq,E\n", 2, "product_id"),
        ("query,product_id\nq,a\n", 2, "label"),
        ("query;product_id;label\nq;a;E\n", 1, None),
        ("query,product_id,label\n", None, None),
        ("", None, None),
    ],
)
def test_errors_name_file_line_and_field(
    tmp_path: Path, text: str, line: int | None, field: str | None
) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(tmp_path / "x.csv", text)
    assert caught.value.file == str(tmp_path / "x.csv")
    assert (caught.value.line, caught.value.field) == (line, field)
    assert caught.value.remedy
