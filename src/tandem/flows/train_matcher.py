"""Train a matcher of creators and products on what was shown, and publish it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput
from tandem.contracts.parties import Content, Creator
from tandem.contracts.product import Product
from tandem.flows.embedding import CatalogEmbedder
from tandem.flows.generations import publishing
from tandem.flows.telling import traced, tracked
from tandem.governance.audit import os_actor
from tandem.governance.creators import CreatorConsent
from tandem.governance.reading import EventReader
from tandem.matching.evidence import (
    Hashtags,
    Profiles,
    Showings,
    product_table,
    profile_numbers,
    showings_of,
    usual_rates,
)
from tandem.matching.matcher import FORMAT, Matcher, MatcherManifest
from tandem.matching.pairs import Floats, ProductTable, centred, unit
from tandem.matching.words import WordVectors
from tandem.ranking.learned import code_version
from tandem.retrieval.encoders.base import TextEncoder
from tandem.retrieval.encoders.loading import load_encoder
from tandem.storage.catalog import read_products
from tandem.storage.layout import Layout
from tandem.storage.parties import party_manifest, read_content, read_creators

KEEP_GENERATIONS = 3
WATCHED_SECONDS = 3.0
"""A piece that was left sooner was not watched."""
MIN_VIEWERS = 10
"""Of fewer who agreed, nothing is said about what a creator's viewers looked at."""
_BATCH = 1_024

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class MatcherReport:
    """A published matcher."""

    generation: str
    manifest: MatcherManifest
    seconds: float


@dataclass(frozen=True)
class Evidence:
    """All that a matcher learns from, in the order of `creators` and `products`."""

    creators: list[Creator]
    products: list[Product]
    profiles: Profiles
    table: ProductTable
    showings: Showings
    encoder: str
    simulated: bool
    learned_from_events: bool


@traced("train matcher", "matchers", "catalog", "creators", "content", "events")
@tracked("matchers")
def train_matcher(
    layout: Layout, progress: Progress = lambda *_: None, *, live: bool = True
) -> MatcherReport:
    """Learn from creators, content and viewers as far as they allow; publish, and switch unless it
    is to wait as a candidate.

    Figures of content are learned from where its creator agreed to `creator_marketing`; what other
    creators showed counts without its figures, and who withdrew is left out. Raises NotFound
    without creators or content, InvalidInput with too little of it.
    """
    started = time.perf_counter()
    evidence = gather(layout, progress)
    matcher, metrics = Matcher.fit(
        evidence.profiles,
        evidence.table,
        evidence.showings,
        [c.id for c in evidence.creators],
        [p.id for p in evidence.products],
    )
    manifest = MatcherManifest(
        format=FORMAT,
        trained_at=datetime.now(UTC).isoformat(timespec="seconds"),
        encoder=evidence.encoder,
        products=len(evidence.products),
        creators=len(evidence.creators),
        showings=len(evidence.showings.creator),
        measured_showings=int(evidence.showings.measured.sum()),
        simulated=evidence.simulated,
        learned_from_events=evidence.learned_from_events,
        code_version=code_version(),
        catalog_generation=layout.catalog.live() or "",
        creator_generation=layout.creators.live() or "",
        content_generation=layout.content.live() or "",
        metrics=metrics,
    )
    with publishing(layout, "matchers", live=live, keep=KEEP_GENERATIONS) as (name, scratch):
        matcher.save(scratch, manifest)
    return MatcherReport(name, manifest, time.perf_counter() - started)


def gather(layout: Layout, progress: Progress = lambda *_: None) -> Evidence:
    """Everything that may be learned from. Raises NotFound without creators or content."""
    simulated = party_manifest(layout, "creators").simulated
    simulated = party_manifest(layout, "content").simulated or simulated
    consent = CreatorConsent.of(layout)
    creators = consent.shown(read_creators(layout))
    products = [product for batch in read_products(layout) for product in batch]
    content = read_content(layout)
    encoder = load_encoder(layout.settings().encoder, layout.root) or WordVectors()
    vectors = _product_vectors(layout, products, encoder, progress)
    creator_number = {c.id: i for i, c in enumerate(creators)}
    product_number = {p.id: i for i, p in enumerate(products)}
    agreed = np.array([consent.exact(c.id) for c in creators], np.bool_)
    showings = showings_of(content, creator_number, product_number, agreed)
    if not len(showings.creator):
        raise InvalidInput(
            "no content shows a product of the catalogue by a known creator",
            field="product_ids",
            remedy="import creators and content that name each other: see docs/data.md",
        )
    profiles, learned = _profiles(layout, creators, content, products, vectors, encoder)
    encoder.forget()
    return Evidence(
        creators,
        products,
        profiles,
        product_table(products, vectors, showings, usual_rates(showings)),
        showings,
        encoder.name,
        simulated or layout.settings().simulated,
        learned,
    )


def _product_vectors(
    layout: Layout,
    products: Sequence[Product],
    encoder: TextEncoder | WordVectors,
    progress: Progress,
) -> Floats:
    embedder = CatalogEmbedder(encoder, layout.index.live_path())
    out = np.empty((len(products), encoder.dimension), np.float32)
    for start in range(0, len(products), _BATCH):
        batch = products[start : start + _BATCH]
        out[start : start + len(batch)] = embedder.embed(batch)
        progress("products", start + len(batch), len(products))
    return centred(out)


def _profiles(
    layout: Layout,
    creators: Sequence[Creator],
    content: Sequence[Content],
    products: Sequence[Product],
    vectors: Floats,
    encoder: TextEncoder | WordVectors,
) -> tuple[Profiles, bool]:
    """What creators say, and what their viewers looked at; whether events went into it."""
    viewed, learned = _viewed(layout, creators, content, products, vectors)
    profiles = Profiles(
        centred(_told(encoder, [" ".join((*c.topics, c.bio)).strip() for c in creators])),
        centred(_mixed(encoder, [c.audience.by_category for c in creators])),
        viewed,
        _hashtags(encoder, content),
        profile_numbers(creators),
    )
    return profiles, learned


def _hashtags(encoder: TextEncoder | WordVectors, content: Sequence[Content]) -> Hashtags:
    from scipy import sparse

    tags = sorted({tag for piece in content for tag in piece.hashtags})
    place = {tag: i for i, tag in enumerate(tags)}
    pairs = [(i, place[tag]) for i, piece in enumerate(content) for tag in piece.hashtags]
    rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
    shape = (len(content), len(tags))
    of_piece = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape)
    return Hashtags(of_piece, centred(_told(encoder, tags)))


def _told(encoder: TextEncoder | WordVectors, texts: Sequence[str]) -> Floats:
    out = np.zeros((len(texts), encoder.dimension), np.float32)
    said = [i for i, text in enumerate(texts) if text]
    for start in range(0, len(said), _BATCH):
        rows = said[start : start + _BATCH]
        out[rows] = encoder.encode([texts[i] for i in rows])
    return out


def _mixed(encoder: TextEncoder | WordVectors, weights: Sequence[Mapping[str, float]]) -> Floats:
    """Weighted means of words' vectors, each word encoded once."""
    words = sorted({word for row in weights for word in row})
    place = {word: i for i, word in enumerate(words)}
    known = _told(encoder, words)
    out = np.zeros((len(weights), encoder.dimension), np.float32)
    for i, row in enumerate(weights):
        for word, weight in row.items():
            out[i] += weight * known[place[word]]
    return unit(out)


def _viewed(
    layout: Layout,
    creators: Sequence[Creator],
    content: Sequence[Content],
    products: Sequence[Product],
    vectors: Floats,
) -> tuple[Floats, bool]:
    """(C, d) mean of the products in what a creator's viewers watched of others, for creators with
    MIN_VIEWERS who allow it."""
    from scipy import sparse

    out = np.zeros((len(creators), vectors.shape[1]), np.float32)
    if not layout.events.is_dir():
        return out, False
    reader = EventReader(layout, Purpose.CREATOR_MARKETING, actor=os_actor())
    with reader.reading() as events:
        columns = ("client", "creator_id", "object_id", "query_id")
        rows = events.table((*columns, "action_name", "seconds", "traffic")).table
    import pyarrow.compute as pc

    watched = pc.and_(
        pc.and_(pc.equal(rows["action_name"], "watch"), pc.equal(rows["traffic"], "shopper")),
        pc.greater_equal(pc.fill_null(rows["seconds"], 0.0), WATCHED_SECONDS),
    )
    rows = rows.filter(watched)
    if not rows.num_rows:
        return out, False
    creator_of = {c.id: i for i, c in enumerate(creators)}
    product_of = {p.id: i for i, p in enumerate(products)}
    shows = {c.id: [product_of[p] for p in c.product_ids if p in product_of] for c in content}
    clients: dict[str, int] = {}
    seen: list[tuple[int, int, int]] = []
    told: set[tuple[str, str, str]] = set()
    for client, creator, piece, query in zip(
        *(rows[name].to_pylist() for name in columns), strict=True
    ):
        if query is not None:
            if (client, piece, query) in told:
                continue  # a player tells of one viewing at every pause
            told.add((client, piece, query))
        number = clients.setdefault(client, len(clients))
        at = creator_of.get(creator, -1)
        seen += [(number, at, product) for product in shows.get(piece, ())]
    if not seen:
        return out, False
    client, creator, product = np.array(seen, np.int64).T
    ones = np.ones(len(client), np.float32)
    watching = sparse.csr_matrix((ones, (client, product)), (len(clients), len(products)))
    known = creator >= 0
    shape = (len(creators), len(clients))
    viewers = sparse.csr_matrix((ones[known], (creator[known], client[known])), shape)
    viewers.data[:] = 1
    own = sparse.csr_matrix(
        (ones[known], (creator[known], product[known])), (len(creators), len(products))
    )
    enough = np.asarray(viewers.sum(axis=1)).ravel() >= MIN_VIEWERS
    beside = (viewers @ watching - own).tocsr()
    out[enough] = unit(np.asarray(beside[enough] @ vectors, np.float32))
    return out, True
