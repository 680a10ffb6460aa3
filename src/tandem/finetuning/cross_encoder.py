"""Fine-tune a cross-encoder: a BERT that reads query and product together and says how relevant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tandem.finetuning.bert import Bert, Schedule, Told, require_torch, seeded
from tandem.finetuning.judged import JudgedQuery, gains

PAIRS_PER_BATCH = 32


def finetune_cross_encoder(
    base: Path,
    queries: Sequence[JudgedQuery],
    target: Path,
    schedule: Schedule,
    told: Told | None = None,
) -> dict[str, Any]:
    """Train a cross-encoder from the encoder in `base` on judged pairs and write it to `target`,
    which exists.

    One output over the pooled first token, and binary cross-entropy pair by pair (Nogueira & Cho
    2019), with the scaled gain as the target where they have relevant or not: with few judged
    queries it learns from every pair. Returns what the manifest keeps: loss by epoch, precision.

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
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    bert = Bert(torch, model, base)
    rng = np.random.default_rng(schedule.seed)
    pairs = [(q.text, text) for q in queries for text in q.products]
    wanted = np.concatenate([gains(q.relevance) for q in queries])

    def loss(rows: np.ndarray) -> Any:
        logits = bert.model(**bert.inputs([pairs[i] for i in rows.tolist()])).logits[:, 0]
        return torch.nn.functional.binary_cross_entropy_with_logits(
            logits.float(), bert.tensor(wanted[rows])
        )

    def epoch() -> list[np.ndarray]:
        order = rng.permutation(len(pairs))
        return [order[i : i + PAIRS_PER_BATCH] for i in range(0, len(order), PAIRS_PER_BATCH)]

    losses = bert.optimise([epoch() for _ in range(schedule.epochs)], loss, schedule, told)
    label = {"id2label": {"0": "relevance"}, "label2id": {"relevance": 0}}
    bert.save(target, {"architectures": ["BertForSequenceClassification"], **label})
    return {"loss": losses, "precision": bert.precision}
