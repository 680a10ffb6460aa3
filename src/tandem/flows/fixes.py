"""A fix of the search as a versioned artefact: proposed, asked by the gates, promoted or refused.

What insight proposes are synonyms and merchandising rules. A proposal is a generation of `rules`
that is not live: the shop's files with the fix in them, with its finding and parent as lineage.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tandem.contracts.errors import Conflict, InvalidInput
from tandem.contracts.judgment import JudgmentList
from tandem.contracts.registry import Decision, Gate
from tandem.contracts.search import Hit, SearchRequest
from tandem.experiments import gates
from tandem.experiments.measures import parse_measures, score
from tandem.flows.artefacts import (
    RULES,
    SYNONYMS,
    register_rules,
    restore_rules,
    roll_back_artefact,
    write_rules,
)
from tandem.flows.index import build_index
from tandem.flows.registry import decide, known_gates, waiting
from tandem.flows.search import answer
from tandem.flows.view import View
from tandem.flows.workspace import Workspace
from tandem.insights.findings import Finding
from tandem.queries.model import QueryModel
from tandem.ranking.business import BusinessPolicy, Rule
from tandem.ranking.learned import code_version
from tandem.registry import tracking
from tandem.registry.decisions import Decisions
from tandem.registry.lineage import DataSet, job
from tandem.storage.layout import Layout

Synonyms = Sequence[tuple[list[str], list[str]]]
QUERIES = 500  # judged ones at most that both searches answer
TURNS = 3  # that a query is timed; the quickest counts, since other work only ever slows it


@dataclass(frozen=True)
class Fix:
    """A change of the search: synonyms as in `synonyms.txt`, rules as in `rules.json`."""

    says: str
    synonyms: Synonyms = ()
    rules: tuple[Rule, ...] = ()

    @property
    def lines(self) -> list[str]:
        return [f"{', '.join(a)} => {', '.join(b)}" for a, b in self.synonyms]


@dataclass(frozen=True)
class Trial:
    """What an A/B test of a fix said. verdict: None where none was run, and `because` why."""

    verdict: str | None
    because: str


def fix_of(finding: Finding) -> Fix:
    """What a finding proposes. InvalidInput where it is neither a synonym nor rules."""
    payload = finding.fix.payload
    if finding.fix.kind == "synonym":
        phrase, meant = payload["phrase"], payload["meant"]
        return Fix(finding.fix.summary, [([phrase], [phrase, meant])])
    if finding.fix.kind == "rule":
        rules = [
            Rule(**{**rule, "id": f"{finding.id}-{number}"})
            for number, rule in enumerate(payload["rules"])
        ]
        return Fix(finding.fix.summary, rules=tuple(rules))
    raise InvalidInput(
        f"the fix of '{finding.id}' is a {finding.fix.kind.replace('_', ' ')}",
        field="finding",
        remedy="only synonyms and rules can be proposed; train a ranker for the rest",
    )


def with_fix(view: View, layout: Layout, fix: Fix) -> View:
    """A view as it would be with the fix; the shop itself stays as it is."""
    if fix.synonyms:
        folder = layout.index.path(view.generation) / "queries"
        view = replace(view, queries=QueryModel.load(folder, fix.synonyms))
    if fix.rules:
        rules = (*view.policy.rules, *fix.rules)
        view = replace(view, policy=view.policy.model_copy(update={"rules": rules}))
    return view


def propose(layout: Layout, fix: Fix, *, who: str, why: str, finding: str | None = None) -> str:
    """Keep a fix as a candidate generation of the rules; its name. Nothing goes live.

    finding: id of what it mends. Conflict for a rule's id that the shop has already.
    """
    register_rules(layout, who=who, why="as they were before a fix", also_none=True)
    policy = BusinessPolicy.load(layout.rules_file)
    taken = {r.id for r in policy.rules} & {r.id for r in fix.rules}
    if taken:
        raise Conflict(
            f"the shop has a rule '{min(taken)}' already", remedy="take that one out first"
        )
    files: dict[str, bytes] = {}
    if layout.synonyms_file.exists() or fix.synonyms:
        kept = layout.synonyms_file.read_text("utf-8") if layout.synonyms_file.exists() else ""
        gap = "\n" if kept and not kept.endswith("\n") else ""
        files[SYNONYMS] = (kept + gap + "".join(f"{line}\n" for line in fix.lines)).encode()
    if fix.rules:
        made = policy.model_copy(update={"rules": (*policy.rules, *fix.rules)})
        files[RULES] = made.model_dump_json(indent=2, exclude_defaults=True).encode() + b"\n"
    elif layout.rules_file.exists():
        files[RULES] = layout.rules_file.read_bytes()
    adds = {
        "says": fix.says,
        "synonyms": [[list(a), list(b)] for a, b in fix.synonyms],
        "rules": [r.model_dump(mode="json", exclude_defaults=True) for r in fix.rules],
    }
    with layout.writing():
        name = write_rules(
            layout,
            files,
            who=who,
            why=why,
            adds=adds,
            finding=finding,
            index=layout.index.live(),
            code_version=code_version(),
            simulated=layout.settings().simulated,
        )
        decision = Decisions(layout.decisions).record(
            name, "candidate", who=who, why=why, instead_of=layout.rules.live(), kind="rules"
        )
    manifest = json.loads((layout.rules.path(name) / "manifest.json").read_bytes())
    tracking.trained(layout, "rules", name, manifest)
    tracking.decided(layout, "rules", decision)
    return name


def proposed(layout: Layout, generation: str) -> Fix:
    """The fix in a candidate. InvalidInput for a generation that is no proposal."""
    manifest = json.loads((layout.rules.path(generation) / "manifest.json").read_bytes())
    adds = manifest.get("adds")
    if adds is None:
        raise InvalidInput(
            f"{generation} is no proposal",
            field="generation",
            remedy="see: tandem artefacts --kind rules",
        )
    rules = tuple(Rule.model_validate(r) for r in adds["rules"])
    return Fix(adds["says"], [(a, b) for a, b in adds["synonyms"]], rules)


def promote_fix(
    layout: Layout,
    generation: str,
    judged: JudgmentList,
    trial: Trial,
    *,
    who: str,
    why: str,
    override: Sequence[str] = (),
    approved_by: str | None = None,
) -> Decision:
    """Ask the gates, and put a proposed fix into the live search when all of them pass or are
    overruled by name: files, a new index where synonyms changed, and the switch.

    judged: whose queries both searches answer. The decision is recorded either way. Conflict for
    one that is live already, or that was proposed beside other rules than the live ones.
    """
    known_gates(override)
    fix = proposed(layout, generation)
    live = waiting(layout, "rules", generation)
    parent = json.loads((layout.rules.path(generation) / "manifest.json").read_bytes())["parent"]
    changed = register_rules(layout, who=who, why="edited since the fix was proposed")
    if changed is not None or parent != live:
        raise Conflict(
            "the shop's rules have changed since it was proposed", remedy="propose it again"
        )
    with job(layout, "promote-fix", DataSet("rules", generation)) as running:
        asked = asked_of(layout, fix, judged, trial, approved_by)
        decision = decide(
            layout,
            "rules",
            generation,
            asked,
            override,
            live=live,
            who=who,
            why=why,
            switched=lambda: restore_rules(layout, generation),
        )
        if decision.stage == "live":
            _index(layout, fix, live, who)
            running.outputs.append(DataSet("rules/live", generation))
    return decision


def _index(layout: Layout, fix: Fix, before: str | None, who: str) -> None:
    """Synonyms are in the index. Where it cannot be built, the rules go back to what they were."""
    if not fix.synonyms:
        return
    try:
        build_index(layout)
    except BaseException:
        roll_back_artefact(layout, "rules", before, who=who, why="the index could not be built")
        raise


def asked_of(
    layout: Layout, fix: Fix, judged: JudgmentList, trial: Trial, approved_by: str | None
) -> tuple[Gate, ...]:
    """The gates' answers for a fix, held against the live search on the same queries."""
    asked = {q: judged.by_query[q] for q in judged.queries[:QUERIES]}
    judged = JudgmentList(asked, judged.name)
    with Workspace(layout) as shop:
        before, after = shop.view, with_fix(shop.view, layout, fix)
        old, new = _Watched(before), _Watched(after)
        for turn in range(TURNS):
            for at, query in enumerate(judged.queries):
                for search in (old, new) if (at + turn) % 2 else (new, old):
                    search.answer(query)
    return (
        gates.quality(
            new.quality(judged),
            old.quality(judged),
            same_judgments=True,
            queries=f"queries, by {judged.name}",
        ),
        gates.latency(list(new.milliseconds.values()), list(old.milliseconds.values())),
        gates.exposure(new.merchants, old.merchants),
        gates.privacy("what shoppers did", personal=True, approved_by=approved_by),
        gates.experiment(trial.verdict, trial.because),
    )


class _Watched:
    """A search at work: what it shows, whose products, and how long that takes."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._shown: dict[str, Sequence[Hit]] = {}
        self.milliseconds: dict[str, float] = {}

    def answer(self, query: str) -> None:
        started = time.perf_counter()
        self._shown[query] = answer(self._view, SearchRequest(q=query, size=gates.DEPTH)).hits
        took = (time.perf_counter() - started) * 1000
        self.milliseconds[query] = min(took, self.milliseconds.get(query, took))

    @property
    def merchants(self) -> list[list[str | None]]:
        return [[h.product.merchant for h in hits] for hits in self._shown.values()]

    def quality(self, judged: JudgmentList) -> dict[str, float]:
        queries = [q for q in judged.queries if any(judged.by_query[q].values())]
        ranked = {q: [h.product.id for h in self._shown[q]] for q in queries}
        values = score(
            ranked, {q: judged.by_query[q] for q in queries}, parse_measures([gates.MEASURE])
        )
        return {q: float(v) for q, (v,) in zip(queries, values, strict=True)}


def decision_json(decision: Decision) -> dict[str, Any]:
    """What a decision says, as it stands in the log of the loop."""
    return {
        "number": decision.number,
        "kind": decision.kind,
        "generation": decision.generation,
        "stage": decision.stage,
        "instead_of": decision.instead_of,
        "who": decision.who,
        "why": decision.why,
        "gates": {g.name: {"passed": g.passed, "says": g.says} for g in decision.gates},
    }
