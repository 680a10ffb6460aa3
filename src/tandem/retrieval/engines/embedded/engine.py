"""Serve one generation, and keep it current while products change.

The generation's folder is never written to. The first update clones its word index by hard links
(tantivy's segment files are immutable) and goes on in the clone; updates are durable in the
journal, not here, so a clone is thrown away when its process ends.
"""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import tantivy
from numpy.typing import NDArray
from tantivy import FieldType, Order, Query

from tandem.contracts.candidates import Candidates, Floats, Numbers
from tandem.contracts.errors import InvalidInput
from tandem.contracts.product import AnalysedProduct, Product
from tandem.contracts.search import FacetCount, Filters, Sort
from tandem.features.filtering import column_mask
from tandem.features.store import FeatureStore
from tandem.retrieval.engines.embedded.attributes import Attributes
from tandem.retrieval.engines.embedded.clauses import (
    combined,
    condition,
    conditions,
    narrows,
    words,
)
from tandem.retrieval.engines.embedded.documents import Documents
from tandem.retrieval.engines.embedded.schema import (
    EXACT,
    FORMAT,
    MANIFEST,
    MARK,
    attribute_path,
    document,
    schema,
)
from tandem.retrieval.engines.embedded.vectors import GrowingRows, Vectors, best
from tandem.retrieval.port import LexicalQuery
from tandem.storage.updates import Update

LIVE_HEAP = 32 << 20
# Counting is exact as long as no facet has more distinct values than this.
FACET_BUCKETS = 1 << 20
# Lexical hits fetched beyond k, to order equal scores by product number.
TIES = 64
ORDERS = {
    Sort.PRICE_ASC: ("price", Order.Asc),
    Sort.PRICE_DESC: ("price", Order.Desc),
    Sort.RATING: ("rating", Order.Desc),
    Sort.NEWEST: ("created", Order.Desc),
    Sort.RELEVANCE: ("number", Order.Desc),
}


class EmbeddedSnapshot:
    """One consistent view; see `tandem.retrieval.port.Snapshot`."""

    def __init__(
        self,
        generation: str,
        searcher: tantivy.Searcher,
        documents: Documents,
        attributes: Attributes,
        vectors: Vectors | None,
        store: FeatureStore,
        alive: NDArray[np.bool_],
        added: Sequence[Product],
        added_vectors: Floats | None,
    ) -> None:
        self.generation = generation
        self._schema = schema()
        self._searcher = searcher
        self._documents = documents
        self._attributes = attributes
        self._vectors = vectors
        self._store = store
        self._alive = alive
        self._added = added
        self._added_vectors = added_vectors

    @property
    def size(self) -> int:
        return int(self._searcher.num_docs)

    # --- Words --------------------------------------------------------------------------------

    def lexical(self, query: LexicalQuery, k: int, filters: Filters) -> Candidates:
        scored = combined(words(self._schema, query), conditions(self._schema, filters))
        found = self._search(scored, k)
        return Candidates(found.numbers, found.scores, {"lexical": found.scores})

    def _set(self, query: LexicalQuery | None, filters: Filters, facet: str | None = None) -> Query:
        """The products that match, without scores."""
        matching = None if query is None else condition(self._schema, query)
        return combined(matching, conditions(self._schema, filters, facet))

    def _search(self, query: Query, k: int) -> Candidates:
        """The best k. tantivy cuts among equal scores by where it stores a product, which differs
        from build to build, so a few more are fetched and cut by number here. Which of the equals
        stay when there are more than that is left to tantivy: it would take a search through all
        of them to tell."""
        if k < 1:
            return Candidates.empty()
        hits = self._searcher.search(query, k + TIES, count=False).hits
        if not hits:
            return Candidates.empty()
        numbers = self._numbers_at([address for _, address in hits])
        scores = np.fromiter((score for score, _ in hits), np.float32, len(hits))
        order = np.lexsort((numbers, -scores))[:k]
        return Candidates(numbers[order], scores[order])

    def _numbers_at(self, addresses: list[Any]) -> Numbers:
        return np.asarray(self._searcher.fast_field_values("number", addresses), np.int64)

    def matching(self, query: LexicalQuery | None, filters: Filters) -> int:
        result: Any = self._searcher.search(self._set(query, filters), 1, count=True)
        return int(result.count)

    def ordered(
        self, query: LexicalQuery | None, filters: Filters, sort: Sort, k: int
    ) -> Candidates:
        if k < 1:
            return Candidates.empty()
        field, order = ORDERS[sort]
        result = self._searcher.search(
            self._set(query, filters), k, False, order_by_field=field, order=order
        )
        if not result.hits:
            return Candidates.empty()
        numbers = self._numbers_at([address for _, address in result.hits])
        return Candidates(numbers, -np.arange(numbers.size, dtype=np.float32))

    def browse(self, filters: Filters, sort: Sort, k: int) -> Candidates:
        return self.ordered(None, filters, sort, k)

    def facets(
        self, query: LexicalQuery | None, filters: Filters, fields: Sequence[str], limit: int
    ) -> dict[str, tuple[FacetCount, ...]]:
        # Facets with a condition of their own each see another set of products; the others share
        # one pass.
        own = {name for name in fields if narrows(filters, name)}
        passes: list[tuple[str | None, list[str]]] = [(name, [name]) for name in own]
        passes.append((None, [name for name in fields if name not in own]))
        counted: dict[str, tuple[FacetCount, ...]] = {}
        for facet, names in passes:
            if names:
                asked = self._set(query, filters, facet)
                requests = {str(i): _counting(name, limit) for i, name in enumerate(names)}
                result = self._searcher.aggregate(asked, requests)
                for i, name in enumerate(names):
                    counted[name] = _counts(name, result[str(i)]["buckets"])
        return {name: counted[name] for name in fields}

    # --- Meaning ------------------------------------------------------------------------------

    def dense(self, vector: Floats, k: int, filters: Filters) -> Candidates:
        if self._vectors is None:
            return Candidates.empty()
        eligible = self._eligible(filters)
        base = len(self._vectors)
        numbers, scores = self._vectors.nearest(vector, k, eligible[:base])
        if self._added_vectors is not None:
            added = np.flatnonzero(eligible[base:])
            if added.size:
                numbers = np.concatenate([numbers, added + base])
                scores = np.concatenate([scores, self._added_vectors[added] @ vector])
                numbers, scores = best(numbers, scores, k)
        return Candidates(numbers, scores, {"dense": scores})

    def _eligible(self, filters: Filters) -> NDArray[np.bool_]:
        """(numbers,) True for live products that satisfy the filters."""
        if filters.is_empty():
            return self._alive
        eligible = self._alive & column_mask(self._store, filters)
        if filters.attributes:
            base = len(self._documents)
            eligible[:base] &= self._attributes.mask(filters.attributes, base)
            eligible[base:] &= self._added_having(filters)
        return eligible

    def _added_having(self, filters: Filters) -> NDArray[np.bool_]:
        """(added,) True for products added by updates that have the attributes."""
        base = len(self._documents)
        having = np.zeros(self._alive.size - base, bool)
        if having.size:
            added = Query.range_query(
                self._schema, "number", FieldType.Unsigned, lower_bound=base, upper_bound=None
            )
            query = combined(
                added, conditions(self._schema, Filters(attributes=filters.attributes))
            )
            hits = self._searcher.search(query, having.size, count=False).hits
            having[self._numbers_at([address for _, address in hits]) - base] = True
        return having

    def satisfying(self, numbers: Numbers, filters: Filters) -> Numbers:
        return numbers[self._eligible(filters)[numbers]]

    def vectors(self, numbers: Numbers) -> Floats | None:
        if self._vectors is None:
            return None
        base = len(self._vectors)
        if self._added_vectors is None or numbers.size == 0 or int(numbers.max()) < base:
            return self._vectors.take(numbers)
        old = numbers < base
        out = np.empty((numbers.size, self._added_vectors.shape[1]), np.float32)
        out[old] = self._vectors.take(numbers[old])
        out[~old] = self._added_vectors[numbers[~old] - base]
        return out

    # --- Products -----------------------------------------------------------------------------

    def products(self, numbers: Numbers) -> list[Product]:
        base = len(self._documents)
        return [
            self._documents.product(n) if n < base else self._added[n - base]
            for n in numbers.tolist()
        ]

    def ids(self, numbers: Numbers) -> list[str]:
        base = len(self._documents)
        return [
            self._documents.id(n) if n < base else self._added[n - base].id
            for n in numbers.tolist()
        ]

    def numbers(self, ids: Sequence[str]) -> Numbers:
        found = self._documents.find(ids)
        # What was replaced or added by updates has to be searched for.
        here = found >= 0
        here[here] = self._alive[found[here]]
        for i in np.flatnonzero(~here).tolist():
            query = Query.term_query(self._schema, "id", ids[i], index_option="basic")
            hits = self._searcher.search(query, 1, count=False).hits
            found[i] = self._numbers_at([hits[0][1]])[0] if hits else -1
        return found


def _counting(facet: str, limit: int) -> dict[str, Any]:
    field = EXACT.get(facet) or attribute_path(facet)
    return {"terms": {"field": field, "size": limit, "segment_size": FACET_BUCKETS}}


def _counts(facet: str, buckets: Sequence[dict[str, Any]]) -> tuple[FacetCount, ...]:
    """Most frequent first, equal counts by value."""
    counts = [FacetCount(value=_value(facet, b), count=b["doc_count"]) for b in buckets]
    return tuple(sorted(counts, key=lambda c: (-c.count, str(c.value))))


def _value(facet: str, bucket: dict[str, Any]) -> bool | float | str:
    key = bucket["key"]
    if "key_as_string" in bucket:
        return bool(key)
    if isinstance(key, str):
        return key if facet in EXACT else key.removeprefix(MARK)
    return float(key)


class EmbeddedEngine:
    """One opened generation. `apply` is called by one thread at a time; snapshots are immutable."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        dimension = _dimension(directory)
        self._documents = Documents(directory)
        self._attributes = Attributes(directory)
        self._vectors = Vectors(directory) if dimension else None
        self._index = _opened(directory / "words")
        self._alive = np.ones(len(self._documents), bool)
        self._added: list[Product] = []
        self._added_vectors = GrowingRows(dimension) if dimension else None
        self._clone: Path | None = None
        self._writer: tantivy.IndexWriter | None = None

    @classmethod
    def open(cls, directory: Path, name: str) -> EmbeddedEngine:
        """Open the generation `name` in `directory`, and clear away clones of dead processes."""
        _sweep(directory.parent.parent)
        return cls(directory, name)

    def snapshot(self, store: FeatureStore) -> EmbeddedSnapshot:
        """The state as of now; `store` must hold the same products."""
        return EmbeddedSnapshot(
            self._name,
            self._index.searcher(),
            self._documents,
            self._attributes,
            self._vectors,
            store,
            self._alive,
            self._added,
            None if self._added_vectors is None else self._added_vectors.rows(),
        )

    def branch(self) -> EmbeddedEngine:
        """An engine of its own in the same state, whose updates this one never sees. To be called
        while nothing is applied to this one, and closed when done."""
        other = copy.copy(self)
        other._writer, other._clone = None, None
        other._started(self._clone or self._directory / "words")
        other._added = list(self._added)
        if self._added_vectors is not None:
            other._added_vectors = self._added_vectors.copy()
        return other

    def apply(
        self,
        updates: Sequence[Update],
        analysed: Sequence[AnalysedProduct],
        vectors: Floats | None,
    ) -> None:
        """Bring the engine forward by journal entries, oldest first.

        analysed: the upserted products in order, numbered on from the last one. vectors: one row
        each, None in a generation without vectors.
        """
        if (vectors is None) != (self._added_vectors is None) and analysed:
            raise ValueError("vectors are needed exactly when the generation has them")
        writer = self._started(self._directory / "words")
        alive = np.concatenate([self._alive, np.ones(len(analysed), bool)])
        numbered = iter(enumerate(analysed, start=len(self._alive)))
        latest = dict(zip((u.product_id for u in updates), self._numbers(updates), strict=True))
        try:
            for update in updates:
                if latest[update.product_id] >= 0:
                    alive[latest[update.product_id]] = False
                writer.delete_documents_by_term("id", update.product_id)
                latest[update.product_id] = -1
                if update.product is not None:
                    number, item = next(numbered)
                    writer.add_json(document(item, number))
                    latest[update.product_id] = number
            writer.commit()
        except BaseException:
            # A full disk, say. The updates are in the journal; the next call tries them again.
            writer.rollback()
            raise
        self._index.reload()
        # Earlier snapshots share these rows and never look beyond their own number of products.
        self._added += [item.product for item in analysed]
        self._alive = alive
        if self._added_vectors is not None and vectors is not None:
            self._added_vectors.extend(vectors)

    def _numbers(self, updates: Sequence[Update]) -> list[int]:
        """Live numbers of the updated ids before the update; -1 where there is none."""
        searcher, table = self._index.searcher(), schema()
        numbers = []
        for update in updates:
            query = Query.term_query(table, "id", update.product_id, index_option="basic")
            hits = searcher.search(query, 1, count=False).hits
            at: Any = searcher.fast_field_values("number", [hits[0][1]])[0] if hits else -1
            numbers.append(int(at))
        return numbers

    def _started(self, words: Path) -> tantivy.IndexWriter:
        """The writer of this engine's own clone, made of `words` when it is first needed."""
        if self._writer is None:
            parent = self._directory.parent.parent
            self._clone = Path(tempfile.mkdtemp(dir=parent, prefix=f".live-{os.getpid()}-"))
            _clone(words, self._clone)
            self._index = _opened(self._clone)
            self._writer = self._index.writer(LIVE_HEAP, 1)
        return self._writer

    def close(self) -> None:
        """Let go of the clone. Snapshots handed out before stay usable until they are dropped."""
        if self._writer is not None:
            self._writer.wait_merging_threads()
            self._writer = None
        if self._clone is not None:
            shutil.rmtree(self._clone, ignore_errors=True)
            self._clone = None


def _dimension(directory: Path) -> int | None:
    """Of the generation's vectors, None without; refuses files that this code would misread."""
    path = directory / MANIFEST
    manifest = orjson.loads(path.read_bytes()) if path.exists() else {"format": 1}
    if manifest["format"] != FORMAT:
        raise InvalidInput(
            f"index format {manifest['format']}, expected {FORMAT}",
            file=str(directory),
            remedy="rebuild the index with: tandem index",
        )
    dimension: int | None = manifest["dimension"]
    return dimension


def _clone(source: Path, target: Path) -> None:
    """Segment files never change, so a link is as good as a copy; the lists of them do."""
    for file in source.iterdir():
        if file.suffix == ".lock" or file.name.startswith(".tantivy"):
            continue
        try:
            if file.suffix == ".json":
                shutil.copyfile(file, target / file.name)
            else:
                os.link(file, target / file.name)
        except OSError:
            # Not every file system has hard links.
            shutil.copyfile(file, target / file.name)


def _opened(path: Path) -> tantivy.Index:
    index = tantivy.Index.open(str(path))
    index.config_reader("manual", 0)
    index.reload()
    return index


def _sweep(parent: Path) -> None:
    for clone in parent.glob(".live-*"):
        pid = clone.name.split("-")[1]
        if pid.isdigit() and not _running(int(pid)):
            shutil.rmtree(clone, ignore_errors=True)


def _running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
