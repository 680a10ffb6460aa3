"""Build an index generation from the live catalogue, then make it live."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.contracts.errors import InvalidInput
from tandem.contracts.product import AnalysedProduct, Product
from tandem.features.store import FeatureStoreBuilder
from tandem.flows.embedding import CatalogEmbedder
from tandem.flows.folding import fold_updates
from tandem.flows.offering import FacetChoice
from tandem.queries.analysis import Analyser
from tandem.queries.model import QueryModelBuilder
from tandem.registry.lineage import DataSet, job
from tandem.retrieval.encoders import load_encoder
from tandem.retrieval.engines.embedded import EmbeddedBuilder
from tandem.storage.atomic import new_directory
from tandem.storage.catalog import manifest as catalog_manifest
from tandem.storage.catalog import read_products, updates_through
from tandem.storage.layout import Layout
from tandem.storage.query_log import load_query_log

FORMAT = 1  # raise it when a generation's files change, so that an old one is not misread
BATCH = 2048
KEEP_GENERATIONS = 3
Progress = Callable[[str, int, int | None], None]
"""Called with (stage, done, total); total None when unknown."""


@dataclass(frozen=True)
class IndexReport:
    """What an index run did. `seconds` is wall time; `dimension` None without an encoder."""

    generation: str
    products: int
    languages: tuple[str, ...]
    dimension: int | None
    seconds: float


def build_index(layout: Layout, progress: Progress | None = None) -> IndexReport:
    """Index the live catalogue into a new generation and switch to it atomically.

    Killed at any moment, the generation that was live stays live.
    """
    started = time.perf_counter()
    settings = layout.settings()
    with job(layout, "index") as running, layout.writing():
        layout.index.sweep()
        fold_updates(layout)
        catalog = catalog_manifest(layout)
        total = catalog.products
        analyser = Analyser(_languages(layout, total))
        encoder = load_encoder(settings.encoder, layout.root)
        name = layout.index.next_name()
        with new_directory(layout.index.root / name) as scratch:
            embedder = CatalogEmbedder(encoder, layout.index.live_path()) if encoder else None
            facets = _build(layout, scratch, analyser, embedder, total, progress)
            (scratch / "manifest.json").write_text(
                json.dumps(
                    {
                        "format": FORMAT,
                        "generation": name,
                        "products": total,
                        "languages": list(analyser.languages),
                        "encoder": settings.encoder,
                        "facets": facets,
                        "catalog_generation": catalog.generation,
                        "catalog_fingerprint": catalog.fingerprint,
                        "journal_sequence": updates_through(catalog),
                    },
                    indent=2,
                )
            )
        running.inputs.append(DataSet("catalog", catalog.generation))
        running.outputs.append(DataSet("index", name, total))
        layout.index.switch(name)
        layout.index.prune(KEEP_GENERATIONS)
    return IndexReport(
        generation=name,
        products=total,
        languages=analyser.languages,
        dimension=encoder.dimension if encoder else None,
        seconds=time.perf_counter() - started,
    )


def index_manifest(path: Path) -> dict[str, Any]:
    """The manifest of an index generation. InvalidInput when this version cannot read it."""
    try:
        values: dict[str, Any] = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"not an index generation: {error}", file=str(path), remedy="run: tandem index"
        ) from None
    if values.get("format") != FORMAT:
        raise InvalidInput(
            f"the index has format {values.get('format')}, this version reads {FORMAT}",
            file=str(path),
            remedy="build it again: tandem index",
        )
    return values


def _languages(layout: Layout, total: int) -> Sequence[str]:
    """Languages of the catalogue, most frequent first; those of under 0.1% of it are left out.

    Every language adds forms to every query term, so stray labels must not.
    """
    counts: Counter[str] = Counter()
    for batch in read_products(layout, BATCH):
        counts.update(p.language for p in batch if p.language)
    return [x for x, n in counts.most_common() if n * 1000 >= total] or ["en"]


def _build(
    layout: Layout,
    directory: Path,
    analyser: Analyser,
    embedder: CatalogEmbedder | None,
    total: int,
    progress: Progress | None,
) -> list[str]:
    """Write all parts of a generation in one pass; returns the facets worth offering."""
    synonyms = layout.synonyms_file if layout.synonyms_file.exists() else None
    queries = QueryModelBuilder(analyser, synonyms)
    store = FeatureStoreBuilder(directory / "features")
    facets = FacetChoice()
    engine = EmbeddedBuilder(directory / "engine", embedder.dimension if embedder else None)
    done = 0
    for batch in read_products(layout, BATCH):
        analysed: list[AnalysedProduct] = [analyser.analyse(p) for p in batch]
        vectors = embedder.embed(batch) if embedder else None
        engine.add(analysed, vectors)
        store.add(analysed)
        facets.add(batch)
        for item in analysed:
            queries.add(item)
        done += len(batch)
        if progress:
            progress("index", done, total)
    engine.finish()
    if embedder:
        embedder.save(directory)
    store.finish()
    queries.learn(load_query_log(layout))
    queries.finish(directory / "queries")
    return facets.finish()


__all__ = ["IndexReport", "Product", "Progress", "build_index"]
