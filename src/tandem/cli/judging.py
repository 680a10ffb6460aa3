"""`tandem judge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tandem.cli.console import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    out,
    print_json,
    progress_bars,
)

if TYPE_CHECKING:
    from tandem.flows.judging import ListReport

judge_app = typer.Typer(
    no_args_is_help=True, help="Judgments: what to judge next, out of clicks, by a program."
)
RankersOption = Annotated[str, typer.Option(help="The two rankers to tell apart, by comma.")]
LeastOption = Annotated[
    float,
    typer.Option(min=0, max=1, help="Krippendorff's alpha with people that is surely reached."),
]


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


@judge_app.command("next")
def next_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    rankers: RankersOption = "bm25,hybrid",
    size: Annotated[int, typer.Option(min=1, max=1_000, help="How many pairs.")] = 20,
    queries: Annotated[
        Path | None, typer.Option(help="Queries, one a line; default: the judged ones.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """The pairs of query and product whose verdicts tell two rankers apart soonest.

    Example: `tandem judge next -w shop --rankers bm25,hybrid --size 20`
    """
    from dataclasses import asdict

    from tandem.flows.judging import next_pairs
    from tandem.flows.workspace import open_workspace

    with open_workspace(workspace) as shop, progress_bars(quiet=json_) as bars:
        pairs, standing = next_pairs(shop, _names(rankers), size, queries, progress=bars)
    if json_:
        known = {**asdict(standing), "told_apart": standing.told_apart}
        print_json({"pairs": [asdict(p) for p in pairs], "standing": known})
        return
    table = Table(box=None)
    for head in ("query", "product", *_names(rankers), "why"):
        table.add_column(head)
    for p in pairs:
        places = [str(p.places[name] or "–") for name in _names(rankers)]
        table.add_row(escape(p.query), escape(p.product_id), *places, p.why)
    out.print(table)
    out.print(
        f"{standing.judged} of {standing.pool} pairs are judged; nDCG@10 differs by "
        f"{standing.difference:+.4f}, and the sign is right with {standing.confidence:.0%}."
    )


@judge_app.command("record")
def record_command(
    query: Annotated[str, typer.Argument(help="What was asked.")],
    product: Annotated[str, typer.Argument(help="Id of the product.")],
    relevance: Annotated[
        int, typer.Argument(min=0, max=3, help="3 exact, 2 substitute, 1 complement, 0 irrelevant.")
    ],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Record a person's verdict; it replaces an earlier one.

    Example: `tandem judge record "desk lamp" P048 3 -w shop`
    """
    from tandem.flows.judging import record_verdict
    from tandem.flows.workspace import open_workspace

    with open_workspace(workspace) as shop:
        record_verdict(shop, query, product, relevance)
        judged = len(shop.judgments(query))
    if json_:
        print_json({"query": query, "product_id": product, "relevance": relevance})
    else:
        out.print(f"Recorded; {judged} products are judged for this query.")


@judge_app.command("from-clicks")
def from_clicks_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    model: Annotated[
        str,
        typer.Option(help="pbm, cascade, dcm, or auto: which foretells unseen lists best."),
    ] = "auto",
    propensities: Annotated[str, typer.Option(help="Of pbm: harvest or em.")] = "harvest",
    least_alpha: LeastOption = 0.667,
    json_: JsonOption = False,
) -> None:
    """Make a judgment list out of stored clicks, with its support, and say how far it agrees with
    people.

    Example: `tandem judge from-clicks -w shop --json`
    """
    from tandem.flows.judging import judge_by_clicks
    from tandem.flows.workspace import open_workspace
    from tandem.governance.audit import os_actor

    with open_workspace(workspace) as shop:
        report = judge_by_clicks(
            shop, model=model, way=propensities, who=os_actor(), least=least_alpha
        )
    _show(report, json_)


@judge_app.command("ask")
def ask_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    url: Annotated[
        str | None,
        typer.Option(help="OpenAI-compatible service, say http://127.0.0.1:8080/v1."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The language model's name there.")] = None,
    rules: Annotated[
        bool, typer.Option("--rules", help="Judge by share of words instead: no network.")
    ] = False,
    rankers: RankersOption = "bm25,hybrid",
    size: Annotated[int, typer.Option(min=1, max=100_000, help="Pairs to judge.")] = 100,
    sample: Annotated[
        int, typer.Option(min=50, help="Pairs of people's to hold it against first.")
    ] = 200,
    name: Annotated[str, typer.Option(help="Name of the list.")] = "asked",
    least_alpha: LeastOption = 0.667,
    json_: JsonOption = False,
) -> None:
    """Let a program judge, once its agreement with people is shown; exit code 1 where it is not.
    With --url, queries and product texts go to that address.

    Example: `tandem judge ask -w shop --url http://127.0.0.1:8080/v1 --model judge-7b`
    """
    from tandem.contracts.errors import InvalidInput
    from tandem.flows.judges import ChatJudge, RelevanceJudge, RuleJudge
    from tandem.flows.judging import ask_judge
    from tandem.flows.workspace import open_workspace

    if rules == (url is not None) or (url is not None and model is None):
        raise InvalidInput("which judge?", field="url", remedy="give --url and --model, or --rules")
    judge: RelevanceJudge = RuleJudge() if url is None else ChatJudge(url, model or "")
    with open_workspace(workspace) as shop, progress_bars(quiet=json_) as bars:
        report = ask_judge(
            shop,
            judge,
            _names(rankers),
            size,
            name=name,
            sample=sample,
            least=least_alpha,
            progress=bars,
        )
    _show(report, json_)
    if not report.saved:
        raise typer.Exit(1)


@judge_app.command("study")
def study_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    rankers: RankersOption = "bm25,hybrid",
    seeds: Annotated[int, typer.Option(min=1, max=1_000, help="Repetitions.")] = 10,
    json_: JsonOption = False,
) -> None:
    """How many judgments the queue saves: simulated judging, verdicts looked up in people's.

    Example: `tandem judge study -w shop --rankers bm25,dense`
    """
    from tandem.flows.judging import study_queue
    from tandem.flows.workspace import open_workspace

    with open_workspace(workspace) as shop, progress_bars(quiet=json_) as bars:
        study = study_queue(shop, _names(rankers), seeds, progress=bars)
    if json_:
        print_json(study.to_json())
        return
    out.print("[bold]SIMULATED JUDGING[/]: verdicts are looked up in the judgments of people")
    for order, runs in study.runs.items():
        out.print(
            f"{order}: {study.typical(order):,.0f} of {study.pool:,} judgments until 95% sure "
            f"(median of {len(runs)}), right {sum(n.right for n in runs)} times"
        )


def _show(report: ListReport, json_: bool) -> None:
    if json_:
        print_json(report.to_json())
        return
    if report.simulated:
        out.print("[bold]SIMULATED DATA[/]")
    for name, fit in report.fits.items():
        out.print(
            f"{name:<8} perplexity {fit.perplexity:.4f}, given the clicks above {fit.given:.4f}, "
            f"on {fit.lists:,} lists kept out" + (": chosen" * (name == report.model))
        )
    if report.agreement is None:
        out.print(f"Only {report.both} pairs were judged by people too: agreement is not known.")
    else:
        (pair,) = report.agreement.pairs
        alpha = report.agreement.alpha["ordinal"]
        low, high = report.agreement.low["ordinal"], report.agreement.high["ordinal"]
        out.print(
            f"Agreement with people on {report.both:,} pairs: kappa {pair.kappa:.2f}, weighted "
            f"{pair.weighted:.2f}, Krippendorff's alpha {alpha:.2f} ({low:.2f} – {high:.2f})."
        )
    if not report.usable:
        out.print(
            f"[yellow]That is not surely {report.least:g} or more: do not use it in place of "
            "people.[/]"
        )
    out.print(
        f"Saved {len(report.judgments):,} judgments as '{report.judgments.name}'; "
        f"{report.without_verdict:,} of {report.asked:,} pairs got no verdict."
        if report.saved
        else "Nothing was saved."
    )
