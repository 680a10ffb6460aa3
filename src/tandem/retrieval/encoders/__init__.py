"""Text encoders, pluggable by name. Everything works without one; then there is no dense search."""

from tandem.retrieval.encoders.base import TextEncoder, product_text
from tandem.retrieval.encoders.loading import DEFAULT_ENCODER, load_encoder

__all__ = ["DEFAULT_ENCODER", "TextEncoder", "load_encoder", "product_text"]
