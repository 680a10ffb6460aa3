"""The `tandem` command."""

from __future__ import annotations

import os
import sys

# One request is one thread's work and many run side by side: a matrix product that spreads over
# all cores by itself only gets in the way of the others. Set before NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import typer
from typer.exceptions import Abort, Exit, TyperException

from tandem.cli import (
    campaigns,  # noqa: F401 - adds commands to `tandem seller`
    data,
    demo,
    doctor,
    evaluation,
    generations,
    leading,
    learning,
    looping,
    models,
    online,  # noqa: F401 - adds commands to `tandem experiment`
    searching,
    serving,
    slots,  # noqa: F401 - the same
    training,
)
from tandem.cli.alliance import alliance_app
from tandem.cli.auditing import audit_app
from tandem.cli.collaborations import collaborations_app
from tandem.cli.consent import consent_app
from tandem.cli.console import err
from tandem.cli.events import events_app, import_events_command
from tandem.cli.experiments import experiment_app
from tandem.cli.governing import governance_app
from tandem.cli.insights import insights_app
from tandem.cli.judging import judge_app
from tandem.cli.keys import keys_app
from tandem.cli.matching import match_app
from tandem.cli.offpolicy import offpolicy_app
from tandem.cli.recommending import recommend_app
from tandem.cli.reporting import report_app
from tandem.cli.rights import rights_app
from tandem.cli.seller import seller_app
from tandem.cli.studio import studio_app
from tandem.contracts.errors import TandemError

app = typer.Typer(
    name="tandem",
    help="Search, recommendation and collaboration for creator commerce.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
importing = typer.Typer(
    no_args_is_help=True,
    help="Bring data in: catalogues, judgments, queries, events, creators.",
)
train = typer.Typer(no_args_is_help=True, help="Train models.")
app.add_typer(importing, name="import")
app.add_typer(train, name="train")
app.add_typer(match_app, name="match")
app.add_typer(alliance_app, name="alliance")
app.add_typer(collaborations_app, name="collaborations")
app.add_typer(recommend_app, name="recommend")
app.add_typer(seller_app, name="seller")
app.add_typer(studio_app, name="studio")
app.add_typer(events_app, name="events")
app.add_typer(consent_app, name="consent")
app.add_typer(insights_app, name="insights")
app.add_typer(audit_app, name="audit")
app.add_typer(keys_app, name="keys")
app.add_typer(governance_app, name="governance")
app.add_typer(rights_app, name="rights")
app.add_typer(offpolicy_app, name="offpolicy")
app.add_typer(experiment_app, name="experiment")
app.add_typer(report_app, name="report")
app.add_typer(judge_app, name="judge")

app.add_typer(models.models_app, name="models")

app.command("init")(data.init)
importing.command("catalog")(data.import_catalog_command)
importing.command("judgments")(data.import_judgments_command)
importing.command("queries")(data.import_queries_command)
importing.command("creators")(data.import_creators_command)
importing.command("content")(data.import_content_command)
importing.command("merchants")(data.import_merchants_command)
importing.command("events")(import_events_command)
train.command("ranker")(training.train_ranker_command)
train.command("matcher")(training.train_matcher_command)
train.command("recommender")(training.train_recommender_command)
train.command("personal")(training.train_personal_command)
train.command("feed")(training.train_feed_command)
train.command("encoder")(training.train_encoder_command)
experiment_app.command("unbiased")(learning.unbiased_command)
experiment_app.command("propensities")(learning.propensities_command)
train.command("cross-encoder")(training.train_cross_encoder_command)
app.command("index")(data.index)
app.command("search")(searching.search)
app.command("leaderboard")(leading.leaderboard_command)
app.command("evaluate")(evaluation.evaluate_command)
app.command("serve")(serving.serve_command)
app.command("tune")(learning.tune_command)
app.command("rollback")(generations.rollback)
app.command("artefacts")(generations.artefacts)
app.command("trace")(models.trace)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("loop")(looping.loop_command)


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 failed, 2 bad input, 3 not found, 4 conflict,
    5 an optional dependency is missing, 6 the disk is full, 130 interrupted."""
    try:
        code = app(standalone_mode=False)
        if isinstance(code, int):  # a command raised Exit: it reported that something is wrong
            sys.exit(code)
    except Exit as exit_:
        sys.exit(exit_.exit_code)
    except TyperException as error:
        message = error.format_message()
        if message.startswith("Usage:"):  # a group without a command: its help, and no error
            err.print(message, markup=False, highlight=False, soft_wrap=True)
        else:
            _fail(message, f"see: {' '.join(['tandem', *_command()])} --help")
        sys.exit(2)
    except (Abort, KeyboardInterrupt):
        err.print("[yellow]Interrupted; the workspace is as it was before this step.[/]")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except TandemError as error:
        _fail(error.message, error.remedy)
        sys.exit(error.exit_code)


def _fail(message: str, remedy: str) -> None:
    err.print("[bold red]Error[/]", end=" ")
    err.print(message, markup=False, highlight=False, soft_wrap=True)
    if remedy:
        err.print("[bold]Remedy[/]", end=" ")
        err.print(remedy, markup=False, highlight=False, soft_wrap=True)


def _command() -> list[str]:
    """The words of the command line that name a command: `import`, `catalog`."""
    names: list[str] = []
    commands = getattr(typer.main.get_command(app), "commands", {})
    for word in sys.argv[1:]:
        if word not in commands:
            break
        names.append(word)
        commands = getattr(commands[word], "commands", {})
    return names


if __name__ == "__main__":
    main()
