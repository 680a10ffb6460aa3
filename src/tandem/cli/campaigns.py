"""`tandem seller campaign …`: goal, budget and dates become a plan that is followed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from tandem.cli.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, out, print_json
from tandem.cli.seller import MerchantArgument, seller_app
from tandem.contracts.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

    from tandem.contracts.campaign import Campaign, CampaignView
    from tandem.contracts.matching import Estimate
    from tandem.flows.campaigns import CampaignDesk

SHOWN = 20  # pieces that are printed
GOALS = {"gmv": "sales", "orders": "orders", "clicks": "clicks"}

campaign_app = typer.Typer(
    no_args_is_help=True, help="Campaigns: planned, followed, called off, told on one page."
)
seller_app.add_typer(campaign_app, name="campaign")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")]


@campaign_app.command("plan")
def plan_command(
    merchant: MerchantArgument,
    name: Annotated[str, typer.Option(help="What to call it.")],
    budget: Annotated[str, typer.Option(help="In the workspace's currency: 900.00")],
    starts: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First day.")],
    ends: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Last day.")],
    product: Annotated[list[str], typer.Option(help="Repeat: a product's id.")],
    goal: Annotated[str, typer.Option(help="gmv, orders or clicks.")] = "gmv",
    creators_per_product: Annotated[int, typer.Option(help="At most, 1 to 20.")] = 5,
    exploration: Annotated[
        float, typer.Option(help="Share of the budget for creators not known well, up to 0.5.")
    ] = 0.1,
    holdout: Annotated[
        float, typer.Option(help="Share of the creators left out by lot: a trial, up to 0.5.")
    ] = 0.0,
    by_region: Annotated[
        bool,
        typer.Option("--by-region", help="Instead: half of the regions, by lot, do not see it."),
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep/--try", help="Keep the plan, or only look at it.")
    ] = True,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Plan a campaign: which creators show what, for what money, and what to expect.

    Nobody is invited by it. A trial by regions says before it starts what it can find.

    Example: `tandem seller campaign plan Acme --name Spring --budget 900 --starts 2026-04-01
    --ends 2026-04-30 --product SP-1 --product SP-2 -w shop`
    """
    from pydantic import ValidationError

    from tandem.contracts.campaign import NewCampaign
    from tandem.storage.layout import Layout

    currency = Layout.open(workspace).settings().currency
    try:
        asked = NewCampaign.model_validate(
            {
                "merchant_id": merchant,
                "name": name,
                "goal": goal,
                "budget": {"amount": budget, "currency": currency},
                "starts": starts.date(),
                "ends": ends.date(),
                "product_ids": tuple(product),
                "creators_per_product": creators_per_product,
                "exploration": exploration,
                "holdout": holdout,
                "by_region": by_region,
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(
            first["msg"],
            field=".".join(map(str, first["loc"])) or "ends",
            remedy="see: tandem seller campaign plan --help",
        ) from None
    made = _desk(workspace).plan(asked, keep=keep)
    if json_:
        print_json(made.model_dump(mode="json"))
        return
    _show_plan(made)
    if keep:
        out.print(f"Follow it: tandem seller campaign show {made.id}", markup=False)
    else:
        out.print("This plan is not kept; without --try it is, with lots of its own.", markup=False)


@campaign_app.command("list")
def list_command(
    merchant: Annotated[str | None, typer.Argument(help="Whose; default: everybody's.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Campaigns, newest first.

    Example: `tandem seller campaign list Acme -w shop`
    """
    desk = _desk(workspace)
    found = [desk.follow(c.id) for c in desk.campaigns(merchant)]
    if json_:
        print_json({"campaigns": [v.model_dump(mode="json") for v in found]})
        return
    if not found:
        out.print("No campaign yet; see: tandem seller campaign plan --help")
        return
    table = Table("id", "merchant", "name", "state", "days", "pieces live", box=None)
    for v in found:
        a = v.campaign.asked
        live = f"{v.results.live} of {v.results.planned}"
        days = f"{a.starts} to {a.ends}"
        table.add_row(v.campaign.id, a.merchant_id, a.name, v.results.status, days, live)
    out.print(table)


@campaign_app.command("show")
def show_command(
    id_: IdArgument,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """A campaign, what came of it so far, and what its trial says once it is over.

    Example: `tandem seller campaign show 3f2a… -w shop --json`
    """
    view = _desk(workspace).follow(id_)
    if json_:
        print_json(view.model_dump(mode="json"))
        return
    _show_plan(view.campaign)
    _show_results(view)


@campaign_app.command("cancel")
def cancel_command(
    id_: IdArgument,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Call a campaign off: from tomorrow on nothing counts. What was agreed stays agreed.

    Example: `tandem seller campaign cancel 3f2a… -w shop`
    """
    made = _desk(workspace).cancel(id_)
    if json_:
        print_json(made.model_dump(mode="json"))
    else:
        out.print(f"{made.asked.name} is called off; {made.cancelled} is the last day that counts")


@campaign_app.command("remove")
def remove_command(
    id_: IdArgument,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Take a campaign that does not run off the list for good.

    Example: `tandem seller campaign remove 3f2a… -w shop`
    """
    _desk(workspace).remove(id_)
    if json_:
        print_json({"removed": id_})
    else:
        out.print(f"{id_} is removed")


def _desk(workspace: Path) -> CampaignDesk:
    from tandem.flows.campaigns import CampaignDesk
    from tandem.flows.matching import MatchOffice
    from tandem.storage.layout import Layout

    layout = Layout.open(workspace)
    return CampaignDesk(layout, MatchOffice(layout))


def _show_plan(c: Campaign) -> None:
    a = c.asked
    marked = "  [bold yellow]SIMULATED[/]" if c.simulated else ""
    out.print(f"[bold]{a.name}[/] of {a.merchant_id}, {a.starts} to {a.ends}{marked}")
    table = Table("creator", "product", f"{GOALS[a.goal]} expected", "cost", "because", box=None)
    best = sorted(c.pieces, key=lambda p: -_mean(getattr(p.one_piece, a.goal)))
    for p in best[:SHOWN]:
        table.add_row(
            p.creator_id + (" (trying)" if p.exploring else ""),
            p.product_id,
            _range(getattr(p.one_piece, a.goal)),
            f"{p.cost.amount:,}",
            "; ".join(p.reasons),
        )
    out.print(table)
    if len(best) > SHOWN:
        out.print(f"and {len(best) - SHOWN:,} more pieces; --json lists all")
    whole = ", ".join(f"{_range(getattr(c.outlook, g))} {says}" for g, says in GOALS.items())
    out.print(f"In all: {whole}; eight times of ten inside the range.", markup=False)
    out.print(
        f"Costs about {c.cost.amount:,} of {a.budget.amount:,} {a.budget.currency}; the plan lacks "
        f"at most {c.gap:.1%} of what is possible."
    )
    if c.held_out:
        creators = len({p.creator_id for p in c.held_out})
        out.print(
            f"{creators} creators are left out by lot, to measure what it adds; they were expected "
            f"to bring {c.trial_cost:,.0f}."
        )
    if c.regions:
        r = c.regions
        out.print(
            f"A trial by regions. Show it in {', '.join(r.shown)} and not in "
            f"{', '.join(r.not_shown)}, which were expected to bring {c.trial_cost:,.0f}. About "
            f"{r.usual:,.0f} orders come from the former anyway; eight times of ten it finds "
            f"{r.detectable:,.0f} added, and what is expected {r.power:.0%} of the time.",
            markup=False,
        )


def _show_results(view: CampaignView) -> None:
    r, trial = view.results, view.campaign.trial or view.campaign.region_trial
    clicks, orders = ("not told" if n is None else f"{n:,}" for n in (r.clicks, r.orders))
    money = f"{r.gmv.amount:,}"
    if not r.gmv_exact:
        money += " or more" if r.gmv_high is None else f" to {r.gmv_high.amount:,}"
    out.print(
        f"[bold]{r.status}[/], {r.progress:.0%} of the days over: {r.live} of {r.planned} pieces "
        f"live, clicks: {clicks}, orders: {orders}, sales: {money} {r.gmv.currency}"
    )
    if r.samples and r.samples.amount:
        out.print(f"Samples sent: {r.samples.amount:,} {r.samples.currency}")
    if not r.gmv_exact:
        out.print("Some creators keep their exact figures back.")
    if trial is None:
        return
    if trial.added is None or trial.low is None or trial.high is None:
        out.print(f"What it added is not known: {trial.reason}", markup=False)
    else:
        out.print(
            f"It added {trial.added:,.0f} orders, {trial.low:,.0f} to {trial.high:,.0f} with "
            f"{trial.confidence:.0%} confidence."
        )
        for doubt in getattr(trial, "doubts", ()):
            out.print(f"But: {doubt}", markup=False)


def _mean(estimate: Estimate | None) -> float:
    return 0.0 if estimate is None else estimate.expected


def _range(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    return f"{estimate.expected:,.0f} [{estimate.low:,.0f}, {estimate.high:,.0f}]"
