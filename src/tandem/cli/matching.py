"""`tandem match`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tandem.cli.console import JsonOption, out, print_json, progress_bars
from tandem.contracts.errors import InvalidInput

match_app = typer.Typer(no_args_is_help=True, help="Match brands and creators.")


@match_app.callback()
def match() -> None:
    """Match brands and creators."""


@match_app.command("evaluate")
def evaluate_command(
    test: Annotated[
        Path | None,
        typer.Option(help="CSV with brand, creator, label: collaborations of unseen brands."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the known collaborations and profiles; default: found."),
    ] = None,
    cross_validate: Annotated[
        bool, typer.Option("--cross-validate", help="Hold out known brands, part by part, instead.")
    ] = False,
    folds: Annotated[int, typer.Option(min=2, max=10, help="Parts of --cross-validate.")] = 4,
    systems: Annotated[
        str | None, typer.Option(help="Systems to compare, by comma; default: all.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same data, same seed: same figures.")] = 7,
    json_: JsonOption = False,
) -> None:
    """Compare matching systems on brands that they have never seen, with intervals.

    Examples: `tandem match evaluate --test test.csv --json` ·
    `tandem match evaluate --cross-validate --systems cosine_topics,ltr`
    """
    from tandem.flows.match import MEASURES, evaluate_file
    from tandem.flows.match import cross_validate as validate
    from tandem.matching.systems import SYSTEMS

    if (test is None) is not cross_validate:
        raise InvalidInput(
            "give either a test file or --cross-validate",
            field="test",
            remedy="tandem match evaluate --test FILE.csv, or --cross-validate",
        )
    named = tuple(dict.fromkeys(s.strip() for s in (systems or "").split(",") if s.strip()))
    chosen = named or SYSTEMS
    with progress_bars(quiet=json_) as bars:
        if test is not None:
            result = evaluate_file(test, data, chosen, seed=seed, progress=bars)
        else:
            result = validate(data, chosen, folds=folds, seed=seed, progress=bars)
    if json_:
        print_json(result.to_json())
        return
    table = Table(box=None)
    table.add_column("system", no_wrap=True)
    for name in MEASURES:
        table.add_column(name, justify="right")
    for system, measures in result.systems.items():
        digits = {name: 1 if name == "MedR" else 3 for name in MEASURES}
        cells = [
            f"{i.mean:.{digits[m]}f} [dim]{i.low:.{digits[m]}f}–{i.high:.{digits[m]}f}[/]"
            for m, i in measures.items()
        ]
        table.add_row(system, *cells)
    out.print(table)
    out.print(
        f"[dim]{result.brands} unseen brands, {result.candidates:,.0f} candidates each; "
        f"{result.protocol}. 95% intervals over brands; MedR: less is better.[/]"
    )
