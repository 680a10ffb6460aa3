"""Rows out of JSONL, CSV and Parquet files, plain or compressed, in bounded memory.

A *row* that cannot be read is yielded as a `BadRow` and reading goes on. A *file* that cannot be
read to its end (truncated, wrong encoding, wrong delimiter, nothing in it) raises one
`InvalidInput` that names the file and the line.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import orjson

from tandem.contracts.errors import InvalidInput
from tandem.ingest.problem import Problem, excerpt

# No honest row comes near this. It bounds memory when line ends or closing quotes are missing.
MAX_LINE = 32 * 1024 * 1024
PARQUET_BATCH = 4096
# A JSON array is read as a whole.
MAX_ARRAY = 256 * 1024 * 1024

_FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_FOREIGN_BOMS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_BOM = b"\xef\xbb\xbf"
_DELIMITERS = ",;\t|"


class Row(NamedTuple):
    """One row as the file has it. `line` is 1-based; in Parquet it is the row's number."""

    line: int
    values: dict[str, Any]


class BadRow(NamedTuple):
    """One row that could not be read; `row` is an excerpt of it."""

    line: int
    problem: Problem
    row: str


@dataclass
class RowFile:
    """One file of rows. Iterate it to read it from the start; `fraction` says how far one is.

    delimiter: what separates the fields of a CSV file; None = comma, or tab in a `.tsv`.
    arrays: whether a JSON array of objects is read too, as a whole in memory; its `line` is the
        number of the object.
    """

    path: Path
    delimiter: str | None = None
    arrays: bool = False

    def __post_init__(self) -> None:
        self._position: Callable[[], float] = lambda: 0.0
        suffixes = [s.lower() for s in self.path.suffixes]
        self.compression = _COMPRESSIONS.get(suffixes[-1]) if suffixes else None
        if self.compression:
            suffixes.pop()
        self.format = _FORMATS.get(suffixes[-1]) if suffixes else None
        if self.format is None:
            raise InvalidInput(
                "unknown kind of file",
                file=str(self.path),
                remedy="name it .jsonl, .csv, .tsv or .parquet, with .gz or .zst after it when "
                "it is compressed",
            )
        if self.delimiter is None:
            self.delimiter = "\t" if suffixes[-1] == ".tsv" else ","
        if not self.path.is_file():
            raise InvalidInput(
                "no such file", file=str(self.path), remedy="check the path of the file"
            )

    @property
    def fraction(self) -> float:
        """Share of the file read so far, 0 to 1 (by bytes; by rows in Parquet)."""
        return self._position()

    def __iter__(self) -> Iterator[Row | BadRow]:
        if self.path.stat().st_size == 0:
            raise self._broken("the file is empty", remedy="export the file again")
        try:
            with self.path.open("rb") as raw:
                stream = self._decompressed(raw)
                match self.format:
                    case "jsonl":
                        yield from self._jsonl(stream)
                    case "csv":
                        yield from self._csv(stream)
                    case _:
                        yield from self._parquet(stream)
        except PermissionError:
            raise self._broken(
                "the file may not be read", remedy="give yourself permission to read it"
            ) from None

    def head(self, rows: int) -> list[Row]:
        """The first readable rows, at most `rows`, out of at most ten times as many lines."""
        found: list[Row] = []
        for seen, row in enumerate(self):
            if isinstance(row, Row):
                found.append(row)
            if len(found) >= rows or seen >= 10 * rows:
                break
        return found

    def _broken(
        self, message: str, *, line: int | None = None, field: str | None = None, remedy: str
    ) -> InvalidInput:
        return InvalidInput(message, file=str(self.path), line=line, field=field, remedy=remedy)

    def _decompressed(self, raw: IO[bytes]) -> IO[bytes]:
        magic = raw.read(4)
        raw.seek(0)
        size = self.path.stat().st_size
        self._position = lambda: 1.0 if raw.closed else raw.tell() / size
        actual = next((name for start, name in _MAGIC.items() if magic.startswith(start)), None)
        if actual != self.compression:
            expected = self.compression or "not compressed"
            raise self._broken(
                f"the name says {expected}, the content is {actual or f'not {expected}'}",
                remedy="give the file the ending that fits its content, or export it again",
            )
        if self.compression is None:
            return raw
        import pyarrow as pa

        return io.BufferedReader(pa.CompressedInputStream(raw, self.compression))

    # -- lines ---------------------------------------------------------------------------------

    def _lines(self, stream: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
        """(line number, line with its end); None stands for a line longer than `MAX_LINE`."""
        number = 0
        while True:
            number += 1
            try:
                line = stream.readline(MAX_LINE)
                if not line:
                    return
                overlong = len(line) == MAX_LINE and not line.endswith(b"\n")
                while overlong and (rest := stream.readline(MAX_LINE)):
                    if rest.endswith(b"\n"):
                        break
            except OSError as error:
                truncated = "truncated" in str(error).lower()
                raise self._broken(
                    f"the {self.compression} data is "
                    + ("cut off" if truncated else f"damaged ({error})"),
                    line=number,
                    remedy="copy or export the file again; it is incomplete"
                    if truncated
                    else "copy or export the file again",
                ) from None
            if number == 1:
                self._refuse_foreign(line)
                line = line.removeprefix(_BOM)
            yield number, None if overlong else line

    def _refuse_foreign(self, start: bytes) -> None:
        for bom, name in _FOREIGN_BOMS.items():
            if start.startswith(bom):
                raise self._broken(
                    f"wrong encoding: the file is {name}, not UTF-8",
                    line=1,
                    remedy=f"convert it: iconv -f {name} -t UTF-8 IN > OUT",
                )

    def _undecodable(self, line: int, error: UnicodeDecodeError) -> InvalidInput:
        return self._broken(
            f"wrong encoding: byte 0x{error.object[error.start]:02x} at column {error.start + 1} "
            "is not UTF-8",
            line=line,
            remedy="convert the file to UTF-8: iconv -f WINDOWS-1252 -t UTF-8 IN > OUT",
        )

    # -- JSONL ---------------------------------------------------------------------------------

    def _jsonl(self, stream: IO[bytes]) -> Iterator[Row | BadRow]:
        empty = True
        for number, line in self._lines(stream):
            if line is None:
                yield BadRow(number, _LINE_TOO_LONG, "")
                continue
            if line.isspace() or not line:
                continue
            if empty and line.lstrip().startswith(b"["):
                if self.arrays:
                    yield from self._array(line, stream, number)
                    return
                raise self._broken(
                    "the file is a JSON array, not one JSON object a line",
                    line=number,
                    remedy="convert it: jq -c '.[]' IN.json > OUT.jsonl",
                )
            empty = False
            try:
                values = orjson.loads(line)
            except orjson.JSONDecodeError:
                yield self._json_again(number, line)
                continue
            if isinstance(values, dict):
                yield Row(number, values)
            else:
                yield BadRow(number, _NOT_AN_OBJECT, excerpt(line.decode()))
        if empty:
            raise self._broken("the file has no rows", remedy="export the file again")

    def _array(self, start: bytes, stream: IO[bytes], line: int) -> Iterator[Row | BadRow]:
        text = start + stream.read(MAX_ARRAY)
        if stream.read(1):
            raise self._broken(
                f"the JSON array is larger than {MAX_ARRAY // 2**20} MiB",
                line=line,
                remedy="convert it to one object a line: jq -c '.[]' IN.json > OUT.jsonl",
            )
        try:
            rows = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise self._broken(
                f"not valid JSON: {error.msg}",
                line=line + error.lineno - 1,
                remedy="export the file again",
            ) from None
        if not rows:
            raise self._broken("the file has no rows", remedy="export the file again")
        for number, values in enumerate(rows, start=1):
            if isinstance(values, dict):
                yield Row(number, values)
            else:
                yield BadRow(number, _NOT_AN_OBJECT, excerpt(str(values)))

    def _json_again(self, number: int, line: bytes) -> Row | BadRow:
        """Say why a line failed; NaN and Infinity get through, for the checks to name the field."""
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise self._undecodable(number, error) from None
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            reason = f"not valid JSON at column {error.colno}: {error.msg}"
        except (ValueError, RecursionError) as error:
            reason = f"not valid JSON: {error}"
        else:
            if isinstance(values, dict):
                return Row(number, values)
            return BadRow(number, _NOT_AN_OBJECT, excerpt(text))
        problem = Problem("json", None, reason, "correct the line, or export the file again")
        return BadRow(number, problem, excerpt(text))

    # -- CSV -----------------------------------------------------------------------------------

    def _csv(self, stream: IO[bytes]) -> Iterator[Row | BadRow]:
        assert self.delimiter is not None  # set by __post_init__
        csv.field_size_limit(MAX_LINE)
        text = _CsvLines(self, stream)
        reader = csv.reader(text, delimiter=self.delimiter, strict=True)
        header: list[str] | None = None
        rows = 0
        while True:
            text.start_record()
            try:
                record = next(reader, None)
            except csv.Error as error:
                if text.exhausted or header is None:
                    raise self._broken(
                        "a quoted field is never closed" if text.exhausted else str(error),
                        line=text.first,
                        remedy='close the quote, and write a quote inside a field as ""',
                    ) from None
                problem = Problem(
                    "csv-quoting", None, f"not valid CSV: {error}", 'write " inside a field as ""'
                )
                yield BadRow(text.first, problem, excerpt(text.record))
                continue
            if record is None:
                break
            if text.overlong:
                yield BadRow(text.first, _LINE_TOO_LONG, "")
            elif not record:
                continue
            elif header is None:
                header = self._header(record, text.first)
            elif len(record) != len(header):
                rows += 1
                problem = Problem(
                    "csv-fields",
                    None,
                    f"{len(record)} fields where the header has {len(header)}",
                    f"quote fields that contain {self.delimiter!r} or a line end",
                )
                yield BadRow(text.first, problem, excerpt(text.record))
            else:
                rows += 1
                yield Row(text.first, dict(zip(header, record, strict=True)))
        if not rows:
            raise self._broken("the file has no rows", remedy="export the file again")

    def _header(self, record: list[str], line: int) -> list[str]:
        names = [name.strip() for name in record]
        if len(names) == 1:
            other = next((d for d in _DELIMITERS if d != self.delimiter and d in names[0]), None)
            if other:
                raise self._broken(
                    f"wrong delimiter: the header has no {self.delimiter!r} but {other!r}",
                    line=line,
                    remedy=f"separate fields by {self.delimiter!r}, or set delimiter = "
                    f'"{other}" in a mapping file'.replace("\t", "\\t"),
                )
        twice = next((n for n in names if n and names.count(n) > 1), None)
        if twice is not None:
            raise self._broken(
                "two columns have this name",
                line=line,
                field=twice,
                remedy="give every column its own name",
            )
        return [name or f"column {place}" for place, name in enumerate(names, start=1)]

    # -- Parquet -------------------------------------------------------------------------------

    def _parquet(self, stream: IO[bytes]) -> Iterator[Row | BadRow]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        number = 0
        try:
            with _seekable(stream, compressed=self.compression is not None) as whole:
                table = pq.ParquetFile(whole)
                total = table.metadata.num_rows
                self._position = lambda: number / total if total else 1.0
                if not total:
                    raise self._broken("the file has no rows", remedy="export the file again")
                for batch in table.iter_batches(PARQUET_BATCH, use_threads=False):
                    for values in batch.to_pylist():
                        number += 1
                        yield Row(number, values)
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            # ValueError: text that is not UTF-8, times that Python has no type for.
            raise self._broken(
                f"not a readable Parquet file: {(str(error).splitlines() or [repr(error)])[0]}",
                line=number + 1 if number else None,
                remedy="copy or export the file again",
            ) from None


@contextlib.contextmanager
def _seekable(stream: IO[bytes], *, compressed: bool) -> Iterator[IO[bytes]]:
    """A file one can seek in: Parquet keeps its table of contents at the end."""
    if not compressed:
        yield stream
        return
    with tempfile.TemporaryFile() as whole:
        shutil.copyfileobj(stream, whole, 1 << 20)
        whole.seek(0)
        yield whole


class _CsvLines:
    """Decoded lines for `csv.reader`, which also know where the current record began."""

    def __init__(self, file: RowFile, stream: IO[bytes]) -> None:
        self._file = file
        self._lines = file._lines(stream)
        self.first = 0
        self.record = ""
        self.overlong = False
        self.exhausted = False
        self._started = False
        self._size = 0

    def start_record(self) -> None:
        self._started = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            number, raw = next(self._lines)
        except StopIteration:
            self.exhausted = True
            raise
        if not self._started:
            self._started, self.overlong = True, False
            self.first, self.record, self._size = number, "", 0
        if raw is None:
            self.overlong = True
            return "\n"
        self._size += len(raw)
        if self._size > MAX_LINE:
            raise self._file._broken(
                "a quoted field is never closed",
                line=self.first,
                remedy='close the quote, and write a quote inside a field as ""',
            )
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            raise self._file._undecodable(number, error) from None
        if len(self.record) < 1000:
            self.record += text
        return text


_LINE_TOO_LONG = Problem(
    "line-too-long",
    None,
    f"the line is longer than {MAX_LINE // 2**20} MiB",
    "split or shorten the row; check that line ends are not missing",
)
_NOT_AN_OBJECT = Problem(
    "json", None, "not a JSON object", 'write each row as {"id": …, "title": …}'
)
