"""Public data sets to try Tandem with: found on this machine, else downloaded from their source.

esci: Amazon Shopping Queries (Reddy et al. 2022, arXiv:2206.06588), the products that OpenSearch's
    search-relevance sample ships, Apache-2.0. Judgments from amazon-science/esci-data.
icecat: electronics with typed attributes, Icecat Open Content License, and the query set "Broad"
    with its ratings, both from querqy/chorus.

A local folder holds, for each name, `<name>/products.jsonl.gz` and `<name>/judgments.csv`.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import http.client
import io
import json
import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tandem.contracts.errors import InvalidInput
from tandem.storage.atomic import new_directory

TIMEOUT_SECONDS = 10
PRODUCTS = "products.jsonl.gz"
JUDGMENTS = "judgments.csv"

_GITHUB = "https://raw.githubusercontent.com"
SOURCES: Mapping[str, Mapping[str, str]] = {
    "esci": {
        "products": f"{_GITHUB}/opensearch-project/dashboards-search-relevance/main/server/"
        "sample_data/data/ubi_ecommerce_products.json.gz",
        "judgments": "https://github.com/amazon-science/esci-data/raw/main/"
        "shopping_queries_dataset/shopping_queries_dataset_examples.parquet",
    },
    "icecat": {
        "products": "https://querqy.org/datasets/icecat/"
        "icecat-products-w_price-19k-20201127.tar.gz",
        "judgments": f"{_GITHUB}/querqy/chorus/main/katas/Broad_Query_Set_rated.csv",
    },
}
_CURRENCIES = {"esci": "USD", "icecat": "EUR"}

_ESCI_KEPT = (
    *("title", "description", "bullet_points", "brand", "color", "category"),
    *("price", "rating", "rating_count"),
)
# A query that has fewer judged products among the sample's was not drawn for the sample.
_ESCI_JUDGED_AT_LEAST = 40


@dataclass(frozen=True)
class DatasetFiles:
    """One data set on this machine. `mapping` is the name of a ready mapping; `origin` says in
    words where the files were found.
    """

    name: str
    products: tuple[Path, ...]
    judgments: Path
    mapping: str
    currency: str
    origin: str


def find(name: str, say: Callable[[str], None] = lambda _: None) -> DatasetFiles | None:
    """Look for a data set in `TANDEM_DATA`, in `../shared/data` beside the project or the current
    folder, in the cache, and then at its public source.

    `say` is told what is being tried and why it failed. None means it cannot be had; nothing is
    raised for that, since every caller can do without. Raises InvalidInput for unknown names.
    """
    if name not in SOURCES:
        raise InvalidInput(
            f"no data set '{name}'", field="dataset", remedy=f"use one of: {', '.join(SOURCES)}"
        )
    for folder in _folders():
        found = _files(folder / name, name, str(folder / name))
        if found is not None:
            return found
    cached = _cache() / name
    if _files(cached, name, "") is None:
        say(f"Downloading '{name}' from its public source …")
        try:
            _download(name, cached)
        except _UNAVAILABLE as error:
            say(f"'{name}' could not be downloaded: {error}")
            return None
    return _files(cached, name, f"downloaded from {SOURCES[name]['products']}")


# Everything that a network, a moved file or a changed format can do to a download.
_UNAVAILABLE = (
    OSError,
    http.client.HTTPException,
    EOFError,
    ValueError,
    KeyError,
    tarfile.TarError,
)


def _folders() -> Iterator[Path]:
    """Places on this machine where data sets are looked for, in order."""
    if named := os.environ.get("TANDEM_DATA"):
        yield Path(named)
    repository = Path(__file__).resolve().parents[3]
    for base in dict.fromkeys((repository, Path.cwd())):
        yield base.parent / "shared" / "data"


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tandem"


def _files(folder: Path, name: str, origin: str) -> DatasetFiles | None:
    products, judgments = folder / PRODUCTS, folder / JUDGMENTS
    if not (products.is_file() and judgments.is_file()):
        return None
    return DatasetFiles(name, (products,), judgments, name, _CURRENCIES[name], origin)


def _download(name: str, target: Path) -> None:
    """Fetch and convert into `target`, which appears only when both files are complete."""
    if target.exists():
        shutil.rmtree(target)
    convert = {"esci": _convert_esci, "icecat": _convert_icecat}[name]
    with contextlib.ExitStack() as stack:
        products = stack.enter_context(_fetched(SOURCES[name]["products"]))
        judgments = stack.enter_context(_fetched(SOURCES[name]["judgments"]))
        convert(products, judgments, stack.enter_context(new_directory(target)))


@contextlib.contextmanager
def _fetched(url: str) -> Iterator[IO[bytes]]:
    """The content of a URL as a temporary file."""
    with tempfile.TemporaryFile() as whole:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
                shutil.copyfileobj(answer, whole, 1 << 20)
        except urllib.error.URLError as error:
            raise OSError(f"{url}: {error.reason}") from None
        whole.seek(0)
        yield whole


def _convert_esci(products: IO[bytes], judgments: IO[bytes], folder: Path) -> None:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    ids: list[str] = []

    def rows() -> Iterator[dict[str, Any]]:
        with gzip.open(products) as lines:
            for line in lines:
                row = json.loads(line)
                ids.append(row["asin"])
                yield {"product_id": row["asin"]} | {name: row.get(name) for name in _ESCI_KEPT}

    _write_products(folder, rows())
    columns = ["query", "product_id", "product_locale", "esci_label"]
    table = pq.read_table(judgments, columns=columns, use_threads=False)
    table = table.filter(pc.equal(table["product_locale"], "us"))
    judged = table.to_pandas()
    judged = judged[judged["product_id"].isin(ids)]
    often = Counter(judged["query"])
    _write_judgments(
        folder,
        "label",
        (
            (query, product_id, label)
            for query, product_id, label in judged[
                ["query", "product_id", "esci_label"]
            ].itertuples(index=False)
            if often[query] >= _ESCI_JUDGED_AT_LEAST
        ),
    )


def _convert_icecat(products: IO[bytes], judgments: IO[bytes], folder: Path) -> None:
    keep = ("id", "name", "title", "ean", "short_description", "date_released", "supplier", "price")
    with tarfile.open(fileobj=products, mode="r:gz") as archive:
        member = next(m for m in archive if m.isfile() and m.name.endswith(".json"))
        content = archive.extractfile(member)
        assert content is not None  # a regular file always has content
        rows = json.load(content)
    _write_products(
        folder,
        (
            {k: v for k, v in row.items() if k in keep or k.startswith(("attr_t_", "attr_n_"))}
            | {k: bool(v) for k, v in row.items() if k.startswith("attr_b_")}
            for row in rows
        ),
    )
    reader = csv.DictReader(io.TextIOWrapper(judgments, "utf-8-sig", newline=""))
    _write_judgments(
        folder, "rating", ((r["query"], r["docid"], r["rating"]) for r in reader if r["rating"])
    )


def _write_products(folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with gzip.open(folder / PRODUCTS, "wt", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def _write_judgments(folder: Path, verdict: str, rows: Iterable[tuple[str, str, str]]) -> None:
    with (folder / JUDGMENTS).open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("query", "product_id", verdict))
        writer.writerows(rows)
