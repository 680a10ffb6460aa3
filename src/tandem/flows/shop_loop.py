"""The whole loop through a real search: a simulated shop whose search does not know a word.

`tandem insights` finds that in the log and proposes a synonym. Three fixes are walked: the one that
is proposed; one that moves other products of the same worth up; and one that mends the word and
breaks another. Each is a candidate in the registry of that shop. All are put into the real search;
what it answers before and after is what simulated shoppers are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from tandem.contracts.errors import NotFound
from tandem.contracts.judgment import JudgmentList
from tandem.contracts.registry import Decision
from tandem.contracts.search import Hit
from tandem.flows.fixes import Fix, Trial, decision_json, promote_fix, propose, with_fix
from tandem.flows.insights import (
    RELEVANCE,
    SHOWN,
    answers_of,
    compared,
    event_tables,
    simulate_shop,
)
from tandem.flows.loop import Loop, Step, walk
from tandem.flows.view import View
from tandem.flows.workspace import Workspace
from tandem.insights.evidence import judgments_from_logs, texts_of
from tandem.insights.failures import find_failures
from tandem.insights.findings import Finding, Group, Interval
from tandem.ranking.business import Rule, RuleKind
from tandem.simulate.market import NOTHING, Searches
from tandem.simulate.market import Fix as FixKind
from tandem.simulate.shoppers import Shop
from tandem.storage.layout import Layout

BROKEN = ("vocabulary_gap",)
_SHOPPERS = 60_000
WHO = "tandem loop"
SIZES = (1_000, 2_000, 4_000)  # of products, until the word that is broken is one that is asked for


class BrokenShop:
    """A workspace of simulated products and shoppers, and what `tandem insights` found in it.

    products: by default as few as have something for whoever asks by the broken word. NotFound when
    the finding is not there: then the loop has nothing to begin with.
    """

    def __init__(
        self, folder: Path, *, sessions: int = 8_000, products: int | None = None, seed: int = 7
    ) -> None:
        products = products or _asked_for(seed)
        simulate_shop(folder, sessions, seed=seed, broken=BROKEN, products=products)
        self.layout = Layout.open(folder)
        self.truth = Shop(products, seed=seed, broken=BROKEN)
        meanings = self.truth.meanings()
        with event_tables(self.layout, (), None, None) as tables:
            found = find_failures(tables).findings
            asked = texts_of(tables, Group())
            self.chosen: JudgmentList = judgments_from_logs(tables, Group())
        proposed = [f for f in found if f.fix.kind == "synonym"]
        if not proposed:
            raise NotFound(
                "insight proposes no synonym in this shop", remedy="simulate more sessions"
            )
        self.finding: Finding = proposed[0]
        self.asked = {text: n for text, n in asked.items() if text in meanings}
        self.meanings = {text: meanings[text] for text in self.asked}
        self.shop = Workspace(self.layout)
        self.before = answers_of(self.shop.view, self.asked)

    def __enter__(self) -> BrokenShop:
        return self

    def __exit__(self, *_: object) -> None:
        self.shop.close()

    def candidate(self, kind: FixKind) -> Fix:
        phrase, meant = self.finding.fix.payload["phrase"], self.finding.fix.payload["meant"]
        proposed = ([phrase], [phrase, meant])
        if kind == "helpful":
            return Fix(self.finding.fix.summary, [proposed])
        language = self.meanings[next(iter(self.asked))][0]
        plain = [t for t, m in self.meanings.items() if m[0] == language and " " not in t]
        others = [t for t in plain if t not in (phrase, meant) and self.before[t]]
        if kind == "harmful":
            first = others[0]
            path = self.before[first][0].product.category
            hide = Rule(
                id="loop-1", kind=RuleKind.HIDE, query=f"*{first}*", category=" > ".join(path)
            )
            says = f"{self.finding.fix.summary}; and hide {path[-1]} from all searches for it"
            return Fix(says, [proposed], (hide,))
        for text in others:
            candidate = self._of_one_worth(text)
            if candidate is not None:
                return candidate
        raise NotFound(
            "no list can be changed without changing its worth", remedy="simulate more products"
        )

    def _of_one_worth(self, text: str) -> Fix | None:
        """Move a brand up where all that is shown before and after is worth the same."""
        for hit in self.before[text][5:]:
            if hit.product.brand is None:
                continue
            rule = Rule(
                id="loop-1",
                kind=RuleKind.BOOST,
                query=text,
                brand=hit.product.brand,
                weight=0.5,
            )
            candidate = Fix(f"Move {hit.product.brand} up for '{text}'", rules=(rule,))
            search = self.searches(candidate, [text])
            if (search.shown(search.old) == search.shown(search.new)).all() and (
                search.old[:, : search.places] != search.new[:, : search.places]
            ).any():
                return candidate
        return None

    def changed(self, candidate: Fix) -> View:
        """The live view with the candidate in it; the shop itself stays as it is."""
        return with_fix(self.shop.view, self.layout, candidate)

    def searches(self, candidate: Fix, texts: Sequence[str]) -> Searches:
        """What the real search answers before and after, with the true relevance of it."""
        after = answers_of(self.changed(candidate), texts)
        lists = [self._places(self.before[t], after[t], self.meanings[t]) for t in texts]
        relevance, old, new = (np.array(part) for part in zip(*lists, strict=True))
        share = np.array([self.asked[t] for t in texts], dtype=np.float64)
        return Searches(relevance=relevance, old=old, new=new, share=share)

    def _places(
        self, before: Sequence[Hit], after: Sequence[Hit], meant: tuple[str, str, str]
    ) -> tuple[list[int], list[int], list[int]]:
        """Relevance of all products of both lists, then empty places; both lists as indexes."""
        products = {h.product.id: h.product for h in (*before, *after)}
        at = {product: i for i, product in enumerate(products)}
        relevance = [self.truth.relevance(p, meant) for p in products.values()]
        relevance += [NOTHING] * (3 * SHOWN - len(relevance))
        empty = list(range(2 * SHOWN, 3 * SHOWN))
        old, new = (([at[h.product.id] for h in hits] + empty)[:SHOWN] for hits in (before, after))
        return relevance, old, new

    def offline(self, candidate: Fix) -> Step:
        """nDCG@10 by what shoppers chose in the log, in the real search, over all its queries."""
        texts = [t for t in self.chosen.queries if t in self.asked]
        judged = JudgmentList({t: self.chosen.by_query[t] for t in texts}, self.chosen.name)
        after = answers_of(self.changed(candidate), texts)
        found = compared({t: self.before[t] for t in texts}, after, judged, RELEVANCE)
        worse = found["high"] < 0
        return Step(
            "offline",
            "stopped" if worse else "passed",
            "the fix ranks worse what shoppers chose"
            if worse
            else "the fix does not rank worse what shoppers chose",
            {"fix": candidate.says, **found},
        )

    def decide(self, generation: str, walked: Loop) -> tuple[Decision, Step]:
        """Ask the registry's gates for the candidate, with what the walk has shown; it is put into
        the live search or refused, on record either way."""
        trial = Trial(
            walked.analysis.decision.verdict if walked.analysis else None,
            walked.because
            if walked.analysis
            else f"stopped at {walked.steps[-1].name}: {walked.because}",
        )
        decision = promote_fix(
            self.layout,
            generation,
            self.chosen,
            trial,
            who=WHO,
            why=walked.because,
            # The shoppers are made up: nobody's behaviour is in what was learned from them.
            approved_by=f"{WHO}: simulated shoppers",
        )
        live = decision.stage == "live"
        return decision, Step(
            "registry",
            "passed" if live else "stopped",
            "all gates pass: it is live" if live else decision.why.partition(";")[0],
            decision_json(decision),
        )

    def answered(self) -> Step:
        """Does the live search answer the word that it did not know?"""
        phrase = self.finding.fix.payload["phrase"]
        asked = [t for t in self.asked if phrase in t.split()]
        with Workspace(self.layout) as live:
            after = answers_of(live.view, asked)
        had, has = (sum(bool(a[t]) for t in asked) for a in (self.before, after))
        return Step(
            "live",
            "passed" if has > had else "stopped",
            f"'{phrase}' is answered by the live search now"
            if has > had
            else f"the live search does not answer '{phrase}'",
            {"index": self.layout.index.live(), "queries": len(asked), "answered": [had, has]},
        )

    def finding_step(self) -> Step:
        f = self.finding
        lost = None if f.lost_sales is None else interval_json(f.lost_sales)
        return Step(
            "finding",
            "passed",
            f.title,
            {
                "id": f.id,
                "searches": f.searches,
                "needs_met": interval_json(f.success),
                "expected": f.expected,
                "q_value": f.q_value,
                "lost_sales": lost,
                "proposed": f.fix.payload.get("rule", f.fix.summary),
            },
        )


def interval_json(interval: Interval) -> Mapping[str, float]:
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}


def _asked_for(seed: int) -> int:
    """The smallest shop in which somebody asks by the word that the search does not know."""
    for products in SIZES:
        truth = Shop(products, seed=seed, broken=BROKEN)
        words = {w for b in truth.broken for w in b.words}
        if any(words & set(text.split()) for text in truth.meanings()):
            return products
    return SIZES[-1]


def run_shop_loop(
    shop: BrokenShop, fix: FixKind, *, seed: int = 7, shoppers: int = _SHOPPERS
) -> Loop:
    """Walk one fix through every stage, as a candidate of the shop's registry.

    Interleaving and the A/B test count shoppers from their first search that the fix answers
    otherwise: exposure at the moment of effect. What has shown harm is put before the gates too, so
    that the registry holds the refusal with its figures.
    """
    candidate = shop.candidate(fix)
    generation = propose(
        shop.layout, candidate, who=WHO, why=shop.finding.title, finding=shop.finding.id
    )
    search = shop.searches(candidate, list(shop.asked))
    touched = (search.old[:, : search.places] != search.new[:, : search.places]).any(axis=1)
    exposed = replace(
        search,
        relevance=search.relevance[touched],
        old=search.old[touched],
        new=search.new[touched],
        share=None if search.share is None else search.share[touched],
    )
    walked = walk(
        fix,
        (shop.finding_step, partial(shop.offline, candidate)),
        exposed,
        np.random.default_rng((seed, 1)),
        shoppers,
        f"A fix in the shop: {candidate.says}",
    )
    decision, step = shop.decide(generation, walked)
    steps = (*walked.steps, step)
    promoted = step.outcome == "passed"
    if promoted:
        live = shop.answered()
        steps, promoted = (*steps, live), live.outcome == "passed"
    because = walked.because if promoted or walked.steps[-1].outcome == "stopped" else decision.why
    return replace(
        walked, steps=steps, promoted=promoted, because=because, registry=decision_json(decision)
    )
