"""Topics of a catalogue's products, found in their words: what simulated creators talk about."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tandem.contracts.product import Product

Floats = NDArray[np.float64]

TERMS = 4_000
ROUNDS = 12
SHARPNESS = 10.0
_WORD = re.compile(r"[^\W\d_]{3,}")
_READ = 300  # characters of a title and category that are read
_COMMON = 0.2  # a term of more products than this says nothing


@dataclass(frozen=True)
class Topics:
    """names: (T,) unique, one or two words. membership: (N, T) of each product, rows sum to 1."""

    names: tuple[str, ...]
    membership: Floats

    @property
    def main(self) -> NDArray[np.int64]:
        """(N,) the topic that a product belongs to most."""
        found: NDArray[np.int64] = self.membership.argmax(axis=1)
        return found


def find_topics(products: Sequence[Product], count: int, rng: np.random.Generator) -> Topics:
    """Spherical k-means (Dhillon & Modha, 2001) over tf-idf of titles and categories."""
    texts = [_words(p) for p in products]
    documents = Counter(term for words in texts for term in set(words))
    common = max(_COMMON * len(products), 3)
    terms = [t for t, n in documents.most_common() if 2 <= n <= common][:TERMS] or sorted(documents)
    place = {term: i for i, term in enumerate(terms)}
    rows = [i for i, words in enumerate(texts) for w in set(words) if w in place]
    columns = [place[w] for words in texts for w in set(words) if w in place]
    weights = np.log(len(products) / np.array([documents[t] for t in terms])) + 1
    shape = (len(products), len(terms))
    matrix = sparse.csr_matrix((weights[columns], (rows, columns)), shape=shape)
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1))).ravel()
    matrix = sparse.diags(1 / np.maximum(norms, 1e-9)) @ matrix
    count = min(count, len(products))
    centres = matrix[rng.choice(len(products), count, replace=False)].toarray()
    for _ in range(ROUNDS):
        nearest = np.asarray(matrix @ centres.T).argmax(axis=1)
        members = sparse.csr_matrix(
            (np.ones(len(products)), (nearest, np.arange(len(products)))),
            shape=(count, len(products)),
        )
        sums = (members @ matrix).toarray()
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(length > 0, sums / np.maximum(length, 1e-9), centres)
    closeness = SHARPNESS * np.asarray(matrix @ centres.T)
    membership = np.exp(closeness - closeness.max(axis=1, keepdims=True))
    membership /= membership.sum(axis=1, keepdims=True)
    return Topics(_names(centres, terms), membership)


def _words(product: Product) -> list[str]:
    text = f"{product.title[:_READ]} {' '.join(product.category)[:_READ]}"
    return _WORD.findall(text.lower())


def _names(centres: Floats, terms: Sequence[str]) -> tuple[str, ...]:
    """The two heaviest terms of each centre; a number makes the unlikely second one unique."""
    names: list[str] = []
    for centre in centres:
        name = " ".join(terms[i] for i in np.argsort(-centre, kind="stable")[:2])
        names.append(name if name not in names else f"{name} {len(names)}")
    return tuple(names)
