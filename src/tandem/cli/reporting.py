"""`tandem report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tandem.cli.console import JsonOption, out, print_json
from tandem.cli.experiments import names

report_app = typer.Typer(no_args_is_help=True, help="One-page reports in plain words.")


@report_app.callback()
def report() -> None:
    """One-page reports in plain words."""


@report_app.command("experiment")
def experiment_command(
    file: Annotated[Path, typer.Argument(help="One row per unit, as for `experiment analyse`.")],
    to: Annotated[
        Path | None, typer.Option("--to", "-o", help="Page to write: .html, .md or .json.")
    ] = None,
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
    money: Annotated[str | None, typer.Option(help="Metric that counts money per unit.")] = None,
    currency: Annotated[str, typer.Option(help="Its currency.")] = "EUR",
    yearly_units: Annotated[
        int, typer.Option(min=1, help="Units (shoppers) a year, for the worth.")
    ] = 1_000_000,
    json_: JsonOption = False,
) -> None:
    """What we tried, what happened, how sure we are, what it is worth, what to do.

    Example: `tandem report experiment ab.csv --success revenue --money revenue --to report.html`
    """
    from tandem.contracts.errors import InvalidInput
    from tandem.flows.experiment import analyse_file
    from tandem.reports.experiment import page, to_json, worth
    from tandem.storage.atomic import write_atomic

    if to is not None and to.suffix not in (".html", ".md", ".json"):
        raise InvalidInput(f"'{to.suffix}'", field="to", remedy="end it in .html, .md or .json")
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
    )
    if money is not None and money not in analysis.effects:
        raise InvalidInput(
            f"'{money}' is not a metric of this test",
            field="money",
            remedy=f"use one of: {', '.join(analysis.effects)}",
        )
    value = worth(analysis, money, currency, yearly_units) if money else None
    made = page(analysis, value)
    if to is not None:
        if to.suffix == ".json":
            text = json.dumps(to_json(analysis, value), indent=2) + "\n"
        else:
            text = made.html() if to.suffix == ".html" else made.markdown()
        write_atomic(to, text.encode())
    if json_:
        print_json(to_json(analysis, value))
    elif to is None:
        out.print(made.markdown(), markup=False, highlight=False, soft_wrap=True)
    else:
        out.print(f"Wrote {to}: {analysis.decision.verdict.replace('_', ' ')}.", markup=False)
