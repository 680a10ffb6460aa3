"""Any language model may reword a brief; the listing decides which of its sentences stand.

A writer is asked for the message, the hooks and what to say in each scene, from the facts of the
listing alone: nothing about people is sent. Every sentence passes the same claim check as a
creator's own text; one that claims what the listing does not bear out is not taken, and the
template's stays in its place. Without a writer nothing is sent anywhere.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel, ValidationError

from tandem.content.claims import check_claims
from tandem.contracts.brief import Brief, Claim
from tandem.contracts.errors import InvalidInput
from tandem.contracts.product import Product

URL, MODEL, KEY = "TANDEM_WRITER_URL", "TANDEM_WRITER_MODEL", "TANDEM_WRITER_KEY"
LONGEST = 280  # characters of a sentence that is taken
MOST_BYTES = 1 << 20
INSTRUCTIONS = (
    "You reword briefs for short product videos. Use only the facts that are given. Claim nothing "
    "else: no superlatives, no health effects, no promises, no scarcity. Plain words, short "
    "sentences. Answer with one JSON object: key_message (text), hooks (three texts, to be said in "
    "the first three seconds), scenes (as many texts as there are scenes, to be said in each)."
)


class WriterError(Exception):
    """A writer gave no usable answer; says why."""


class Writer(Protocol):
    """A language model, wherever it runs."""

    def write(self, instructions: str, text: str) -> str:
        """The answer to `text`. WriterError without one."""
        ...


@dataclass(frozen=True)
class ChatWriter:
    """A model behind the chat completions interface that most servers of models offer.

    url: its base, as http://127.0.0.1:8080/v1. seconds: how long an answer may take.
    """

    url: str
    model: str
    key: str | None = None
    seconds: float = 30.0

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise InvalidInput(
                f"'{self.url}' is no address", field=URL, remedy="use http://HOST:PORT/v1"
            )

    def write(self, instructions: str, text: str) -> str:
        body = {
            "model": self.model,
            "temperature": 0.7,
            "messages": [
                {"role": "system", "content": instructions},
                {"role": "user", "content": text},
            ],
        }
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(
            f"{self.url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers
        )
        try:
            with urllib.request.urlopen(request, timeout=self.seconds) as response:
                answer = json.loads(response.read(MOST_BYTES))
            content = answer["choices"][0]["message"]["content"]
        except (urllib.error.URLError, OSError, ValueError, KeyError, IndexError, TypeError) as e:
            raise WriterError(f"the language model gave no answer ({type(e).__name__})") from e
        if not isinstance(content, str):
            raise WriterError("the language model gave no text")
        return content


def writer_from_environment(environment: Mapping[str, str] = os.environ) -> Writer | None:
    """The writer that the environment names; None: there is none, which is the default."""
    url = environment.get(URL, "").strip()
    if not url:
        return None
    return ChatWriter(url, environment.get(MODEL, "default"), environment.get(KEY) or None)


class _Draft(BaseModel):
    key_message: str
    hooks: list[str]
    scenes: list[str]


def reworded(brief: Brief, product: Product, writer: Writer) -> Brief:
    """The brief with those sentences of the writer that the listing bears out."""
    given = {
        "product": brief.title,
        "facts": brief.facts,
        "words_that_shoppers_type": [k.text for k in brief.keywords],
        "key_message": brief.key_message,
        "hooks": [{"kind": hook.kind, "say": hook.say} for hook in brief.hooks],
        "scenes": [{"name": s.name, "show": s.show, "say": s.say} for s in brief.scenes],
    }
    try:
        draft = _parsed(writer.write(INSTRUCTIONS, json.dumps(given, ensure_ascii=False)))
    except WriterError as error:
        return brief.model_copy(update={"note": f"Not reworded: {error}."})
    if len(draft.hooks) != len(brief.hooks) or len(draft.scenes) != len(brief.scenes):
        return brief.model_copy(
            update={"note": "Not reworded: the language model left hooks or scenes out."}
        )
    refused: list[Claim] = []
    taken = 0

    def chosen(new: str, old: str) -> str:
        nonlocal taken
        text = " ".join(new.split())
        unsound = [c for c in check_claims(text, product) if c.verdict != "supported"]
        refused.extend(unsound)
        if unsound or not 0 < len(text) <= LONGEST:
            return old
        taken += 1
        return text

    made = brief.model_copy(
        update={
            "key_message": chosen(draft.key_message, brief.key_message),
            "hooks": tuple(
                hook.model_copy(update={"say": chosen(new, hook.say)})
                for hook, new in zip(brief.hooks, draft.hooks, strict=True)
            ),
            "scenes": tuple(
                scene.model_copy(update={"say": chosen(new, scene.say)})
                for scene, new in zip(brief.scenes, draft.scenes, strict=True)
            ),
        }
    )
    return made.model_copy(
        update={
            "written_by": "model" if taken else "templates",
            "refused": tuple(refused),
            "note": None if taken else "Not reworded: no sentence of the model could be taken.",
        }
    )


def _parsed(answer: str) -> _Draft:
    """The JSON object in an answer, which may stand in a fence or between sentences."""
    start, end = answer.find("{"), answer.rfind("}")
    try:
        return _Draft.model_validate_json(answer[start : end + 1])
    except ValidationError:
        raise WriterError("the language model's answer is not in the form asked for") from None
