"""`tandem loop`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tandem.cli.console import JsonOption, out, print_json


def loop_command(
    fix: Annotated[
        str | None, typer.Option(help="helpful, null or harmful; default: all three in turn.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same story.")] = 7,
    to: Annotated[
        Path | None, typer.Option("--to", "-o", help="Folder for the log and the reports.")
    ] = None,
    real_search: Annotated[
        bool,
        typer.Option(
            "--real-search/--market",
            help="Through `tandem insights`, a real index and the registry of a simulated shop, or "
            "on a market of figures alone.",
        ),
    ] = True,
    keep: Annotated[
        Path | None,
        typer.Option(help="Folder to keep the simulated shop in, with its registry."),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Walk a fix from finding to decision on simulated data whose truth is known.

    Exit code 0 only if every decision matches the truth: the helpful fix ships, no other does.

    Examples: `tandem loop --fix helpful --json` · `tandem loop --seed 3 --keep looped`
    """
    from tandem.contracts.errors import InvalidInput
    from tandem.flows.loop import run_loop
    from tandem.flows.shop_loop import BrokenShop, run_shop_loop
    from tandem.reports.experiment import report
    from tandem.reports.formats import rendered
    from tandem.simulate.market import FIXES
    from tandem.storage.atomic import write_atomic, write_json_atomic

    if fix is not None and fix not in FIXES:
        raise InvalidInput(
            f"unknown fix '{fix}'", field="fix", remedy=f"use one of: {', '.join(FIXES)}"
        )
    fixes = [f for f in FIXES if fix in (None, f)]
    if real_search:
        # The fix that ships is live for those after it: it goes last.
        fixes.sort(key=lambda f: f == "helpful")
        with (
            tempfile.TemporaryDirectory() as folder,
            BrokenShop(keep or Path(folder) / "shop", seed=seed) as shop,
        ):
            found = [run_shop_loop(shop, f, seed=seed) for f in fixes]
    else:
        found = [run_loop(f, seed=seed) for f in fixes]
    if to is not None:
        for loop in found:
            write_json_atomic(to / f"{loop.fix}.json", loop.to_json())
            if loop.analysis is not None:
                made = report(loop.analysis)
                for ending in (".html", ".md", ".eml"):
                    write_atomic(to / f"{loop.fix}{ending}", rendered(made, ending))
    right = all(loop.right for loop in found)
    if json_:
        print_json(
            {
                "simulated": True,
                "decisions_match_truth": right,
                "loops": [loop.to_json() for loop in found],
            }
        )
    else:
        out.print("[bold]SIMULATED DATA[/]")
        for loop in found:
            out.print(f"[bold]{loop.fix} fix[/]")
            for step in loop.steps:
                out.print(f"  {step.name:<13} {step.outcome:<8} {step.because}")
            decision = "promoted" if loop.promoted else "refused"
            out.print(
                f"  [bold]{decision}[/]; in truth orders per search change by "
                f"{loop.truth:+.4f}: {'right' if loop.right else 'WRONG'}"
            )
        if keep is not None and real_search:
            out.print(f"See: tandem artefacts --kind rules -w {keep}", markup=False)
    if not right:
        raise typer.Exit(1)
