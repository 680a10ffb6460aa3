"""Fine-tune an encoder: queries near the products that people found relevant for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tandem.finetuning.bert import Bert, Schedule, Told, require_torch, seeded
from tandem.finetuning.judged import JudgedQuery, Part, gains, in_batches, stratified_parts
from tandem.retrieval.encoders.graph import pooling_of

QUERIES_PER_BATCH = 8
PRODUCTS_PER_QUERY = 8
SCALE = 20.0  # inverse temperature of the softmax over cosines, as usual for this loss


def finetune_encoder(
    base: Path,
    queries: Sequence[JudgedQuery],
    target: Path,
    schedule: Schedule,
    told: Told | None = None,
) -> dict[str, Any]:
    """Train the encoder in `base` on judged queries and write it to `target`, which exists.

    The loss is the cross-entropy between two distributions over the products of a batch: softmax
    of the scaled cosines, and the query's gains. It is ListNet's (Cao et al. 2007) with the other
    queries' products beside as negatives (Henderson et al. 2017), so it learns from grades and
    from in-batch negatives at once. Returns what the manifest keeps: loss by epoch, precision.

    MissingExtra without torch.
    """
    torch = require_torch()
    with seeded(torch, schedule.seed):
        return _train(torch, base, queries, target, schedule, told)


def _train(
    torch: Any,
    base: Path,
    queries: Sequence[JudgedQuery],
    target: Path,
    schedule: Schedule,
    told: Told | None,
) -> dict[str, Any]:
    from transformers import AutoModel

    bert = Bert(torch, AutoModel.from_pretrained(base), base)
    pooling = pooling_of(base)
    rng = np.random.default_rng(schedule.seed)
    known = [dict(zip(q.products, q.relevance.tolist(), strict=True)) for q in queries]

    def embed(texts: Sequence[str]) -> Any:
        inputs = bert.inputs(texts)
        states = bert.model(**inputs).last_hidden_state.float()
        if pooling == "cls":
            pooled = states[:, 0]
        else:
            pooled = (states * inputs["attention_mask"][:, :, None]).sum(1)
        return torch.nn.functional.normalize(pooled, dim=1)

    def loss(batch: Sequence[Part]) -> Any:
        texts = list(dict.fromkeys(queries[p.query].products[i] for p in batch for i in p.products))
        rows = list(dict.fromkeys(p.query for p in batch))
        target_gains = gains(relevance_matrix([known[row] for row in rows], texts))
        scores = SCALE * embed([queries[row].text for row in rows]) @ embed(texts).T
        wanted = bert.tensor(target_gains)
        total = wanted.sum(1)
        answerable = total > 0
        shares = wanted[answerable] / total[answerable, None]
        logs = torch.log_softmax(scores[answerable], dim=1)
        return -(shares * logs).sum(1).mean()

    epochs = [
        list(in_batches(stratified_parts(queries, PRODUCTS_PER_QUERY, rng), QUERIES_PER_BATCH))
        for _ in range(schedule.epochs)
    ]
    losses = bert.optimise(epochs, loss, schedule, told)
    bert.save(target, {"architectures": ["BertModel"]})
    return {"loss": losses, "precision": bert.precision}


def relevance_matrix(known: Sequence[dict[str, float]], texts: Sequence[str]) -> np.ndarray:
    """(queries, texts) float32 relevance; a text that a query has no judgment of counts as 0."""
    return np.array([[judged.get(text, 0.0) for text in texts] for judged in known], np.float32)
