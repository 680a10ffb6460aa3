"""Tandem's stages beside the bare engines behind them, on the same queries in the same process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.timing import Row, latencies, throughput
from tandem.contracts.search import Filters, SearchRequest
from tandem.features.evidence import FIELD_WEIGHTS
from tandem.flows.view import RERANKED
from tandem.flows.workspace import Workspace
from tandem.retrieval.engines.embedded.clauses import words
from tandem.retrieval.engines.embedded.schema import schema
from tandem.retrieval.engines.embedded.vectors import EF_SEARCH
from tandem.retrieval.pipeline import Lexical

K = RERANKED
CALLS = 600
SECONDS = 4.0


def measure(shop: Workspace, queries: Sequence[str], quick: bool) -> dict[str, Row]:
    """A row per kind of search."""
    view = shop.view
    snapshot: Any = view.snapshot
    table = schema()
    lexical = Lexical(FIELD_WEIGHTS, k=K)
    asked = [view.understand(SearchRequest(q=q)) for q in queries]
    parsed = [lexical.query(u) for u in asked]
    vectors = [view.encoder.encode([q])[0] for q in queries] if view.encoder else []
    brand = snapshot.facets(None, Filters(), ("brand",), 3)["brand"][0].value
    narrow = Filters(brand=(brand,))
    searcher = snapshot._searcher
    clauses = [words(table, p) for p in parsed]
    numbers = range(len(queries))
    works: dict[str, Callable[[int], Any]] = {
        "tantivy alone": lambda i: searcher.search(clauses[i], K, count=False).hits,
        "first stage: words": lambda i: snapshot.lexical(parsed[i], K, Filters()),
        "first stage: words, filtered": lambda i: snapshot.lexical(parsed[i], K, narrow),
        "counts and two facets": lambda i: snapshot.facets(
            parsed[i], Filters(), ("brand", "category"), 30
        ),
        "faiss alone": _bare_faiss(snapshot, vectors),
        "first stage: vectors": lambda i: snapshot.dense(vectors[i], K, Filters()),
        "first stage: vectors, filtered": lambda i: snapshot.dense(vectors[i], K, narrow),
        "search: bm25": lambda i: shop.search(queries[i], k=20, ranker="bm25"),
        "search: hybrid": lambda i: shop.search(queries[i], k=20, ranker="hybrid"),
        "search: hybrid + ltr over 300": lambda i: shop.search(queries[i], k=20, ranker="ltr"),
        "search: all of it, with facets": lambda i: shop.search(
            queries[i], k=20, ranker="ltr", facets=("brand", "category")
        ),
        "suggest": lambda i: shop.suggest(queries[i][: 3 + i % 5]),
    }
    calls = np.resize(np.arange(len(numbers)), 30 if quick else CALLS).tolist()
    rows = {}
    for name, work in works.items():
        row = latencies(work, calls, warm=5 if quick else 20)
        row["qps_1_thread"] = throughput(work, calls, 1, 0.2 if quick else SECONDS)
        row["qps_2_threads"] = throughput(work, calls, 2, 0.2 if quick else SECONDS)
        rows[name] = row
    for stage, bare in (("words", "tantivy alone"), ("vectors", "faiss alone")):
        row = rows[f"first stage: {stage}"]
        row["times_bare"] = round(row["p50_ms"] / max(rows[bare]["p50_ms"], 1e-6), 2)
    return rows


def titles(shop: Workspace, queries: Sequence[str], quick: bool) -> Row:
    """The peers' work done by the embedded engine: the best 100 by any word in the title."""
    view = shop.view
    lexical = Lexical({"title": 1.0}, k=peers.K)
    calls = (list(queries) * (peers.CALLS // len(queries) + 1))[: 40 if quick else peers.CALLS]

    def search(query: str) -> Any:
        asked = lexical.query(view.understand(SearchRequest(q=query)))
        return view.snapshot.lexical(asked, peers.K, Filters())

    return latencies(search, calls, warm=5)


def _bare_faiss(snapshot: Any, vectors: Sequence[Any]) -> Callable[[int], Any]:
    """The same index without anything around it: the graph, or a flat index where there is none."""
    import faiss

    held = snapshot._vectors
    if held._large is not None:
        graph = held._large._graph
        parameters = faiss.SearchParametersHNSW(efSearch=max(K, EF_SEARCH))
        return lambda i: graph.search(vectors[i][None, :], K, params=parameters)
    flat = faiss.IndexFlatIP(held.matrix.shape[1])
    flat.add(np.ascontiguousarray(held.matrix, np.float32))
    return lambda i: flat.search(vectors[i][None, :], K)


def recall(shop: Workspace, queries: Sequence[str]) -> Row:
    """Share of the exact 100 nearest that the dense stage finds, without a filter and under one."""
    view = shop.view
    snapshot: Any = view.snapshot
    assert view.encoder is not None
    held = snapshot._vectors
    brands = snapshot.facets(None, Filters(), ("brand",), 1000)["brand"]
    row: Row = {}
    for name, filters in (
        ("no filter", Filters()),
        ("common brand", Filters(brand=(brands[0].value,))),
        ("half the brands", Filters(brand=tuple(b.value for b in brands[::2]))),
    ):
        eligible = np.flatnonzero(snapshot._eligible(filters))
        found, n = 0, min(100, eligible.size)
        asked = queries[:50]
        for query in asked:
            vector = view.encoder.encode([query])[0]
            scores = np.concatenate(
                [
                    np.asarray(held.matrix[eligible[at : at + 100_000]], np.float32) @ vector
                    for at in range(0, eligible.size, 100_000)
                ]
            )
            exact = set(eligible[np.argsort(-scores)[:n]].tolist())
            found += len(exact & set(snapshot.dense(vector, n, filters).numbers.tolist()))
        row[f"recall@100, {name} ({eligible.size:,} eligible)"] = round(found / (len(asked) * n), 4)
    return row
