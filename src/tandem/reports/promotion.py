"""A ranking model on one page: is it better, may it go live, and what was decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tandem.contracts.registry import Gate, RegisteredModel
from tandem.reports.card import CHOSEN_BY, decisions_grid, quality_grid
from tandem.reports.charts import Chart, Mark, MarkChart
from tandem.reports.figures import Figure
from tandem.reports.page import Block, Paragraph
from tandem.reports.report import READERS, Audience, Report

OURS = "ltr"
NO_TEST = (
    "No shopper has had it in a test yet. Better order helps only if shoppers buy more, and a test "
    "tells that."
)
# What a system is called on a page for people who never heard of any.
SYSTEMS = {
    "bm25": "words alone",
    "dense": "meaning alone",
    "hybrid": "words and meaning",
    OURS: "this model",
}
_GATES = {
    "quality": ("It ranks no worse than the live one.", "It ranks worse than the live one."),
    "latency": ("It is as fast as the live one.", "It is slower than the live one."),
    "exposure": (
        "It shows small shops no less than the live one.",
        "It shows big shops more than the live one does.",
    ),
    "privacy": ("Nothing of any person is in it.", "It learned from people, and nobody agreed."),
    "experiment": ("A test with shoppers says ship.", "A test with shoppers does not say ship."),
}


@dataclass(frozen=True, slots=True)
class ModelWorth:
    """What a test of the model with real shoppers says of a year's money, or why it cannot.

    value, low, high: sales a search with it minus without, times the searches of a year; the
    interval holds at every look. None where `why_not` says what is missing.
    """

    currency: str
    test: str | None = None
    people: int = 0
    searches_a_year: int = 0
    value: float | None = None
    low: float | None = None
    high: float | None = None
    simulated: bool = False
    why_not: str = NO_TEST

    @property
    def figure(self) -> Figure:
        return Figure(self.value, "money", self.low, self.high, True, self.currency)


def report(
    model: RegisteredModel,
    evaluation: Mapping[str, Any],
    *,
    simulated: bool,
    audience: Audience = "executive",
    money: ModelWorth | None = None,
) -> Report:
    """evaluation: the model's cross-validated record, as training wrote it. money: what a test in
    the shop says; None: nobody asked."""
    money = money or ModelWorth("")
    last = model.decisions[-1] if model.decisions else None
    gates = last.gates if last else ()
    refused = last is not None and last.stage == "candidate" and bool(gates)
    verdict = "refused" if refused else model.stage
    rivals = [s for s in evaluation["systems"] if s != OURS]
    figures = _figures(model, evaluation, rivals)
    if money.value is not None:
        figures |= {
            "worth": money.figure,
            "people in the test": Figure(money.people, "count"),
            "searches a year": Figure(money.searches_a_year, "count"),
        }
    if audience != "executive":
        return _for_partners(model, verdict, gates, simulated, audience)
    return Report(
        kind="model",
        about=model.generation,
        audience=audience,
        title="Is the new search model better?",
        simulated=simulated or money.simulated,
        verdict=verdict,
        answer=_answer(verdict, rivals, figures),
        tried=(
            f"A model learned to order search results. {_judge(simulated)} had said which products "
            f"fit {figures['queries']} searches. We asked it about searches that it had not "
            "learned from."
        ),
        happened=[*_beside(rivals, figures), *(_gate(g) for g in gates)],
        sure=_sure(rivals, figures),
        worth=_worth(money, figures),
        recommend=_recommend(verdict),
        doubts=[
            "People judged few searches. Those of most shoppers were not among them.",
            "What people judge to fit and what they buy are not the same.",
            *(f"We could not check this: {g.name}." for g in gates if g.passed is None),
            *(
                ["What shoppers spent in the days of the test need not hold for a year."]
                if money.value is not None
                else []
            ),
        ],
        next=_next(verdict),
        figures=figures,
        charts=_charts(rivals, figures),
        worth_charts=[
            MarkChart(
                "A year's money, more or less than without this model. The dot is our best guess. "
                "The truth is most likely on the line.",
                [
                    Mark(
                        "A year's money",
                        money.figure,
                        (money.value or 0) > 0 if money.figure.clear else None,
                    )
                ],
            )
        ]
        if money.value is not None
        else [],
        glossary=[
            ("Model", "a program that learned from examples what fits a search"),
            ("Score", "how well the first ten results are in order; 1 is perfect, 0 is useless"),
            ("Live", "the model that shoppers get today"),
        ],
        appendix=_appendix(model, evaluation),
        details={
            "model": model.model_dump(mode="json"),
            "worth": asdict(money),
            "evaluation": {
                k: evaluation[k] for k in ("systems", "comparisons", "protocol") if k in evaluation
            },
        },
    )


def _for_partners(
    model: RegisteredModel,
    verdict: str,
    gates: Sequence[Gate],
    simulated: bool,
    audience: Audience,
) -> Report:
    you = READERS[audience]
    exposure = next((g for g in gates if g.name == "exposure"), None)
    fair = (
        "We have not checked yet whom it shows more."
        if exposure is None or exposure.passed is None
        else _GATES["exposure"][0 if exposure.passed else 1]
    )
    live = verdict == "live"
    return Report(
        kind="model",
        about=model.generation,
        audience=audience,
        title="How the search orders what it finds",
        simulated=simulated,
        verdict=verdict,
        answer="A new model orders the results of the search."
        if live
        else "A new model for the search is being looked at. Nothing has changed for you.",
        tried=f"A model learned what fits a search from what {_judge(simulated).lower()} said.",
        happened=[fair, "It looks at titles, details, price and stock, and at no person."],
        sure="It was asked about searches that it had not learned from.",
        worth=f"We do not know what it is worth to {you}. Nobody can buy a place in it.",
        recommend="Keep titles, details and stock right. The model reads them.",
        doubts=["One of you may stand lower than before, also when all is fair as a whole."],
        next="The seller center shows where you stand, and why.",
        figures={},
        glossary=[("Model", "a program that learned from examples what fits a search")],
        details={"generation": model.generation, "stage": model.stage},
    )


def _figures(
    model: RegisteredModel, evaluation: Mapping[str, Any], rivals: Sequence[str]
) -> dict[str, Figure]:
    figures = {
        "queries": Figure(model.lineage["queries"], "count"),
        "places": Figure(10, "count"),
        "score": _score(evaluation["systems"][OURS][CHOSEN_BY]),
    }
    for rival in rivals:
        figures[f"score, {rival}"] = _score(evaluation["systems"][rival][CHOSEN_BY])
    for c in evaluation.get("comparisons", ()):
        if c["measure"] == CHOSEN_BY and OURS in (c["system"], c["baseline"]):
            rival = c["baseline"] if c["system"] == OURS else c["system"]
            d, turn = c["difference"], 1 if c["system"] == OURS else -1
            if d["mean"] is not None:
                ends = sorted((turn * d["low"], turn * d["high"]))
                figures[f"gain over {rival}"] = Figure(
                    turn * d["mean"], "score", ends[0], ends[1], True
                )
    return figures


def _score(e: Mapping[str, Any]) -> Figure:
    return Figure(e["mean"], "score", e["low"], e["high"])


def _answer(verdict: str, rivals: Sequence[str], figures: Mapping[str, Figure]) -> str:
    stage = {
        "live": "This model is live.",
        "candidate": "This model waits for a decision.",
        "refused": "This model was not let through.",
        "shadow": "This model runs unseen beside the live one.",
        "canary": "Some shoppers get this model now.",
        "retired": "This model is out of use.",
    }.get(verdict, f"This model is in the stage “{verdict}”.")
    gains = _gains(rivals, figures)
    if not gains:
        return f"{stage} Its score is {figures['score']}, where 1 is perfect."
    rival, gain = gains[0]
    than = f"than {SYSTEMS.get(rival, rival)}"
    if not gain.clear:
        return f"{stage} It is not shown to order results better {than}."
    better = "better" if (gain.value or 0) > 0 else "worse"
    return f"{stage} It orders results {better} {than}."


def _beside(rivals: Sequence[str], figures: Mapping[str, Figure]) -> list[str]:
    said = [f"Its score for the first {figures['places']} results is {figures['score']}."]
    said += [
        f"With {SYSTEMS.get(r, r)} the score is {figures[f'score, {r}']}."
        for r in rivals
        if figures[f"score, {r}"].value is not None
    ]
    return said


def _gate(gate: Gate) -> str:
    good, bad = _GATES[gate.name]
    if gate.passed is None:
        return f"We could not tell in one check: {gate.name}."
    return good if gate.passed else bad


def _gains(rivals: Sequence[str], figures: Mapping[str, Figure]) -> list[tuple[str, Figure]]:
    return [(r, figures[f"gain over {r}"]) for r in rivals if f"gain over {r}" in figures]


def _sure(rivals: Sequence[str], figures: Mapping[str, Figure]) -> str:
    gains = _gains(rivals, figures)
    if not gains:
        return f"The true score is most likely {figures['score'].span}."
    rival, gain = gains[0]
    proof = (
        "That is more than luck."
        if gain.clear and (gain.value or 0) > 0
        else "That is a true loss."
        if gain.clear
        else "That may be luck."
    )
    return (
        f"Beside {SYSTEMS.get(rival, rival)} the score changes by {gain}. The true change is most "
        f"likely {gain.span}. {proof}"
    )


def _worth(money: ModelWorth, figures: Mapping[str, Figure]) -> str:
    if money.value is None:
        return f"We do not know it in money. {money.why_not}"
    f = figures["worth"]
    luck = "" if f.clear else " As it stands, that may be luck."
    return (
        f"In a test with {figures['people in the test']} shoppers we looked at what they spent. If "
        f"all shoppers get this model, a year's money changes by about {f}. It could be as low as "
        f"{f.write(f.low)} or as high as {f.write(f.high)}.{luck} This counts "
        f"{figures['searches a year']} searches a year."
    )


def _recommend(verdict: str) -> str:
    return {
        "live": "Keep it. Watch sales and searches without results.",
        "candidate": "Ask the gates. If all agree, let some shoppers have it first.",
        "shadow": "Look at its time and its failures. If they are good, let some shoppers have it.",
        "canary": "Wait until the test of it is over. It goes back by itself if it harms.",
        "refused": "Do not let it go live. Mend what the checks found.",
        "retired": "Nothing is to be done. It can be made live again at once if need be.",
    }.get(verdict, "Watch it until its stage is over, then decide.")


def _next(verdict: str) -> str:
    return {
        "live": "If it goes wrong, one click in the lab brings back the one before.",
        "candidate": "A scientist asks the gates in the lab. The answer is kept with its reason.",
        "refused": "It is trained anew, and asked again. What was found is on record.",
        "retired": "The one that is live now has a page of its own.",
    }.get(verdict, "The lab shows how it does beside the live one.")


def _judge(simulated: bool) -> str:
    return "A program" if simulated else "People"


def _charts(rivals: Sequence[str], figures: Mapping[str, Figure]) -> list[Chart]:
    scores = [*((SYSTEMS.get(r, r), figures[f"score, {r}"]) for r in rivals)]
    charts: list[Chart] = [
        MarkChart(
            "Score of the first ten results, from 0 (useless) to 1 (perfect). The line is the "
            "span that we trust.",
            [Mark(f"With {name}", f) for name, f in scores if f.value is not None]
            + [Mark("With this model", figures["score"], True)],
        )
    ]
    if gains := _gains(rivals, figures):
        charts.append(
            MarkChart(
                "What the model adds to the score, or takes from it.",
                [
                    Mark(
                        f"Beside {SYSTEMS.get(r, r)}",
                        gain,
                        (gain.value or 0) > 0 if gain.clear else None,
                    )
                    for r, gain in gains
                ],
            )
        )
    return charts


def _appendix(model: RegisteredModel, evaluation: Mapping[str, Any]) -> list[Block]:
    lineage = model.lineage
    blocks: list[Block] = [
        Paragraph(
            f"{model.model}, generation {model.generation}; judgments “{lineage['judgments']}”, "
            f"data fingerprint {lineage['data_fingerprint'][:16]}, seed {lineage.get('seed')}, "
            f"Tandem {lineage.get('code_version')}; {evaluation.get('protocol', '')}."
        ),
        quality_grid(evaluation, "Mean over queries with 95% intervals (BCa bootstrap)."),
    ]
    if model.decisions:
        blocks.append(decisions_grid(model.decisions, "Who decided what, and why."))
    return blocks
