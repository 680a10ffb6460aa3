"""Any language model may reword a brief; the listing decides which of its sentences stand.

A writer is asked for the message, the hooks and what to say in each scene, from the facts of the
listing alone: nothing about people is sent. Every sentence passes the same claim check as a
creator's own text; one that claims what the listing does not bear out is not taken, and the
template's stays in its place. Without a writer nothing is sent anywhere.
"""

from __future__ import annotations

import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Protocol

from pydantic import BaseModel, ValidationError

from tandem.content.claims import check_claims
from tandem.contracts.brief import Brief, Claim
from tandem.contracts.errors import InvalidInput
from tandem.contracts.product import Product

URL, MODEL, KEY = "TANDEM_WRITER_URL", "TANDEM_WRITER_MODEL", "TANDEM_WRITER_KEY"
SECONDS = "TANDEM_WRITER_SECONDS"
CHAT = "/chat/completions"
_AT_ONCE = 1 << 16
LONGEST = 280  # characters of a sentence that is taken
MOST_BYTES = 1 << 20
INSTRUCTIONS = (
    "You reword briefs for short product videos. Use only the facts that are given. Claim nothing "
    "else: no superlatives, no health effects, no promises, no scarcity. Plain words, short "
    "sentences. Answer with one JSON object: key_message (text), hooks (three texts, to be said in "
    "the first three seconds), scenes (as many texts as there are scenes, to be said in each). "
    "Write in the language whose code is given as language."
)


_THOUGHTS = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)


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

    url: its base, as http://127.0.0.1:8080/v1, or the whole address of its chat completions.
    seconds: how long an answer may take in all, however slowly it comes.
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
        if not self.seconds > 0:
            raise InvalidInput(f"{self.seconds} seconds", field=SECONDS, remedy="allow some, as 30")

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
        address = self.url.rstrip("/")
        address = address if address.endswith(CHAT) else address + CHAT
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        try:
            answer = json.loads(self._read(request))
            content = answer["choices"][0]["message"]["content"]
        except urllib.error.HTTPError as e:
            raise WriterError(f"the language model's server answered {e.code}") from e
        except (OSError, HTTPException, ValueError, KeyError, IndexError, TypeError) as e:
            raise WriterError(f"the language model gave no answer ({type(e).__name__})") from e
        if isinstance(content, list):  # some servers answer in parts
            parts = (p.get("text") for p in content if isinstance(p, dict))
            content = "".join(p for p in parts if isinstance(p, str))
        if not isinstance(content, str) or not content.strip():
            raise WriterError("the language model gave no text")
        return content

    def _read(self, request: urllib.request.Request) -> bytes:
        """The body, within the time for all of it. TimeoutError after that."""
        until = time.monotonic() + self.seconds
        body = b""
        with _DIRECT.open(request, timeout=self.seconds) as response:
            while part := response.read1(_AT_ONCE):
                body += part
                if time.monotonic() > until:
                    raise TimeoutError
                if len(body) > MOST_BYTES:
                    raise ValueError("an answer of more than a megabyte")
        return body


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other error: the key and the text are for one address."""

    def redirect_request(self, *_: object) -> None:
        return None


_DIRECT = urllib.request.build_opener(_NoRedirect)


def writer_from_environment(environment: Mapping[str, str] = os.environ) -> Writer | None:
    """The writer that the environment names; None: there is none, which is the default."""
    url = environment.get(URL, "").strip()
    if not url:
        return None
    try:
        seconds = float(environment.get(SECONDS) or 30)
    except ValueError:
        raise InvalidInput(
            f"'{environment[SECONDS]}' is no number", field=SECONDS, remedy="write seconds, as 30"
        ) from None
    model, key = environment.get(MODEL, "default"), environment.get(KEY) or None
    return ChatWriter(url, model, key, seconds)


class _Draft(BaseModel):
    key_message: str
    hooks: list[str]
    scenes: list[str]


def reworded(brief: Brief, product: Product, writer: Writer) -> Brief:
    """The brief with those sentences of the writer that the listing bears out."""
    given = {
        "language": brief.language,
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
    """The JSON object in an answer, which may stand in a fence or between sentences, or after what
    a model thought aloud."""
    answer = _THOUGHTS.sub("", answer)
    start, end = answer.find("{"), answer.rfind("}")
    try:
        return _Draft.model_validate_json(answer[start : end + 1])
    except ValidationError:
        raise WriterError("the language model's answer is not in the form asked for") from None
