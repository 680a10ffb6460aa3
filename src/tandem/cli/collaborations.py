"""`tandem collaborations …`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError
from rich.table import Table

from tandem.cli.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, out, print_json
from tandem.contracts.errors import InvalidInput

if TYPE_CHECKING:
    from tandem.contracts.collaboration import Collaboration, Party
    from tandem.flows.collaborate import Recorded

collaborations_app = typer.Typer(
    no_args_is_help=True,
    help="Collaborations of merchants and creators: from invitation to settlement.",
)

AsOption = Annotated[
    str, typer.Option("--as", help="Who acts: merchant:ID, creator:ID or platform:ID.")
]
KeyOption = Annotated[
    str | None,
    typer.Option("--key", help="Idempotency key: the same call with it counts once."),
]
ProductsOption = Annotated[str, typer.Option(help="Products by comma.")]
RateOption = Annotated[int, typer.Option(min=0, max=10_000, help="Commission in basis points.")]
SampleOption = Annotated[bool, typer.Option("--sample", help="A sample is sent first.")]
ContentDaysOption = Annotated[
    int, typer.Option(min=1, max=365, help="Days from acceptance or sample until content is due.")
]
IdArgument = Annotated[str, typer.Argument(help="Id of the collaboration.")]
EVERYTHING = "platform:operator"


@collaborations_app.command("invite")
def invite(
    creator: Annotated[str, typer.Option(help="Creator to invite.")],
    products: ProductsOption,
    rate: RateOption,
    as_: AsOption,
    sample: SampleOption = False,
    content_days: ContentDaysOption = 14,
    key: KeyOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Invite a creator to a target collaboration.

    Example: `tandem collaborations invite --as merchant:acme --creator mia --products SP-1
    --rate 1500 -w shop`
    """
    value = {"action": "invite", "creator_id": creator, "commission_rate": rate}
    _open(value, products, sample, content_days, as_, key, workspace, json_)


@collaborations_app.command("apply")
def apply(
    merchant: Annotated[str, typer.Option(help="Merchant to ask.")],
    products: ProductsOption,
    rate: RateOption,
    as_: AsOption,
    sample: SampleOption = False,
    content_days: ContentDaysOption = 14,
    key: KeyOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Apply to a merchant for an open collaboration.

    Example: `tandem collaborations apply --as creator:mia --merchant acme --products SP-1
    --rate 1000 -w shop`
    """
    value = {"action": "apply", "merchant_id": merchant, "commission_rate": rate}
    _open(value, products, sample, content_days, as_, key, workspace, json_)


@collaborations_app.command("act")
def act(
    id_: IdArgument,
    action: Annotated[str, typer.Argument(help="What to do, as `show` lists it: accept, …")],
    as_: AsOption,
    days: Annotated[int | None, typer.Option(help="For ask_extension.")] = None,
    reason: Annotated[str | None, typer.Option(help="For cancel and open_dispute.")] = None,
    content: Annotated[str | None, typer.Option(help="For publish: id of the content.")] = None,
    caption: Annotated[str | None, typer.Option(help="For publish: its caption.")] = None,
    disclosure: Annotated[
        str | None,
        typer.Option(help="For publish: platform_label, or a hashtag of the caption such as #ad."),
    ] = None,
    live: Annotated[
        str | None, typer.Option(help="For publish: since when it is live; default: now.")
    ] = None,
    rate: Annotated[int | None, typer.Option(help="For change_rate, in basis points.")] = None,
    outcome: Annotated[
        str | None, typer.Option(help="For resolve_dispute: release or refund.")
    ] = None,
    key: KeyOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Take one step in a collaboration.

    Examples: `tandem collaborations act ID accept --as creator:mia -w shop` ·
    `tandem collaborations act ID publish --as creator:mia --content v1 --disclosure
    platform_label -w shop`
    """
    from tandem.contracts.collaboration import Action
    from tandem.flows.collaborate import collaboration_desk

    given: dict[str, Any] = {
        "days": days,
        "reason": reason,
        "content_id": content,
        "caption": caption,
        "disclosure": _disclosure(disclosure),
        "live": live,
        "commission_rate": rate,
        "outcome": outcome,
    }
    value = {"action": action, **{name: v for name, v in given.items() if v is not None}}
    step = _validated(Action, value)
    with collaboration_desk(workspace) as desk:
        _show(desk.act(_party(as_), id_, step, key), json_)


@collaborations_app.command("list")
def list_(
    as_: AsOption = EVERYTHING,
    status: Annotated[str | None, typer.Option(help="Only these, such as CONTENT_DUE.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest ones.")] = 100,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """List collaborations, newest first: one's own, or all for the platform.

    Example: `tandem collaborations list --as merchant:acme --status CONTENT_DUE -w shop`
    """
    from tandem.flows.collaborate import collaboration_desk

    with collaboration_desk(workspace) as desk:
        found = desk.find(_party(as_), status=status, limit=limit)
    if json_:
        print_json({"collaborations": [c.model_dump(mode="json") for c in found]})
        return
    table = Table(box=None)
    for column in ("id", "status", "merchant", "creator", "rate", "due"):
        table.add_column(column, no_wrap=column == "id")
    for c in found:
        due = c.respond_by if c.status in ("INVITED", "APPLIED") else c.content_due
        rate = f"{c.rates[-1].commission_rate / 100:g}%"
        status_ = f"{c.status}{', disputed' if c.dispute else ''}"
        table.add_row(
            c.id, status_, c.merchant_id, c.creator_id, rate, f"{due:%Y-%m-%d}" if due else ""
        )
    out.print(table)


@collaborations_app.command("show")
def show(
    id_: IdArgument,
    as_: AsOption = EVERYTHING,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Show a collaboration: state, what may be done next, money and history.

    Example: `tandem collaborations show ID --as creator:mia -w shop`
    """
    from tandem.collaboration.lifecycle import possible
    from tandem.flows.collaborate import collaboration_desk

    party = _party(as_)
    with collaboration_desk(workspace) as desk:
        c = desk.get(party, id_)
        next_ = possible(c, party.role, desk.clock())
        balances = desk.balances(party, id_)
        history = desk.history(party, id_)
    if json_:
        print_json(
            {
                "collaboration": c.model_dump(mode="json"),
                "possible": next_,
                "balances": [
                    {"account": b.account, "amount": str(b.amount), "currency": b.currency}
                    for b in balances
                ],
                "history": [entry.model_dump(mode="json") for entry in history],
            }
        )
        return
    _show(c, json_=False)
    _say(f"Next for you: {', '.join(next_) or 'nothing'}")
    for b in balances:
        _say(f"{b.account:>8} {b.stands} {b.currency}")
    for entry in history:
        who = f"{entry.party.role}:{entry.party.id}"
        _say(f"{entry.at:%Y-%m-%d %H:%M} {who} {entry.action['action']}")


@collaborations_app.command("orders")
def orders(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV: collaboration, order, line, product_id, ordered, amount, currency[, share]."
        ),
    ],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Attribute order lines to collaborations. Importing a file again changes nothing.

    Example: `tandem collaborations orders orders.csv -w shop`
    """
    from tandem.flows.collaborate import import_orders

    _recorded(import_orders(workspace, file), "order lines", file, json_)


@collaborations_app.command("refunds")
def refunds(
    file: Annotated[Path, typer.Argument(help="CSV: refund, order, line, amount, currency.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Take commission back for refunded order lines. The same refund counts once.

    Example: `tandem collaborations refunds refunds.csv -w shop`
    """
    from tandem.flows.collaborate import import_refunds

    _recorded(import_refunds(workspace, file), "refunds", file, json_)


@collaborations_app.command("settle")
def settle(
    merchant: Annotated[str | None, typer.Option(help="Of this merchant only.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Settle every commission whose return window is over.

    Example: `tandem collaborations settle --merchant acme -w shop`
    """
    from tandem.flows.collaborate import OPERATOR, collaboration_desk

    with collaboration_desk(workspace) as desk:
        done = desk.settle_due(OPERATOR, merchant)
    if json_:
        print_json({"settlements": [s.model_dump(mode="json") for s in done]})
        return
    for s in done:
        out.print(
            f"{s.merchant_id} → {s.creator_id}: {s.amount.amount} {s.amount.currency} "
            f"for {len(s.lines)} order lines ({s.id})",
            markup=False,
        )
    if not done:
        out.print("Nothing is due.")


@collaborations_app.command("settlements")
def settlements(
    as_: AsOption = EVERYTHING,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest ones.")] = 100,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """List settlements and balances: one's own, or all for the platform.

    Example: `tandem collaborations settlements --as creator:mia -w shop`
    """
    from tandem.flows.collaborate import collaboration_desk

    party = _party(as_)
    with collaboration_desk(workspace) as desk:
        found, balances = desk.settlements(party, limit), desk.balances(party)
    if json_:
        print_json(
            {
                "settlements": [s.model_dump(mode="json") for s in found],
                "balances": [
                    {"account": b.account, "amount": str(b.amount), "currency": b.currency}
                    for b in balances
                ],
            }
        )
        return
    for s in found:
        out.print(
            f"{s.settled:%Y-%m-%d} {s.merchant_id} → {s.creator_id} {s.amount.amount} "
            f"{s.amount.currency}",
            markup=False,
        )
    for b in balances:
        _say(f"{b.account:>8} {b.stands} {b.currency}")


@collaborations_app.command("expire")
def expire(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json_: JsonOption = False) -> None:
    """Expire what has passed its deadline. Run it as often as you like.

    Example: `tandem collaborations expire -w shop`
    """
    from tandem.flows.collaborate import OPERATOR, collaboration_desk

    with collaboration_desk(workspace) as desk:
        done = desk.expire_overdue(OPERATOR)
    if json_:
        print_json({"expired": [c.id for c in done]})
    else:
        out.print(f"{len(done)} expired.")


@collaborations_app.command("verify")
def verify_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE, json_: JsonOption = False
) -> None:
    """Prove the books: replay the audit log and compare states, balances and settlements.

    Ends with exit code 1 when something is wrong. Example: `tandem collaborations verify -w shop`
    """
    from tandem.collaboration.verify import verify
    from tandem.flows.collaborate import collaboration_desk

    with collaboration_desk(workspace) as desk:
        result = verify(desk.store)
    if json_:
        print_json(
            {
                "sound": result.sound,
                "entries": result.entries,
                "collaborations": result.collaborations,
                "order_lines": result.order_lines,
                "settlements": result.settlements,
                "findings": result.findings,
            }
        )
    else:
        for finding in result.findings:
            _say(finding, style="red")
        out.print(
            f"{result.entries} audit entries, {result.collaborations} collaborations, "
            f"{result.order_lines} order lines, {result.settlements} settlements: "
            f"{'every cent is there, once' if result.sound else 'NOT SOUND'}."
        )
    if not result.sound:
        raise typer.Exit(1)


@collaborations_app.command("credit")
def credit_command(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV: journey, collaboration (empty: none), at, converted (0, 1); if wanted "
            "ordered, after which touches do not count."
        ),
    ],
    models: Annotated[
        str | None, typer.Option(help="Models by comma; default: all, to see how they differ.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Divide conversions among the collaborations that touched them, by several models.

    Example: `tandem collaborations credit journeys.csv --models last_touch,shapley`
    """
    from tandem.collaboration.credit import MODELS
    from tandem.flows.measuring import credit_file

    named = tuple(dict.fromkeys(m.strip() for m in (models or "").split(",") if m.strip()))
    results = credit_file(file, named or tuple(MODELS))
    if json_:
        print_json(
            {c.model: {"conversions": dict(c.conversions), "baseline": c.baseline} for c in results}
        )
        return
    table = Table(box=None)
    table.add_column("collaboration", no_wrap=True)
    for c in results:
        table.add_column(c.model, justify="right")
    for name in results[0].conversions:
        table.add_row(name, *(f"{c.conversions[name]:,.1f}" for c in results))
    table.add_row("nobody", *(f"{c.baseline:,.1f}" for c in results))
    out.print(table)
    out.print("Credit divides what was sold; what would have sold anyway, `lift` asks.")


@collaborations_app.command("lift")
def lift_command(
    file: Annotated[Path, typer.Argument(help="CSV: day, product_id, sales; one row for each.")],
    product: Annotated[str, typer.Option(help="The promoted product.")],
    live: Annotated[str, typer.Option(help="First day with content, such as 2026-03-01.")],
    leave_out: Annotated[
        str | None,
        typer.Option(help="Products by comma that are no comparison: promoted, or substitutes."),
    ] = None,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Of the interval.")] = 0.9,
    json_: JsonOption = False,
) -> None:
    """Estimate what content added beyond what would have sold anyway, with an interval.

    Example: `tandem collaborations lift sales.csv --product SP-1 --live 2026-03-01`
    """
    from dataclasses import asdict

    from tandem.collaboration.lift import NoLift
    from tandem.flows.measuring import lift_file

    excluded = tuple(p.strip() for p in (leave_out or "").split(",") if p.strip())
    found = lift_file(file, product, live, excluded, confidence)
    if json_:
        answered = not isinstance(found, NoLift)
        print_json({"answered": answered, **asdict(found)})
        return
    if isinstance(found, NoLift):
        _say(f"No answer: {found.reason}.")
        return
    _say(
        f"{found.effect:+,.1f} in {found.days} days, {found.confidence:.0%} interval "
        f"{found.low:+,.1f} to {found.high:+,.1f} (sold {found.observed:,.1f}, "
        f"expected without content {found.expected:,.1f})."
    )
    for warning in found.warnings:
        _say(f"Warning: {warning}.", style="yellow")
    _say("This assumes:")
    for assumption in found.assumptions:
        _say(f"- {assumption}")


def _open(
    value: dict[str, Any],
    products: str,
    sample: bool,
    content_days: int,
    as_: str,
    key: str | None,
    workspace: Path,
    json_: bool,
) -> None:
    from tandem.contracts.collaboration import Opening
    from tandem.flows.collaborate import collaboration_desk

    value["product_ids"] = [p.strip() for p in products.split(",") if p.strip()]
    value["terms"] = {"sample": sample, "content_days": content_days}
    opening = _validated(Opening, value)
    with collaboration_desk(workspace) as desk:
        _show(desk.open(_party(as_), opening, key), json_)


def _party(text: str) -> Party:
    from tandem.contracts.collaboration import Party

    role, _, id_ = text.partition(":")
    try:
        return Party.model_validate({"role": role, "id": id_})
    except ValidationError:
        raise InvalidInput(
            f"'{text}' names no party",
            field="--as",
            remedy="write merchant:ID, creator:ID or platform:ID",
        ) from None


def _disclosure(text: str | None) -> dict[str, Any] | None:
    if text is None or text == "platform_label":
        return None if text is None else {"by": text}
    return {"by": "hashtag", "hashtag": text.removeprefix("#")}


def _validated(kind: Any, value: dict[str, Any]) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = [str(part) for part in first["loc"] if part != value["action"]]
        raise InvalidInput(
            str(first["msg"]),
            field=".".join(place) or "action",
            remedy="see: tandem collaborations act --help, and `show` for what is possible",
        ) from None


def _show(c: Collaboration, json_: bool) -> None:
    if json_:
        print_json(c.model_dump(mode="json"))
        return
    _say(f"{c.id}: {c.status}{', disputed' if c.dispute else ''}")
    out.print(
        f"{c.merchant_id} and {c.creator_id}, {c.rates[-1].commission_rate / 100:g}% on "
        f"{', '.join(c.product_ids)}",
        markup=False,
    )
    if c.sample:
        _say(f"Sample: {c.sample}")
    if c.content_due:
        out.print(f"Content is due {c.content_due:%Y-%m-%d %H:%M} UTC")


def _recorded(recorded: Recorded, what: str, file: Path, json_: bool) -> None:
    if json_:
        print_json(
            {
                "taken": recorded.taken,
                "rejected": [
                    {"line": r.line, "message": r.message, "remedy": r.remedy}
                    for r in recorded.rejected
                ],
            }
        )
        return
    for r in recorded.rejected[:20]:
        out.print(
            f"{file}:{r.line}: {r.message} ({r.remedy})",
            markup=False,
            soft_wrap=True,
            style="yellow",
        )
    out.print(f"{recorded.taken} {what} recorded, {len(recorded.rejected)} turned away.")


def _say(text: str, style: str | None = None) -> None:
    """Text that may hold anything, unbroken so that ids and paths can be copied."""
    out.print(text, markup=False, soft_wrap=True, style=style)
