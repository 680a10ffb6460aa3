"""`tandem report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tandem.cli.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, out, print_json
from tandem.cli.experiments import BurnInOption, ClusterOption, ScheduleOption, names

if TYPE_CHECKING:
    from tandem.reports.report import Audience, Report

report_app = typer.Typer(no_args_is_help=True, help="One-page reports in plain words.")
ToOption = Annotated[
    Path | None,
    typer.Option("--to", "-o", help="File to write: .html, .pdf, .md, .json or .eml (an e-mail)."),
]
ForOption = Annotated[
    str, typer.Option("--for", help="Who reads it: executive, merchant or creator.")
]
TenantOption = Annotated[
    str | None, typer.Option(help="Name of the merchant or creator, with --for.")
]
PeriodOption = Annotated[
    str | None,
    typer.Option(
        help="For a merchant: a month, as 2026-03, or of `weekly` a week, as 2026-W13; default: "
        "the last that is over."
    ),
]
KeepOption = Annotated[
    bool, typer.Option("--keep", help="Keep it in the workspace's reports/, for the lab.")
]


@report_app.callback()
def report() -> None:
    """One-page reports in plain words."""


@report_app.command("experiment")
def experiment_command(
    file: Annotated[Path, typer.Argument(help="One row per unit, as for `experiment analyse`.")],
    to: ToOption = None,
    for_: ForOption = "executive",
    control: Annotated[str, typer.Option(help="Name of the control variant.")] = "control",
    treatment: Annotated[str | None, typer.Option(help="Name of the treatment.")] = None,
    success: Annotated[str | None, typer.Option(help="Success metrics, by comma.")] = None,
    guardrails: Annotated[str | None, typer.Option(help="Guardrail metrics, by comma.")] = None,
    less_is_better: Annotated[
        str | None, typer.Option(help="Metrics of which less is better, by comma.")
    ] = None,
    planned: Annotated[int, typer.Option(min=10, help="Units planned for both arms.")] = 10_000,
    alpha: Annotated[float, typer.Option(min=0.0001, max=0.5, help="False alarm rate.")] = 0.05,
    name: Annotated[str | None, typer.Option(help="What the test is called.")] = None,
    cluster: ClusterOption = None,
    schedule: ScheduleOption = None,
    burn_in: BurnInOption = 0.25,
    days: Annotated[
        Path | None,
        typer.Option(help="One row per unit and day, as for `experiment novelty`: does it fade?"),
    ] = None,
    money: Annotated[str | None, typer.Option(help="Metric that counts money per unit.")] = None,
    currency: Annotated[str, typer.Option(help="Its currency.")] = "EUR",
    yearly_units: Annotated[
        int, typer.Option(min=1, help="Units (shoppers) a year, for the worth.")
    ] = 1_000_000,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    keep: KeepOption = False,
    json_: JsonOption = False,
) -> None:
    """What we tried, what happened, how sure we are, what it is worth, what to do.

    Example: `tandem report experiment ab.csv --success revenue --money revenue --to report.html`
    """
    from tandem.contracts.errors import InvalidInput
    from tandem.flows.designs import novelty_of_file
    from tandem.flows.experiment import analyse_file
    from tandem.reports.experiment import report, worth

    audience = _audience(for_)
    _check_ending(to)
    analysis = analyse_file(
        file,
        control=control,
        treatment=treatment,
        success=names(success),
        guardrails=names(guardrails),
        less_is_better=names(less_is_better),
        planned=planned,
        alpha=alpha,
        name=name,
        cluster=cluster,
        schedule=schedule,
        burn_in=burn_in,
    )
    seen = None
    if days is not None:
        first = next((m for m in analysis.metrics if m.denominator is None), analysis.metrics[0])
        found, _ = novelty_of_file(days, first.name, control=control, treatment=analysis.treatment)
        seen = (first.name, found)
    if money is not None and money not in analysis.effects:
        raise InvalidInput(
            f"'{money}' is not a metric of this test",
            field="money",
            remedy=f"use one of: {', '.join(analysis.effects)}",
        )
    value = worth(analysis, money, currency, yearly_units) if money else None
    _hand_over(report(analysis, value, audience, seen), to, workspace if keep else None, json_)


@report_app.command("insight")
def insight_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    to: ToOption = None,
    for_: ForOption = "executive",
    tenant: TenantOption = None,
    period: PeriodOption = None,
    keep: KeepOption = False,
    json_: JsonOption = False,
) -> None:
    """Where search fails, what it costs and what to mend first, from the last `tandem insights`.

    For a merchant: what shoppers search for, and what comes to it; for a creator: its work.

    Example: `tandem report insight -w shop --to insight.pdf`
    """
    from tandem.flows.reporting import insight_report
    from tandem.storage.layout import Layout

    audience = _audience(for_)
    _check_ending(to)
    made = insight_report(Layout.open(workspace), audience, tenant, period)
    _hand_over(made, to, workspace if keep else None, json_)


@report_app.command("model")
def model_command(
    generation: Annotated[
        str | None,
        typer.Argument(help="Generation; default: the newest candidate, else the live one."),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    to: ToOption = None,
    for_: ForOption = "executive",
    keep: KeepOption = False,
    json_: JsonOption = False,
) -> None:
    """Is a ranking model better, may it go live, and what was decided?

    Example: `tandem report model -w shop --to model.html`
    """
    from tandem.flows.reporting import model_report
    from tandem.storage.layout import Layout

    audience = _audience(for_)
    _check_ending(to)
    made = model_report(Layout.open(workspace), generation, audience)
    _hand_over(made, to, workspace if keep else None, json_)


@report_app.command("weekly")
def weekly_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    until: Annotated[
        str | None,
        typer.Option(help="Day after the week, as 2026-03-29; default: after the last whole day."),
    ] = None,
    to: ToOption = None,
    for_: ForOption = "executive",
    tenant: TenantOption = None,
    period: PeriodOption = None,
    keep: KeepOption = False,
    json_: JsonOption = False,
) -> None:
    """A week of search: sales, failures and their cost, tests, models, and what to decide now.

    Example: `tandem report weekly -w shop --to week.eml`
    """
    from tandem.flows.reporting import weekly_report
    from tandem.storage.layout import Layout

    audience = _audience(for_)
    _check_ending(to)
    made = weekly_report(Layout.open(workspace), audience, tenant, until, period)
    _hand_over(made, to, workspace if keep else None, json_)


@report_app.command("campaign")
def campaign_command(
    campaign: Annotated[str, typer.Argument(help="Id of a campaign of the workspace.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    to: ToOption = None,
    keep: KeepOption = False,
    json_: JsonOption = False,
) -> None:
    """A merchant's campaign: what was asked, what came of it, and what to do next.

    Example: `tandem report campaign 5b0c6d1ab2f34ad3 -w shop --to campaign.pdf`
    """
    from tandem.flows.campaigns import report_of_campaign
    from tandem.storage.layout import Layout

    _check_ending(to)
    made = report_of_campaign(Layout.open(workspace), campaign)
    _hand_over(made, to, workspace if keep else None, json_)


def _audience(name: str) -> Audience:
    from tandem.contracts.errors import InvalidInput
    from tandem.reports.report import AUDIENCES

    if name not in AUDIENCES:
        raise InvalidInput(
            f"nobody is called '{name}'", field="for", remedy=f"use: {', '.join(AUDIENCES)}"
        )
    return name


def _check_ending(to: Path | None) -> None:
    """Before any work is done."""
    from tandem.contracts.errors import InvalidInput
    from tandem.reports.formats import FORMATS

    if to is not None and to.suffix not in FORMATS:
        raise InvalidInput(
            f"cannot write a report as '{to.suffix}'",
            field="to",
            remedy=f"end it in one of: {', '.join(FORMATS)}",
        )


def _hand_over(made: Report, to: Path | None, keep_in: Path | None, json_: bool) -> None:
    """Write it, keep it, print it."""
    from tandem.flows.reporting import keep
    from tandem.reports.formats import rendered
    from tandem.storage.atomic import write_atomic
    from tandem.storage.layout import Layout

    if to is not None:
        write_atomic(to, rendered(made, to.suffix))
    kept = keep(Layout.open(keep_in), made) if keep_in is not None else None
    if json_:
        print_json(made.to_json())
    elif to is None:
        out.print(made.page().markdown(), markup=False, highlight=False, soft_wrap=True)
    else:
        out.print(f"Wrote {to}: {made.verdict.replace('_', ' ')}.", markup=False)
    if kept is not None and not json_:
        out.print(f"Kept as {kept} in the workspace; the lab shows it.", markup=False)
