"""`tandem experiment unbiased`, `tandem experiment propensities` and `tandem tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tandem.cli.console import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    out,
    print_json,
    progress_bars,
)
from tandem.cli.experiments import names


def unbiased_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    judgments: Annotated[
        str | None, typer.Option(help="Judgment list to simulate clicks on; default: the first.")
    ] = None,
    sessions: Annotated[str, typer.Option(help="Numbers of searches, by comma.")] = (
        "1000,10000,100000"
    ),
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Repetitions.")] = 5,
    model: Annotated[
        str, typer.Option(help="gain-regression or linear; pairwise has trees of its own.")
    ] = "linear",
    propensities: Annotated[
        str, typer.Option(help="swaps, harvest, em or regression-em: how they are estimated.")
    ] = "harvest",
    few: Annotated[
        int, typer.Option(min=1, help="Judged queries that the live rankers learned from.")
    ] = 1,
    severity: Annotated[
        float, typer.Option(min=0, max=3, help="Place k is looked at with (1/k)^severity.")
    ] = 1.0,
    noise: Annotated[
        float, typer.Option(min=0, max=0.9, help="Chance of a click on what is irrelevant.")
    ] = 0.1,
    trust: Annotated[
        float,
        typer.Option(min=0, max=0.8, help="How much more readily what stands first is clicked."),
    ] = 0.0,
    methods: Annotated[
        str | None, typer.Option(help="Out of ips, dr, affine, pairwise, by comma; default: all.")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="Also write a page (.html or .md).")] = None,
    json_: JsonOption = False,
) -> None:
    """Does learning from clicks without their bias work? Simulated shoppers on real judgments.

    Example: `tandem experiment unbiased -w shop --sessions 1000,100000 --to curve.html`
    """
    from rich.table import Table

    from tandem.contracts.errors import InvalidInput
    from tandem.flows.unbiased import study_unbiased, write_study
    from tandem.flows.workspace import Workspace
    from tandem.ranking.clicks.learning import METHODS
    from tandem.simulate.clicks import ClickBehaviour
    from tandem.storage.layout import Layout

    try:
        steps = tuple(int(s) for s in sessions.split(","))
    except ValueError:
        steps = ()
    if not steps or min(steps) < 1:
        raise InvalidInput(
            f"'{sessions}' is not numbers of searches", field="sessions", remedy="say 1000,10000"
        )
    named = names(methods) or METHODS
    for method in named:
        if method not in METHODS:
            raise InvalidInput(
                f"no method '{method}'", field="methods", remedy=f"use: {', '.join(METHODS)}"
            )
    with (
        Workspace(Layout.open(workspace), ranked=False) as shop,
        progress_bars(quiet=json_) as bars,
    ):
        study = study_unbiased(
            shop,
            judgments,
            sessions=steps,
            methods=named,
            model=model,
            way=propensities,
            few=few,
            seeds=seeds,
            behaviour=ClickBehaviour(severity=severity, noise=noise, trust=trust),
            progress=bars,
        )
    if to is not None:
        write_study(study, to)
    if json_:
        print_json(study.to_json())
        return
    out.print("[bold]SIMULATED CLICKS[/] on the judgments of this workspace")
    table = Table(box=None)
    for head in ("searches", "method", "nDCG@10", "95%", "won back", "p against naive"):
        table.add_column(head, justify="left" if head == "method" else "right")
    for p in study.points:
        table.add_row(
            "" if p.sessions is None else f"{p.sessions:,}",
            p.method,
            f"{p.mean:.3f}",
            f"{p.low:.3f} – {p.high:.3f}",
            "" if p.recovered is None else f"{p.recovered:.0%}",
            "" if p.p is None else f"{p.p:.3f}",
        )
    out.print(table)
    out.print(
        f"[dim]{study.queries} queries, {study.folds} folds, {study.seeds} seeds: no figure is of "
        "a query that its ranker has seen.[/]"
    )


def propensities_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    way: Annotated[
        str | None, typer.Option(help="Out of lot, harvest, em, regression-em; default: all.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Also: do shoppers trust what stands on top?")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """How far shoppers look: by the lots of `experiment explore`, by harvesting, by EM.

    Example: `tandem experiment propensities -w shop --trust --json`
    """
    from rich.table import Table

    from tandem.contracts.errors import InvalidInput
    from tandem.flows.looks import ALL, looks
    from tandem.governance.audit import os_actor
    from tandem.storage.layout import Layout

    found = looks(Layout.open(workspace), names(way) or ALL, trust=trust, actor=os_actor())
    document = found.to_json()
    if json_:
        print_json(document)
        return
    if found.simulated:
        out.print("[bold]SIMULATED DATA[/]")
    out.print(f"{found.lists:,} searches, {found.drawn:,} with drawn places; relative to place 1")
    table = Table(box=None)
    columns: dict[str, list[float | None]] = {}
    for name, told in found.ways.items():
        if isinstance(told, InvalidInput):
            out.print(f"{name}: refused, {told.message}. {told.remedy}", markup=False)
            continue
        columns[name] = document["ways"][name]["examination"]
        if told.low is not None:
            columns[f"{name} from"] = document["ways"][name]["low"]
            columns[f"{name} to"] = document["ways"][name]["high"]
    if found.trust is not None:
        columns |= {"slope": document["trust"]["slope"], "floor": document["trust"]["floor"]}
    for head in ("place", *columns):
        table.add_column(head, justify="right")
    for place in range(min(10, max((len(c) for c in columns.values()), default=0))):
        cells = [c[place] if place < len(c) else None for c in columns.values()]
        table.add_row(str(place + 1), *("" if x is None else f"{x:.3f}" for x in cells))
    if columns:
        out.print(table)
    if found.trust is not None:
        there = "is there" if found.trust.p < 0.05 else "is not shown"
        out.print(f"Trust in the order {there} (likelihood ratio, p = {found.trust.p:.2g}).")
    if found.trust_says:
        out.print(f"Trust cannot be told: {found.trust_says}", markup=False)


def tune_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    judgments: Annotated[
        str | None, typer.Option(help="Judgment list to tune by; default: the first.")
    ] = None,
    measure: Annotated[str, typer.Option(help="Measure to raise.")] = "nDCG@10",
    trials: Annotated[int, typer.Option(min=1, max=2_000, help="Weights tried each time.")] = 60,
    seed: Annotated[int, typer.Option(help="Same data, same seed: same weights.")] = 7,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look and check, but change nothing.")
    ] = False,
    candidate: Annotated[
        bool,
        typer.Option("--candidate", help="Keep what is better as a candidate, to be promoted."),
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Tune the weights of fields and fusion by judgments; only what is better on queries that were
    kept back goes live. Undo: tandem rollback configurations. Needs the tuning extra.

    Example: `tandem tune -w shop --trials 100`
    """
    from tandem.flows.tune import tune
    from tandem.flows.workspace import Workspace
    from tandem.storage.layout import Layout

    with (
        Workspace(Layout.open(workspace), ranked=False) as shop,
        progress_bars(quiet=json_) as bars,
    ):
        result = tune(
            shop,
            judgments,
            measure=measure,
            trials=trials,
            seed=seed,
            dry=dry_run,
            live=not candidate,
            progress=bars,
        )
    if json_:
        print_json(result.to_json())
        return
    if result.simulated:
        out.print("[bold]SIMULATED DATA[/]")
    for label, g in (
        ("cross-validated", result.cross_validated),
        ("kept back", result.held_out),
    ):
        out.print(
            f"{label}: {result.measure} {g.before:.3f} → {g.after:.3f}, {g.mean:+.3f} "
            f"[{g.low:+.3f}, {g.high:+.3f}] over {g.queries} queries, p = {g.p:.3f}",
            markup=False,
            highlight=False,
        )
    out.print(
        f"[dim]On the queries that it was tuned on: {result.tuned:+.3f}, which says little.[/]"
    )
    out.print(f"[bold]{result.verdict}[/]")
    if result.generation and candidate:
        out.print(
            f"A candidate as {result.generation}; ask the gates with: tandem models promote "
            f"{result.generation} --kind configurations -w {workspace}"
        )
    elif result.generation:
        out.print(
            f"Live as {result.generation} for {result.system}; undo it with: tandem rollback "
            f"configurations -w {workspace}"
        )
