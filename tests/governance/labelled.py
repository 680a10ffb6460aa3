"""The labelled queries and how well they are recognised."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tandem.governance.personal import Finding, find_personal

HERE = Path(__file__).parent
_MARK = re.compile(r"\[(email|phone|card|iban|id|address|name):((?:\[at\]|[^\]])*)\]")


@dataclass(frozen=True)
class Labelled:
    """A query and the personal data in it."""

    language: str
    text: str
    personal: tuple[Finding, ...]


@dataclass(frozen=True)
class Score:
    """Spans found and missed. A span counts as found when a finding of its kind overlaps it;
    `covered` is the share of its letters and digits that no longer show."""

    found: int
    missed: int
    false: int
    covered: float

    @property
    def precision(self) -> float:
        return self.found / (self.found + self.false)

    @property
    def recall(self) -> float:
        return self.found / (self.found + self.missed)


def load(name: str) -> list[Labelled]:
    """`labelled_queries_<name>.tsv`."""
    lines = (HERE / f"labelled_queries_{name}.tsv").read_text(encoding="utf-8").splitlines()
    return [_parse(*line.split("\t")) for line in lines if not line.startswith("#")]


def _parse(language: str, marked: str) -> Labelled:
    text, personal, at = "", [], 0
    for match in _MARK.finditer(marked):
        text += marked[at : match.start()]
        personal.append(Finding(match[1], len(text), len(text) + len(match[2])))  # type: ignore[arg-type]
        text += match[2]
        at = match.end()
    return Labelled(language, text + marked[at:], tuple(personal))


def score(queries: Sequence[Labelled]) -> Score:
    found = missed = false = characters = hidden = 0
    for query in queries:
        got = find_personal(query.text)
        hits = [p for p in query.personal if any(_same(p, g) for g in got)]
        found += len(hits)
        missed += len(query.personal) - len(hits)
        false += sum(not any(_same(p, g) for p in query.personal) for g in got)
        covered = {i for g in got for i in range(g.start, g.end)}
        for place in _places(query):
            characters += 1
            hidden += place in covered
    return Score(found, missed, false, hidden / characters)


def _places(query: Labelled) -> Iterator[int]:
    for finding in query.personal:
        for place in range(finding.start, finding.end):
            if query.text[place].isalnum():
                yield place


def _same(one: Finding, other: Finding) -> bool:
    return one.kind == other.kind and one.start < other.end and other.start < one.end


if __name__ == "__main__":
    for name in ("development", "held_out", "hard"):
        result = score(queries := load(name))
        spans = result.found + result.missed
        print(  # noqa: T201 - the table of docs/governance.md
            f"| {name} | {len(queries)} | {spans} | {result.precision:.3f} | {result.recall:.3f} "
            f"| {result.covered:.3f} |"
        )
