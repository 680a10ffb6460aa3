"""`tandem studio`: texts for creators, true to the product."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from tandem.cli.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, out, print_json
from tandem.contracts.errors import InvalidInput

studio_app = typer.Typer(
    no_args_is_help=True, help="Texts for creators: briefs, captions and checks."
)
ProductArgument = Annotated[str, typer.Argument(help="Id of the product.")]

LanguageOption = Annotated[
    Literal["en", "de", "fr", "es", "it", "nl", "pt"] | None,
    typer.Option(help="Of its sentences; default: the listing's, else English."),
]


@studio_app.command("brief")
def brief(
    product_id: ProductArgument,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    rewrite: Annotated[
        bool,
        typer.Option("--rewrite", help="Have the language model of TANDEM_WRITER_URL reword it."),
    ] = False,
    language: LanguageOption = None,
    json_: JsonOption = False,
) -> None:
    """A brief for one video: message, three hooks, scenes, do and don't, words to say and show.

    Everything in it is a fact of the listing. Example: `tandem studio brief SP-1 -w shop`
    """
    from tandem.content.writing import writer_from_environment
    from tandem.flows.studio import brief_for

    writer = writer_from_environment() if rewrite else None
    if rewrite and writer is None:
        raise InvalidInput(
            "there is no language model to reword it", remedy="set TANDEM_WRITER_URL and _MODEL"
        )
    b = brief_for(workspace, product_id, writer, language)
    if json_:
        print_json(b.model_dump(mode="json"))
        return
    if b.simulated:
        out.print("[black on yellow] SIMULATED CATALOGUE [/] This product is not real.")
    _say(b.title, style="bold")
    _say(b.key_message)
    _say("\nHooks", style="bold")
    for hook in b.hooks:
        _say(f"  {hook.kind}: {hook.say} ({hook.show})")
    _say("\nScenes", style="bold")
    for scene in b.scenes:
        _say(f"  {scene.seconds[0]}–{scene.seconds[1]} s {scene.name}: {scene.show}. {scene.say}")
    for title, lines in (("Do", b.do), ("Don't", b.dont), ("Facts", b.facts)):
        _say(f"\n{title}", style="bold")
        for line in lines:
            _say(f"  - {line}")
    if b.unknown:
        _say(f"\nNot in the listing, so not to be said: {', '.join(b.unknown)}")
    asked = ", ".join(k.text if k.asked is None else f"{k.text} ({k.asked:,})" for k in b.keywords)
    _say(f"\nWhat shoppers type: {asked}")
    _say(b.disclosure)
    for claim in b.refused:
        _say(f"Not taken from the model: '{claim.text}', {claim.evidence}", style="yellow")
    if b.note:
        _say(b.note, style="yellow")


@studio_app.command("home")
def home(
    creator: Annotated[str, typer.Argument(help="The creator, as the marketplace names them.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Products that fit a creator with expected earnings, and what is often searched and rarely
    shown.

    Example: `tandem studio home mia -w shop`
    """
    from tandem.flows.studio_desk import StudioDesk
    from tandem.flows.workspace import open_workspace
    from tandem.governance.audit import os_actor

    with open_workspace(workspace) as shop:
        found = StudioDesk(shop).home(creator, actor=os_actor())
    if json_:
        print_json(found.model_dump(mode="json"))
        return
    if found.simulated:
        out.print("[black on yellow] SIMULATED [/] These creators and products are not real.")
    for fit in found.products:
        e = fit.earnings
        brings = f"{e.low:,.2f} to {e.high:,.2f} {e.currency} a piece" if e else "earnings unknown"
        _say(f"{fit.product_id}  {fit.title}: {brings}; {'; '.join(fit.reasons)}")
    for gap in found.gaps:
        _say(f"'{gap.query}': {gap.asked:,} searches, {gap.content:,} videos ({gap.product_id})")


@studio_app.command("worked")
def worked(
    creator: Annotated[str, typer.Argument(help="The creator, as the marketplace names them.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """What worked after posting, beside the creator's own past and similar creators.

    Example: `tandem studio worked mia -w shop`
    """
    from tandem.flows.studio_desk import StudioDesk
    from tandem.flows.workspace import open_workspace

    with open_workspace(workspace) as shop:
        found = StudioDesk(shop).worked(creator)
    if json_:
        print_json(found.model_dump(mode="json"))
        return
    if found.simulated:
        out.print("[black on yellow] SIMULATED [/] These creators and products are not real.")
    rows = (("last ones", found.recent), ("earlier ones", found.past), ("similar", found.similar))
    for name, w in rows:
        if w is not None:
            shown = [
                f"{what} {'–' if v is None else f'{v:.1%}'}"
                for what, v in (
                    ("hook", w.hook_rate),
                    ("hold", w.hold_rate),
                    ("clicks", w.ctr),
                    ("orders", w.ctor),
                )
            ]
            _say(f"{name} ({w.pieces} pieces): {', '.join(shown)}")
    for sentence in found.says:
        _say(sentence)


@studio_app.command("caption")
def caption(
    product_id: ProductArgument,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
    language: LanguageOption = None,
) -> None:
    """Three captions with hashtags, disclosed as paid for.

    Example: `tandem studio caption SP-1 -w shop`
    """
    from tandem.flows.studio import captions_for

    captions = captions_for(workspace, product_id, language)
    if json_:
        print_json({"captions": [c.model_dump(mode="json") for c in captions]})
        return
    for c in captions:
        _say(c.text)
        asked = [f"#{t.text} {t.asked:,}" for t in c.hashtags if t.asked is not None]
        if asked:
            _say(f"  asked: {', '.join(asked)}", style="dim")


@studio_app.command("check")
def check(
    product_id: ProductArgument,
    file: Annotated[Path, typer.Argument(help="Caption or script as text; '-' reads input.")],
    labelled: Annotated[
        bool, typer.Option("--labelled", help="The platform's label for paid content is on.")
    ] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Check a text before it is posted: disclosure, claims against the listing, clarity.

    Ends with exit code 1 when something keeps it from being posted.
    Example: `tandem studio check SP-1 caption.txt -w shop`
    """
    from tandem.flows.studio import check_for

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"cannot be read: {error}", file=str(file), remedy="give a text file in UTF-8"
        ) from None
    report = check_for(workspace, product_id, text, labelled=labelled)
    if json_:
        print_json(report.model_dump(mode="json"))
    else:
        for c in report.checks:
            mark = "ok  " if c.passed else "MUST" if c.must else "hint"
            _say(f"{mark} {c.name}: {c.says}{f' – {c.remedy}' if c.remedy else ''}")
        for claim in report.claims:
            _say(
                f"     '{claim.text}' is {claim.verdict}: {claim.evidence}"
                f"{f' – {claim.remedy}' if claim.remedy else ''}"
            )
        _say("Ready to post." if report.ready else "Not ready.")
    if not report.ready:
        raise typer.Exit(1)


@studio_app.command("check-video")
def check_video_command(
    file: Annotated[Path, typer.Argument(help="MP4, MOV, WebM or Matroska.")],
    json_: JsonOption = False,
) -> None:
    """Check a video before it is posted: length, picture, cuts, loudness, how soon it begins.

    Ends with exit code 1 when something keeps it from being posted.
    Example: `tandem studio check-video clip.mp4`
    """
    from tandem.content.video import check_video

    report = check_video(file)
    if json_:
        print_json(report.model_dump(mode="json"))
    else:
        for c in report.checks:
            mark = "ok  " if c.passed else "MUST" if c.must else "hint"
            _say(f"{mark} {c.name}: {c.says}{f' – {c.remedy}' if c.remedy else ''}")
        _say("Ready to post." if report.ready else "Not ready.")
    if not report.ready:
        raise typer.Exit(1)


def _say(text: str, style: str | None = None) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True, style=style)
