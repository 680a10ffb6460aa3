"""A BERT to train: loaded from a folder, optimised, saved for the converter of the serving side.

The loop is a plain one (AdamW of Loshchilov & Hutter 2019, linear warm-up and decay as in Devlin et
al. 2019), because the library's trainer would need two more dependencies to do the same.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tandem.contracts.errors import MissingExtra
from tandem.retrieval.encoders.onnx import tokenizer_of

WARM_UP = 0.1  # of all steps
WEIGHT_DECAY = 0.01
MAX_NORM = 1.0
# Belongs to the model's folder beside the weights, where the base has it.
LAYOUT = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
)
Told = Callable[[int, int], None]
"""Called with (steps done, all steps)."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn. rate: the highest learning rate."""

    epochs: int
    rate: float
    seed: int


def require_torch() -> Any:
    """The torch module; MissingExtra where it or transformers is not installed."""
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtra(
            f"fine-tuning needs torch and transformers ({error.name} is not installed)",
            remedy="pip install 'tandem-commerce[neural]'",
        ) from None
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return torch


@dataclass
class Bert:
    """A trainable model of the transformers library with the tokenizer that serves it.

    precision: `bfloat16` for the matrix products where the processor has them, else `float32`;
    weights are float32 always.
    """

    torch: Any
    model: Any
    base: Path
    tokenizer: Any = field(init=False)
    device: str = field(init=False)
    precision: str = field(init=False)

    def __post_init__(self) -> None:
        torch = self.torch
        self.tokenizer = tokenizer_of(self.base / "tokenizer.json")
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        fast = self.device == "cuda" or torch.cpu._is_avx512_bf16_supported()
        self.precision = "bfloat16" if fast else "float32"
        self.model.to(self.device)
        # Word embeddings are half of the weights, and most words are in no judged product: moving
        # only some would take them out of their neighbourhood.
        for parameter in self.model.base_model.embeddings.parameters():
            parameter.requires_grad_(False)

    def inputs(self, texts: Sequence[Any]) -> dict[str, Any]:
        """Padded tokens of texts, or of pairs of texts."""
        encoded = self.tokenizer.encode_batch(list(texts))
        width = max(len(e.ids) for e in encoded)
        ids, segments, mask = np.zeros((3, len(encoded), width), np.int64)
        for i, e in enumerate(encoded):
            ids[i, : len(e.ids)] = e.ids
            segments[i, : len(e.ids)] = e.type_ids
            mask[i, : len(e.ids)] = 1
        named = {"input_ids": ids, "token_type_ids": segments, "attention_mask": mask}
        return {k: self.torch.from_numpy(v).to(self.device) for k, v in named.items()}

    def tensor(self, values: np.ndarray) -> Any:
        return self.torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    def optimise(
        self,
        epochs: Sequence[Sequence[Any]],
        loss_of: Callable[[Any], Any],
        schedule: Schedule,
        told: Told | None = None,
    ) -> list[float]:
        """Minimise `loss_of(batch)` over the batches of all epochs; returns each epoch's mean."""
        torch = self.torch
        steps = sum(len(batches) for batches in epochs)
        rising = max(1, round(WARM_UP * steps))

        def rate(step: int) -> float:
            return min((step + 1) / rising, (steps - step) / max(1, steps - rising))

        trained = [p for p in self.model.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=schedule.rate, weight_decay=WEIGHT_DECAY)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
        self.model.train()
        means, done = [], 0
        for batches in epochs:
            losses = []
            for batch in batches:
                with torch.autocast(
                    self.device, dtype=torch.bfloat16, enabled=self.precision == "bfloat16"
                ):
                    loss = loss_of(batch)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(trained, MAX_NORM)
                optimiser.step()
                scheduler.step()
                optimiser.zero_grad()
                losses.append(float(loss.detach()))
                done += 1
                if told:
                    told(done, steps)
            means.append(float(np.mean(losses)))
        return means

    def save(self, directory: Path, changed: dict[str, Any]) -> None:
        """Write weights, configuration (the base's with `changed`) and tokenizer: the layout of
        sentence-transformers, in safetensors."""
        from safetensors.numpy import save_file

        for name in LAYOUT:
            if (self.base / name).is_file():
                (directory / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.base / name, directory / name)
        config = json.loads((self.base / "config.json").read_text(encoding="utf-8"))
        text = json.dumps({**config, **changed}, indent=2)
        (directory / "config.json").write_text(text + "\n", encoding="utf-8")
        state = self.model.state_dict()
        weights = {k: v.detach().float().cpu().numpy() for k, v in state.items()}
        save_file(weights, directory / "model.safetensors", {"format": "pt"})


@contextmanager
def seeded(torch: Any, seed: int) -> Iterator[None]:
    """torch's random numbers start at `seed` inside, and are the caller's own again outside."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
