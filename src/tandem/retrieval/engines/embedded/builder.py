"""Build one immutable generation of the embedded engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson
import tantivy

from tandem.contracts.candidates import Floats
from tandem.contracts.product import AnalysedProduct
from tandem.retrieval.engines.embedded.attributes import AttributeWriter
from tandem.retrieval.engines.embedded.documents import DocumentWriter
from tandem.retrieval.engines.embedded.schema import FORMAT, MANIFEST, document, schema
from tandem.retrieval.engines.embedded.vectors import VectorWriter

HEAP = 256 << 20
THREADS = 2


class EmbeddedBuilder:
    """Streams products into `directory`; numbers follow the order in which they are added.

    Memory stays bounded: per product only the lengths and attribute postings are held.
    """

    def __init__(self, directory: Path, dimension: int | None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        words = directory / "words"
        words.mkdir()
        self._directory = directory
        self._dimension = dimension
        self._index = tantivy.Index(schema(), str(words))
        self._writer = self._index.writer(HEAP, THREADS)
        self._documents = DocumentWriter(directory)
        self._attributes = AttributeWriter(directory)
        self._vectors = VectorWriter(directory, dimension) if dimension else None
        self._count = 0

    def add(self, batch: Sequence[AnalysedProduct], vectors: Floats | None = None) -> None:
        """vectors: (len(batch), dimension), needed exactly when the builder has a dimension."""
        if (vectors is None) != (self._vectors is None):
            raise ValueError("vectors are needed exactly when the generation has a dimension")
        for analysed in batch:
            self._writer.add_json(document(analysed, self._count))
            self._attributes.add(self._count, analysed.product)
            self._count += 1
        self._documents.add([a.product for a in batch])
        if self._vectors is not None and vectors is not None:
            self._vectors.add(vectors)

    def finish(self) -> None:
        self._writer.commit()
        self._writer.wait_merging_threads()
        self._documents.finish()
        self._attributes.finish()
        if self._vectors is not None:
            self._vectors.finish()
        manifest = {"format": FORMAT, "products": self._count, "dimension": self._dimension}
        (self._directory / MANIFEST).write_bytes(orjson.dumps(manifest))
