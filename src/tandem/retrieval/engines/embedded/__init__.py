"""The embedded engine: tantivy for words, filters and facets; faiss for vectors."""

from tandem.retrieval.engines.embedded.builder import EmbeddedBuilder
from tandem.retrieval.engines.embedded.engine import EmbeddedEngine

__all__ = ["EmbeddedBuilder", "EmbeddedEngine"]
