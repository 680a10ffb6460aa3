"""A language model behind the brief: off by default, and held to the listing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tandem.content.briefs import make_brief
from tandem.content.claims import check_claims
from tandem.content.writing import ChatWriter, WriterError, reworded, writer_from_environment
from tandem.contracts.errors import InvalidInput
from tandem.contracts.product import Money, Product

SPEAKER = Product(
    id="SP-1",
    title="Acme portable speaker",
    brand="Acme",
    category=("Audio", "Speakers"),
    attributes={"battery_hours": 12.0, "color": "teal", "wireless": True},
    price=Money(amount=Decimal("49.90"), currency="EUR"),
)
BRIEF = make_brief(SPEAKER, ())
GOOD = {
    "key_message": "A teal wireless speaker by Acme for 49.90 EUR.",
    "hooks": ["Teal, and it plays.", "Listen to this.", "It is wireless."],
    "scenes": [f"Scene {n} in my own words." for n in "abcde"],
}


class Saying:
    """A model that says what it is told to, and remembers what it was asked."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.asked = ""

    def write(self, instructions: str, text: str) -> str:
        self.asked = text
        return self.answer


def test_sound_sentences_are_taken():
    model = Saying(f"Here you are:\n```json\n{json.dumps(GOOD)}\n```")
    brief = reworded(BRIEF, SPEAKER, model)
    assert brief.written_by == "model"
    assert brief.key_message == GOOD["key_message"]
    assert [h.say for h in brief.hooks] == GOOD["hooks"]
    assert [s.say for s in brief.scenes] == GOOD["scenes"]
    assert brief.refused == ()
    # Facts, disclosure and words of shoppers stay what they were.
    assert (brief.facts, brief.disclosure, brief.keywords, brief.dont) == (
        BRIEF.facts,
        BRIEF.disclosure,
        BRIEF.keywords,
        BRIEF.dont,
    )
    assert "Acme portable speaker" in model.asked


@pytest.mark.parametrize(
    "lie",
    [
        "The best speaker ever.",
        "It is waterproof.",
        "Only 19.90 EUR!",
        "It plays for 400 W of bass.",
    ],
)
def test_a_claim_that_the_listing_does_not_bear_out_is_not_taken(lie):
    answer = {**GOOD, "key_message": lie, "hooks": [lie, *GOOD["hooks"][1:]]}
    brief = reworded(BRIEF, SPEAKER, Saying(json.dumps(answer)))
    assert brief.key_message == BRIEF.key_message
    assert brief.hooks[0] == BRIEF.hooks[0]
    assert brief.hooks[1].say == GOOD["hooks"][1]
    assert len(brief.refused) >= 2
    said = [brief.key_message, *(h.say for h in brief.hooks), *(s.say for s in brief.scenes)]
    assert all(c.verdict == "supported" for t in said for c in check_claims(t, SPEAKER))


@pytest.mark.parametrize(
    "answer",
    ["I cannot do that.", "{}", json.dumps({**GOOD, "scenes": ["one"]}), '{"key_message": 3}', ""],
)
def test_an_answer_in_another_form_leaves_the_templates(answer):
    brief = reworded(BRIEF, SPEAKER, Saying(answer))
    assert brief.note
    assert brief.model_copy(update={"note": None}) == BRIEF


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    """A local fake of a server of models."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.server.asked = (self.path, dict(self.headers), body)  # type: ignore[attr-defined]
            if body["model"] == "broken":
                self.send_error(500)
                return
            answer = {"choices": [{"message": {"content": json.dumps(GOOD)}}]}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_over_http(server):
    url = f"http://127.0.0.1:{server.server_port}/v1"
    brief = reworded(BRIEF, SPEAKER, ChatWriter(url, "small", "secret"))
    assert brief.written_by == "model"
    path, headers, body = server.asked
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret"
    assert body["model"] == "small"
    assert [m["role"] for m in body["messages"]] == ["system", "user"]
    with pytest.raises(WriterError):
        ChatWriter(url, "broken").write("", "")
    kept = reworded(BRIEF, SPEAKER, ChatWriter(url, "broken"))
    assert kept.written_by == "templates"
    assert "server answered 500" in str(kept.note)


def test_there_is_no_writer_unless_somebody_names_one():
    assert writer_from_environment({}) is None
    named = writer_from_environment({"TANDEM_WRITER_URL": "http://127.0.0.1:1/v1"})
    assert isinstance(named, ChatWriter)
    with pytest.raises(InvalidInput, match="no address"):
        writer_from_environment({"TANDEM_WRITER_URL": "file:///etc/passwd"})


def test_the_key_is_not_taken_along_to_another_address(server):
    class Elsewhere(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{server.server_port}/v1/chat")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server.asked = None
    with serving(Elsewhere) as url, pytest.raises(WriterError, match="answered 302"):
        ChatWriter(url, "small", "secret").write("", "")
    assert server.asked is None


def test_a_server_that_answers_drop_by_drop_is_given_up_in_time():
    class Dripping(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(200):
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    time.sleep(0.05)
            except OSError:
                pass  # nobody listens any more

        def log_message(self, *_: object) -> None:
            pass

    with serving(Dripping) as url:
        begun = time.monotonic()
        kept = reworded(BRIEF, SPEAKER, ChatWriter(url, "slow", seconds=0.3))
        assert time.monotonic() - begun < 5
    assert kept.written_by == "templates"
    assert "no answer (TimeoutError)" in str(kept.note)


def test_thoughts_parts_and_whole_addresses_are_understood():
    thought = f"<think>{{perhaps}} {{not}}</think>```json\n{json.dumps(GOOD)}\n```"
    assert reworded(BRIEF, SPEAKER, Saying(thought)).written_by == "model"
    paths = []

    class InParts(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paths.append(self.path)
            parts = [{"type": "text", "text": "first "}, {"type": "text", "text": "second"}]
            body = json.dumps({"choices": [{"message": {"content": parts}}]}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with serving(InParts) as url:
        assert ChatWriter(url, "m").write("", "") == "first second"
        assert ChatWriter(f"{url}/chat/completions", "m").write("", "") == "first second"
    assert paths == ["/v1/chat/completions"] * 2


def test_the_writer_is_told_the_language_and_how_long_it_may_take():
    model = Saying(json.dumps(GOOD))
    reworded(make_brief(SPEAKER, (), "fr"), SPEAKER, model)
    assert json.loads(model.asked)["language"] == "fr"
    at = {"TANDEM_WRITER_URL": "http://127.0.0.1:1/v1"}
    writer = writer_from_environment({**at, "TANDEM_WRITER_SECONDS": "5"})
    assert writer.seconds == 5
    for wrong in ("soon", "0"):
        with pytest.raises(InvalidInput, match="TANDEM_WRITER_SECONDS"):
            writer_from_environment({**at, "TANDEM_WRITER_SECONDS": wrong})


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
