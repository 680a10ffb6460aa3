"""`tandem train`: rankers, recommenders, personalised search, the feed, encoders,
cross-encoders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tandem.cli.console import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    out,
    print_json,
    progress_bars,
)

if TYPE_CHECKING:
    from tandem.flows.finetune import FinetuneReport

JudgmentsOption = Annotated[
    str | None, typer.Option(help="Judgment list to learn from; default: the first.")
]
BaseOption = Annotated[
    str | None,
    typer.Option(help="Encoder to start from; default: the workspace's, before any fine-tuning."),
]
EpochsOption = Annotated[int, typer.Option(min=1, max=100, help="Passes over the judgments.")]
RateOption = Annotated[float, typer.Option(min=0, help="Highest learning rate.")]
FoldsOption = Annotated[
    int,
    typer.Option(min=2, max=20, help="Cross-validation folds; each trains the model once more."),
]
SeedOption = Annotated[int, typer.Option(help="Same data, seed and machine: same model.")]
WAYS = {"tables": "what followed what", "network": "{}", "both": "both of them"}


def train_ranker_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    judgments: Annotated[
        str | None, typer.Option(help="Judgment list to learn from; default: the first.")
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="gain-regression, lambdamart, yetirank, linear; or auto, to choose among them by "
            "nested cross-validation."
        ),
    ] = "gain-regression",
    folds: Annotated[int, typer.Option(min=2, max=20, help="Cross-validation folds.")] = 5,
    seed: Annotated[int, typer.Option(help="Same data, same seed: same model.")] = 7,
    candidate: Annotated[
        bool, typer.Option("--candidate", help="Do not make it live; see: tandem models promote.")
    ] = False,
    from_clicks: Annotated[
        bool,
        typer.Option(
            "--from-clicks",
            help="Learn from stored events of people who allow it, without the clicks' bias; "
            "always a candidate.",
        ),
    ] = False,
    method: Annotated[
        str,
        typer.Option(help="With --from-clicks: pairwise, affine, dr, ips, naive, naive-pairwise."),
    ] = "pairwise",
    propensities: Annotated[
        str, typer.Option(help="With --from-clicks: lot, harvest, em or regression-em.")
    ] = "harvest",
    json_: JsonOption = False,
) -> None:
    """Train a ranker on judgments, measure it by cross-validation, and make it live; or learn from
    clicks, and wait for approval.

    Example: `tandem train ranker -w shop --from-clicks --propensities em`
    """
    if from_clicks:
        _train_from_clicks(
            workspace, judgments, model, method, propensities, folds, seed, quiet=json_
        )
        return
    from tandem.flows.train import train_ranker
    from tandem.governance.audit import os_actor
    from tandem.reports.evaluation import table
    from tandem.storage.layout import Layout

    with progress_bars(quiet=json_) as bars:
        report = train_ranker(
            Layout.open(workspace),
            judgments,
            model,
            folds=folds,
            seed=seed,
            live=not candidate,
            who=os_actor(),
            progress=bars,
        )
    if json_:
        print_json(
            {
                "generation": report.generation,
                "stage": "candidate" if candidate else "live",
                "model": report.manifest.model,
                "queries": report.manifest.queries,
                "pairs": report.manifest.pairs,
                "seconds": report.seconds,
                "cross_validated": report.evaluation.to_json(),
            }
        )
        return
    out.print(table(report.evaluation))
    for warning in report.evaluation.warnings:
        out.print(f"[yellow]{warning}[/]")
    out.print(
        f"Trained '{report.manifest.model}' on {report.manifest.queries:,} queries "
        f"({report.manifest.pairs:,} pairs) in {report.seconds:.1f} s; "
        f"{'a candidate' if candidate else 'live'} as {report.generation}."
    )
    out.print(f"[dim]Each query above was ranked by a model that never saw it ({folds} folds).[/]")


CandidateOption = Annotated[
    bool,
    typer.Option("--candidate", help="Do not make it live; see: tandem models promote --kind."),
]


def train_matcher_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    candidate: CandidateOption = False,
    json_: JsonOption = False,
) -> None:
    """Train a matcher of creators and products on content, measure it, and make it live.

    It learns from figures of creators who agreed, and from what their viewers watched as far as
    these agreed.

    Example: `tandem train matcher -w shop`
    """
    from dataclasses import asdict

    from tandem.flows.train_matcher import train_matcher
    from tandem.storage.layout import Layout

    with progress_bars(quiet=json_) as bars:
        report = train_matcher(Layout.open(workspace), bars, live=not candidate)
    if json_:
        print_json(asdict(report))
        return
    learned = report.manifest
    if learned.simulated:
        out.print("[black on yellow] SIMULATED [/] These creators and videos are not real.")
    out.print(
        f"Matcher [bold]{report.generation}[/] in {report.seconds:.1f} s: {learned.creators:,} "
        f"creators, {learned.products:,} products, {learned.measured_showings:,} measured showings."
    )
    for name, who in (("known", "creators with history"), ("new", "creators without")):
        found = learned.metrics[name]
        out.print(
            f"Out of fold, {who}: rank correlation of clicks {found['clicks']['spearman']:.2f}, of "
            f"orders {found['orders']['spearman']:.2f} ({found['pairs']:,} showings)."
        )


def _train_from_clicks(
    workspace: Path,
    judgments: str | None,
    model: str,
    method: str,
    propensities: str,
    folds: int,
    seed: int,
    *,
    quiet: bool,
) -> None:
    from tandem.flows.train_clicks import train_from_clicks
    from tandem.governance.audit import os_actor
    from tandem.reports.evaluation import table
    from tandem.storage.layout import Layout

    with progress_bars(quiet=quiet) as bars:
        report = train_from_clicks(
            Layout.open(workspace),
            judgments,
            method=method,
            kind=model,
            way=propensities,
            folds=folds,
            seed=seed,
            who=os_actor(),
            progress=bars,
        )
    if quiet:
        print_json(report.to_json())
        return
    out.print(table(report.evaluation))
    for warning in report.evaluation.warnings:
        out.print(f"[yellow]{warning}[/]")
    out.print(
        f"Learned by '{method}' from {report.log.clicks:,} clicks in {report.log.lists:,} searches "
        f"for {report.manifest.queries:,} queries ({report.stored:,} events are stored) in "
        f"{report.seconds:.1f} s; a candidate as {report.generation}."
    )
    out.print(
        f"It learned from people: tandem models promote {report.generation} -w {workspace} --why "
        "WHY --approved-by NAME"
    )


def train_recommender_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    events: Annotated[
        Path | None,
        typer.Option(
            help="Parquet or JSONL with session_id, item_id, timestamp and action (purchase for "
            "what was bought); default: the workspace's stored events."
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            help="What learns too and is asked for what comes next where it foretells it better: "
            "sasrec or gsasrec, a network (minutes, with the neural extra), or stacked, trees over "
            "simpler recommenders (minutes, without any extra)."
        ),
    ] = None,
    candidate: CandidateOption = False,
    json_: JsonOption = False,
) -> None:
    """Train a recommender on what people looked at and bought, and make it live.

    Examples: `tandem train recommender -w shop --events sessions.parquet` ·
    `tandem train recommender -w shop --network stacked`
    """
    from dataclasses import asdict

    from tandem.flows.train_recommender import train_recommender
    from tandem.storage.layout import Layout

    report = train_recommender(Layout.open(workspace), events, network, live=not candidate)
    learned = report.manifest
    if json_:
        print_json({"generation": report.generation, "seconds": report.seconds, **asdict(learned)})
        return
    for name in ("next", "popularity"):
        if figures := learned.metrics[name]:
            shown = ", ".join(f"{measure} {value:.1f}%" for measure, value in figures.items())
            out.print(f"{name}: {shown} of {learned.metrics['pairs']:,} next products")
    for way, figures in (learned.metrics.get("next_by") or {}).items():
        shown = ", ".join(f"{measure} {value:.1f}%" for measure, value in figures.items())
        chosen = "  ← served" if way == learned.next_by else ""
        out.print(f"  by {WAYS[way].format(network)}: {shown}{chosen}")
    if goes := learned.metrics["complementary"]:
        own, plain = goes["Recall@20"], goes["Recall@20_of_most_bought"]
        out.print(
            f"complementary: {own:.1f}% of the rest of a basket among 20 that go with one item of "
            f"it, {plain:.1f}% among the 20 bought most ({goes['baskets']:,} baskets)"
        )
    if learned.simulated:
        out.print("[yellow]Simulated: these shoppers or products are made up.[/]")
    out.print(
        f"Learned from {learned.sessions:,} sessions, {learned.clicks:,} views and "
        f"{learned.baskets:,} baskets ({learned.unknown_items:,} rows about products that are not "
        f"here left out) in {report.seconds:.1f} s; {_stage(candidate)} as {report.generation}."
    )
    if learned.metrics["next"] or learned.metrics["complementary"]:
        out.print("[dim]Measured on the last tenth, learned from what came before.[/]")


def train_encoder_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    judgments: JudgmentsOption = None,
    base: BaseOption = None,
    epochs: EpochsOption = 2,
    rate: RateOption = 3e-5,
    folds: FoldsOption = 3,
    seed: SeedOption = 7,
    json_: JsonOption = False,
) -> None:
    """Fine-tune the text encoder on judgments, measure it by cross-validation, and name it in
    tandem.toml; the next `tandem index` embeds with it. Needs the neural extra; takes minutes.

    Example: `tandem train encoder -w shop && tandem index -w shop`
    """
    from tandem.finetuning.bert import Schedule
    from tandem.flows.finetune import train_encoder
    from tandem.storage.layout import Layout

    schedule = Schedule(epochs, rate, seed)
    with progress_bars(quiet=json_) as bars:
        report = train_encoder(
            Layout.open(workspace),
            judgments,
            base=base,
            schedule=schedule,
            folds=folds,
            progress=bars,
        )
    _show(report, json_, folds)
    if not json_:
        out.print(f"Named in tandem.toml; embed with it: tandem index -w {workspace}")


def train_cross_encoder_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    judgments: JudgmentsOption = None,
    base: BaseOption = None,
    epochs: EpochsOption = 2,
    rate: RateOption = 5e-5,
    folds: FoldsOption = 3,
    seed: SeedOption = 7,
    candidate: CandidateOption = False,
    json_: JsonOption = False,
) -> None:
    """Fine-tune a cross-encoder on judgments, measure it by cross-validation, and make it live as
    the ranker `cross`. Needs the neural extra; takes minutes.

    Example: `tandem train cross-encoder -w shop --epochs 3`
    """
    from tandem.finetuning.bert import Schedule
    from tandem.flows.finetune import train_cross_encoder
    from tandem.storage.layout import Layout

    schedule = Schedule(epochs, rate, seed)
    with progress_bars(quiet=json_) as bars:
        report = train_cross_encoder(
            Layout.open(workspace),
            judgments,
            base=base,
            schedule=schedule,
            folds=folds,
            live=not candidate,
            progress=bars,
        )
    _show(report, json_, folds)
    if not json_ and not candidate:
        out.print(f"Try it: tandem search 'words' -w {workspace} --ranker cross")


def _show(report: FinetuneReport, json_: bool, folds: int) -> None:
    from tandem.reports.evaluation import table

    manifest = report.manifest
    if json_:
        print_json(
            {
                "generation": report.generation,
                "kind": manifest.kind,
                "base": manifest.base,
                "queries": manifest.queries,
                "pairs": manifest.pairs,
                "training": manifest.training,
                "seconds": report.seconds,
                "cross_validated": report.evaluation.to_json(),
            }
        )
        return
    out.print(table(report.evaluation))
    out.print(
        f"Fine-tuned '{manifest.base}' as {manifest.kind} on {manifest.queries:,} queries "
        f"({manifest.pairs:,} pairs) in {report.seconds / 60:.1f} min: {report.generation}."
    )
    out.print(
        f"[dim]Each query above was answered by a model that never saw it ({folds} folds).[/]"
    )


def train_personal_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    candidate: CandidateOption = False,
    json_: JsonOption = False,
) -> None:
    """Train personalised search on the stored events of people who allow it, and make it live.

    Example: `tandem train personal -w shop`
    """
    from dataclasses import asdict

    from tandem.flows.train_personal import train_personal
    from tandem.storage.layout import Layout

    report = train_personal(Layout.open(workspace), live=not candidate)
    if json_:
        print_json(
            {
                "generation": report.generation,
                **asdict(report.manifest),
                "weights": dict(report.weights),
                "seconds": report.seconds,
            }
        )
        return
    learned = report.manifest
    out.print(
        f"Learned from {learned.choices:,} searches of {learned.people:,} people"
        f"{' (simulated)' if learned.simulated else ''}; {_stage(candidate)}: {report.generation}."
    )
    segments = learned.metrics["segments"]
    if segments is None:
        out.print("[dim]Too few searches to keep some back and measure it.[/]")
        return
    m = segments["all"]["nDCG@10"]
    low, high = m["interval"]
    out.print(
        f"nDCG@10 on the last fifth: {m['everybody']:.3f} for everybody's order, "
        f"{m['personal']:.3f} for the personal one "
        f"({m['gain']:+.3f} [dim]{low:+.3f} – {high:+.3f}[/], p = {m['p']:.3f})."
    )


def train_feed_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    candidate: CandidateOption = False,
    json_: JsonOption = False,
) -> None:
    """Train the feed's ranker on stored impressions of people who allow it, and make it live.

    Example: `tandem train feed -w shop`
    """
    from dataclasses import asdict

    from tandem.flows.train_feed import train_feed
    from tandem.storage.layout import Layout

    report = train_feed(Layout.open(workspace), live=not candidate)
    learned = report.manifest
    if json_:
        print_json({"generation": report.generation, **asdict(learned), "seconds": report.seconds})
        return
    out.print(
        f"Learned from {learned.impressions:,} impressions"
        f"{' (simulated)' if learned.simulated else ''}; {_stage(candidate)}: {report.generation}."
    )
    for name, m in learned.metrics.items():
        if m is None:
            out.print(f"[dim]{name}: too seldom to learn.[/]")
        else:
            out.print(
                f"{name}: calibration error {m['ece']:.4f} at {100 * m['rate']:.2f} %, "
                f"AUC {m['auc']:.3f}."
            )


def _stage(candidate: bool) -> str:
    return "a candidate" if candidate else "live"
