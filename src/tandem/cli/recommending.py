"""`tandem recommend`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tandem.cli.console import JsonOption, out, print_json, progress_bars

recommend_app = typer.Typer(no_args_is_help=True, help="Recommend what comes next.")


@recommend_app.callback()
def recommend() -> None:
    """Recommend what comes next."""


@recommend_app.command("evaluate")
def evaluate_command(
    dataset: Annotated[
        str, typer.Option(help="diginetica (next click), retail or complete_journey (next basket).")
    ] = "diginetica",
    test: Annotated[
        Path | None,
        typer.Option(
            help="Parquet of what came next: prefix (list of item ids) and target for clicks, "
            "later rows of the same layout for baskets; default: the end of the data set is kept "
            "back."
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the data; default: found.")] = None,
    systems: Annotated[
        str | None,
        typer.Option(
            help="Recommenders to compare, by comma; default: all that take no minutes to learn."
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Folder of trained networks: read from it where they are there (torch is then not "
            "needed), else trained and written to it."
        ),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Compare recommenders on what shoppers clicked or bought next, over all items.

    Examples: `tandem recommend evaluate --dataset diginetica --test pairs.parquet --json` ·
    `tandem recommend evaluate --dataset retail` ·
    `tandem recommend evaluate --systems item-knn,session-knn` ·
    `tandem recommend evaluate --systems sasrec,gsasrec --weights networks`
    """
    from tandem.recommend.transactions import LAYOUTS

    named = tuple(dict.fromkeys(s.strip() for s in (systems or "").split(",") if s.strip()))
    compare = _next_baskets if dataset in LAYOUTS else _next_clicks
    compare(dataset, test, data, named, weights, json_)


def _next_clicks(
    dataset: str,
    test: Path | None,
    data: Path | None,
    systems: tuple[str, ...],
    weights: Path | None,
    json_: bool,
) -> None:
    from tandem.flows.recommend import CUTOFF, HOT, evaluate_next_item

    with progress_bars(quiet=json_) as bars:
        result = evaluate_next_item(dataset, test, data, systems, bars, weights)
    if json_:
        print_json(result.to_json())
        return
    table = Table(box=None)
    table.add_column("recommender", no_wrap=True)
    for title in (f"P@{CUTOFF} %", f"MRR@{CUTOFF} %", "hot", "warm", "learns in", "p99"):
        table.add_column(title, justify="right")
    for name, m in result.systems.items():
        table.add_row(
            name,
            f"{m.p:.1f} [dim]{m.p_low:.1f}–{m.p_high:.1f}[/]",
            f"{m.mrr:.1f} [dim]{m.mrr_low:.1f}–{m.mrr_high:.1f}[/]",
            *(_percent(m.by_target[group][f"P@{CUTOFF}"]) for group in ("hot", "warm")),
            f"{m.train_s:,.1f} s",
            f"{m.p99_ms:,.1f} ms",
        )
    out.print(table)
    for name, remedy in result.left_out.items():
        out.print(f"[dim]{name} is left out: {escape(remedy)}[/]")
    out.print(
        f"[dim]{result.pairs:,} pairs, {escape(result.protocol)}; 95% intervals. Hot and warm: "
        f"P@{CUTOFF} of items with {HOT} clicks or more, and with fewer. "
        f"{result.unknown_targets:,} ask for an item that nobody had clicked before.[/]"
    )


def _next_baskets(
    dataset: str,
    test: Path | None,
    data: Path | None,
    systems: tuple[str, ...],
    weights: Path | None,
    json_: bool,
) -> None:
    from tandem.flows.next_basket import MEASURES, evaluate_next_basket

    with progress_bars(quiet=json_) as bars:
        result = evaluate_next_basket(dataset, test, data, systems, bars, weights).to_json()
    if json_:
        print_json(result)
        return
    accuracy, beside = Table(box=None), Table(box=None)
    accuracy.add_column("recommender", no_wrap=True)
    for title in (*(f"{m} %" for m in MEASURES), "warm", "cold", "learns in", "p99"):
        accuracy.add_column(title, justify="right")
    beside.add_column("recommender", no_wrap=True)
    for title in (
        "repeats %",
        "new %",
        "coverage",
        "novelty",
        "diversity",
        "not had",
        "gini",
        "makers",
    ):
        beside.add_column(title, justify="right")
    first = MEASURES[0]
    for name, m in result["systems"].items():
        cells = []
        for measure in MEASURES:
            low, high = m[f"{measure}_interval"]
            cells.append(f"{m[measure]:.1f} [dim]{low:.1f}–{high:.1f}[/]")
        accuracy.add_row(
            name,
            *cells,
            *(_percent(m[group][first]) for group in ("warm", "cold")),
            f"{m['train_s']:,.1f} s",
            f"{m['p99_ms']:,.1f} ms",
        )
        beside.add_row(
            name,
            *(_percent(m[f"{first}_of_{kind}"]) for kind in ("repeats", "new")),
            *(f"{m[k]:.2f}" for k in ("coverage", "novelty_bits", "diversity", "new_to_person")),
            f"{m['concentration']:.2f}",
            "–"
            if (makers := m["exposure"]["merchant"]) is None
            else f"{makers['concentration']:.2f}",
        )
    out.print(accuracy)
    out.print(beside)
    for name, m in result["systems"].items():
        if (cold := m["cold_items"]) is not None:
            low, high = cold[f"{first}_interval"]
            out.print(
                f"{name} finds {cold[first]:.1f}% [dim]{low:.1f}–{high:.1f}[/] of the items that "
                f"nobody had bought before among these {cold['items']:,}; drawing lots "
                f"{cold['by_lot']:.1f}%."
            )
    for name, remedy in result["left_out"].items():
        out.print(f"[dim]{name} is left out: {escape(remedy)}[/]")
    out.print(
        f"[dim]{result['people']:,} people ({result['people_cold']:,} cold), "
        f"{result['items']:,} items, {escape(result['protocol'])}; 95% intervals. Warm, cold, "
        f"repeats and new: {first} of those people and items. Makers: Gini index of the places "
        "that each gets.[/]"
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


@recommend_app.command("search")
def search_command(
    data: Annotated[Path | None, typer.Option(help="Folder of the data; default: found.")] = None,
    people: Annotated[
        int | None, typer.Option(min=20, help="Measure at most so many people; default: all.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Measure personalised search beside the search of everybody, on real purchases.

    What people bought stands for what they searched for; the queries are derived from its text.

    Example: `tandem recommend search --people 300`
    """
    from tandem.flows.personal_search import MEASURES, evaluate_receipts

    with progress_bars(quiet=json_) as bars:
        result = evaluate_receipts(data, people=people, progress=bars)
    if json_:
        print_json(result)
        return
    table = Table(box=None)
    table.add_column("searches", no_wrap=True)
    for title in ("people", f"{MEASURES[0]} everybody", "personal", "gain", "p"):
        table.add_column(title, justify="right")
    for name, row in result["segments"].items():
        m = row[MEASURES[0]]
        low, high = m["interval"]
        table.add_row(
            name,
            f"{row['people']:,}",
            f"{m['everybody']:.3f}",
            f"{m['personal']:.3f}",
            f"{m['gain']:+.3f} [dim]{low:+.3f} – {high:+.3f}[/]",
            f"{m['p']:.3f}",
        )
    out.print(table)
    out.print(
        f"[dim]Real purchases, derived queries; learned from {result['learned_from']:,} searches "
        f"before, over {result['system']}. Means over people, 95% intervals.[/]"
    )


@recommend_app.command("trial")
def trial_command(
    shoppers: Annotated[int, typer.Option(min=100, help="Simulated shoppers in the test.")] = 2_000,
    seed: Annotated[int, typer.Option(help="Same seed: same shoppers.")] = 7,
    json_: JsonOption = False,
) -> None:
    """Try personalised search on simulated shoppers whose tastes are known: an A/B test.

    Example: `tandem recommend trial --shoppers 1000`
    """
    from tandem.flows.personal_trial import run_trial

    trial = run_trial(shoppers, seed=seed)
    overall, newcomers = trial.overall.to_json(), trial.newcomers.to_json()
    if json_:
        print_json({"simulated": True, "overall": overall, "newcomers": newcomers})
        return
    table = Table(box=None)
    for title in ("simulated shoppers", "orders each, everybody’s", "personal", "difference", "p"):
        table.add_column(title, justify="right" if table.columns else "left")
    rows = [("all", overall["metrics"]["orders"])]
    rows += [(f"taste: {s['value']}", s) for s in overall["segments"]]
    rows += [("first searches", newcomers["metrics"]["orders"])]
    for name, e in rows:
        table.add_row(
            name,
            f"{e['control']:.3f}",
            f"{e['treatment']:.3f}",
            f"{e['difference']:+.3f} [dim]{e['low']:+.3f} – {e['high']:+.3f}[/]",
            f"{e['p']:.3f}",
        )
    out.print(table)
    out.print(f"[dim]Simulated. {escape(overall['decision']['because'])}[/]")


@recommend_app.command("feed-trial")
def feed_trial_command(
    shoppers: Annotated[int, typer.Option(min=100, help="Simulated shoppers in the test.")] = 1_000,
    seed: Annotated[int, typer.Option(help="Same seed: same shoppers.")] = 7,
    json_: JsonOption = False,
) -> None:
    """Try the feed's ranker on simulated shoppers: calibration, orders, exploration, fairness.

    Example: `tandem recommend feed-trial --shoppers 500`
    """
    from tandem.flows.feed_trial import run_feed_trial

    trial = run_feed_trial(shoppers, seed=seed).to_json()
    if json_:
        print_json(trial)
        return
    table = Table(box=None)
    titles = ("objective", "seen", "calibration error", "Brier", "of the plain rate", "AUC")
    for title in titles:
        table.add_column(title, justify="right" if table.columns else "left")
    for name, m in trial["calibration"].items():
        if m is not None:
            table.add_row(
                name,
                f"{100 * m['rate']:.1f} %",
                f"{m['ece']:.4f}",
                f"{m['brier']:.4f}",
                f"{m['brier_of_rate']:.4f}",
                f"{m['auc']:.3f}",
            )
    out.print(table)
    orders = trial["experiment"]["metrics"]["orders"]
    out.print(
        f"Orders of a shopper: {orders['control']:.3f} in turn, {orders['treatment']:.3f} ranked "
        f"({orders['difference']:+.3f} [dim]{orders['low']:+.3f} – {orders['high']:+.3f}[/])."
    )
    for name in ("with the floor", "without"):
        e = trial["exposure"][name]
        out.print(
            f"{name}: {100 * e['exploration']:.1f} % of places explore, "
            f"{100 * e['new_creators']:.1f} % are of new creators, "
            f"{100 * e['seldom_shown_merchants']:.1f} % are of seldom shown merchants."
        )
    out.print(f"[dim]Simulated, from {trial['impressions']:,} impressions.[/]")
