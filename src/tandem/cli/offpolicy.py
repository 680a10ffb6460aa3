"""`tandem offpolicy`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from tandem.cli.console import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    out,
    print_json,
    progress_bars,
)
from tandem.contracts.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from tandem.flows.explored import SlotEvaluation

offpolicy_app = typer.Typer(
    no_args_is_help=True, help="Evaluate a policy from the log of another one."
)
SETTINGS = ("open-bandit", "synthetic")


@offpolicy_app.command("evaluate")
def evaluate_command(
    file: Annotated[Path, typer.Argument(help="Log of decisions: CSV, JSON lines or Parquet.")],
    estimators: Annotated[
        str | None, typer.Option(help="Estimators, by comma; default: all.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=100, help="Bootstrap resamples.")] = 1_000,
    min_effective: Annotated[
        float, typer.Option(min=2, help="Refuse below this effective sample size.")
    ] = 100.0,
    seed: Annotated[int, typer.Option(help="Same data, same seed: same figures.")] = 7,
    json_: JsonOption = False,
) -> None:
    """What would another policy have earned? With intervals, or a refusal with its reason.

    Columns: reward, pscore, and evaluation_pscore; or action and action_dist (and `context_…`,
    position) for the estimators with a reward model. A refusal is an answer: exit code 0.

    Example: `tandem offpolicy evaluate log.csv --estimators IPW,SNIPW --json`
    """
    from tandem.experiments.offpolicy.diagnostics import Limits
    from tandem.experiments.offpolicy.estimators import ESTIMATORS
    from tandem.flows.offpolicy import evaluate_file

    named = tuple(dict.fromkeys(s.strip() for s in (estimators or "").split(",") if s.strip()))
    result = evaluate_file(
        file,
        named or tuple(ESTIMATORS),
        limits=Limits(effective=min_effective),
        resamples=resamples,
        seed=seed,
    )
    if json_:
        print_json(result.to_json())
        return
    d = result.diagnostics
    out.print(
        f"{d.rows:,} decisions, {d.rewarded:,} with a reward, worth {d.effective:,.0f} "
        f"for the evaluation policy (mean weight {d.mean_weight:.3f}, largest {d.largest:.1f})."
    )
    if result.refusal is not None:
        out.print(f"[bold]Refused[/] ({result.refusal.reason}): {result.refusal.message}.")
        out.print(f"[bold]Remedy[/] {result.refusal.remedy}.")
        return
    table = Table(box=None)
    for column in ("estimator", "value", "95% bootstrap", "95% empirical Bernstein"):
        table.add_column(column, justify="left" if column == "estimator" else "right")
    for name, e in result.estimates.items():
        table.add_row(
            name,
            f"{e.value:.5f}",
            f"{e.bootstrap.low:.5f} – {e.bootstrap.high:.5f}",
            f"{e.bernstein.low:.5f} – {e.bernstein.high:.5f}" if e.bernstein else "",
        )
    out.print(table)
    out.print(f"[dim]The logging policy earned {result.logged:.5f} per decision.[/]")
    for name, why in result.not_estimated.items():
        out.print(f"[dim]{name}: {why}[/]")


@offpolicy_app.command("reproduce")
def reproduce_command(
    setting: Annotated[
        str | None, typer.Option(help="open-bandit or synthetic; default: both.")
    ] = None,
    campaign: Annotated[
        str | None, typer.Option(help="all, men or women; default: those in the data.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the Open Bandit Dataset; default: found.")
    ] = None,
    runs: Annotated[
        int | None, typer.Option(min=1, help="Runs; default as published: 30 and 20.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same figures.")] = 7,
    json_: JsonOption = False,
) -> None:
    """Hold the estimators against published figures: mean relative error over runs.

    Example: `tandem offpolicy reproduce --setting open-bandit --campaign all --json`
    """
    from tandem.experiments.offpolicy.open_bandit import CAMPAIGNS
    from tandem.flows.offpolicy import (
        campaigns_present,
        open_bandit_folder,
        reproduce_open_bandit,
        reproduce_synthetic,
    )

    for value, known, field in ((setting, SETTINGS, "setting"), (campaign, CAMPAIGNS, "campaign")):
        if value is not None and value not in known:
            raise InvalidInput(
                f"unknown {field} '{value}'", field=field, remedy=f"use: {', '.join(known)}"
            )
    found = []
    missing: tuple[str, ...] = ()
    with progress_bars(quiet=json_) as bars:
        if setting in (None, "open-bandit"):
            folder = open_bandit_folder(data)
            present = campaigns_present(folder)
            if campaign is None and not present and setting is not None:
                raise NotFound(
                    f"no Open Bandit data in {folder}",
                    remedy="name the folder that has random/ and bts/ in it with --data",
                )
            missing = tuple(c for c in CAMPAIGNS if c not in present) if campaign is None else ()
            for c in (campaign,) if campaign else present:
                found.append(
                    reproduce_open_bandit(folder, c, runs=runs or 30, seed=seed, progress=bars)
                )
        if setting in (None, "synthetic"):
            found.append(reproduce_synthetic(runs=runs or 20, seed=seed, progress=bars))
    if json_:
        print_json({"settings": [f.to_json() for f in found], "campaigns_without_data": missing})
        return
    for result in found:
        table = Table(box=None, title=f"{result.setting}{' (simulated)' * result.simulated}")
        for column in ("estimator", "relative error", "published", "within its spread"):
            table.add_column(column, justify="left" if column == "estimator" else "right")
        for name, r in result.estimators.items():
            p = r.published
            table.add_row(
                name,
                f"{r.mean:.4f} ± {r.std:.4f}",
                f"{p.mean:.4f} ± {p.std:.4f}" if p else "",
                {True: "yes", False: "no", None: ""}[r.within],
            )
        out.print(table)
    for c in missing:
        out.print(f"[dim]Campaign {c}: its impressions are not in the data.[/]")


@offpolicy_app.command("served")
def served_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    steepness: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=10, help="Of Plackett-Luce; default: the ranker's order, nothing drawn."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A registered model, live or not: what its order would have earned."),
    ] = None,
    slot: Annotated[
        str | None, typer.Option(help="A slot: what always showing each arm would have earned.")
    ] = None,
    min_effective: Annotated[
        float, typer.Option(min=2, help="Refuse below this effective sample size.")
    ] = 100.0,
    json_: JsonOption = False,
) -> None:
    """From what the shop served while it explored: clicks a list under another policy.

    Example: `tandem offpolicy served --model g000002-20260301T120000 -w shop --json`
    """
    from tandem.contracts.errors import InvalidInput
    from tandem.experiments.offpolicy.diagnostics import Limits, Refusal
    from tandem.flows.explored import evaluate_explored, evaluate_slot
    from tandem.governance.audit import os_actor
    from tandem.storage.layout import Layout

    limits = Limits(effective=min_effective)
    layout = Layout.open(workspace)
    if slot is not None:
        if model is not None or steepness is not None:
            raise InvalidInput(
                "a slot and another policy at once", field="slot", remedy="ask for one of them"
            )
        _tell_slot(evaluate_slot(layout, slot, limits=limits), json_)
        return
    result = evaluate_explored(
        layout, steepness=steepness, model=model, actor=os_actor(), limits=limits
    )
    if json_:
        print_json(result.to_json())
        return
    if result.simulated:
        out.print("[bold]SIMULATED DATA[/]")
    out.print(
        f"{result.lists:,} explored lists of {result.places} places: "
        f"{result.logged:.4f} clicks a list as they were shown. Under {result.policy}:"
    )
    if model is not None:
        out.print(f"its order is the logged ranker's own in {result.same:.0%} of the lists")
    for reason, lists in result.left_out.items():
        out.print(f"{lists:,} lists are left out: {reason}")
    for name, e in result.estimates.items():
        if isinstance(e, Refusal):
            out.print(f"{name}: [bold]refused[/] ({e.reason}): {e.message}. {e.remedy}")
        else:
            out.print(
                f"{name}: {e.value:.4f} ({e.interval.low:.4f} – {e.interval.high:.4f}), as much as "
                f"{e.effective:,.0f} lists say"
            )


def _tell_slot(result: SlotEvaluation, json_: bool) -> None:
    if json_:
        print_json(result.to_json())
        return
    if result.simulated:
        out.print("[bold]SIMULATED DATA[/]")
    still = f", without {result.open:,} that may still be rewarded" if result.open else ""
    out.print(f"{result.showings:,} showings of '{result.slot}'{still}. {result.reward} a showing:")
    for arm, e in result.policies.items():
        if e.refusal is not None:
            r = e.refusal
            out.print(f"{arm}: [bold]refused[/] ({r.reason}): {r.message}. {r.remedy}")
            continue
        for name, found in e.estimates.items():
            interval = found.bootstrap
            out.print(
                f"{arm}, {name}: {found.value:.4f} ({interval.low:.4f} – {interval.high:.4f})"
            )
