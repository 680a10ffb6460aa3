"""The demo: from nothing to a searchable, trained, evaluated shop."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tandem.contracts.errors import Conflict
from tandem.flows.evaluate import write_report
from tandem.flows.import_ import (
    ImportReport,
    create_workspace,
    import_catalog,
    import_judgments,
    import_simulated,
)
from tandem.flows.index import IndexReport, Progress, build_index
from tandem.flows.train import TrainReport, train_ranker
from tandem.ingest.datasets import find
from tandem.storage.layout import Layout

Dataset = Literal["icecat", "esci", "simulated"]
SIMULATED_PRODUCTS = 10_000


@dataclass(frozen=True)
class DemoReport:
    """What the demo built. `fallback` says why a simulated catalogue took the real one's place."""

    layout: Layout
    dataset: str
    imported: ImportReport
    indexed: IndexReport
    trained: TrainReport
    report: Path
    fallback: str | None


def build_demo(
    workspace: Path,
    dataset: Dataset,
    progress: Progress,
    say: Callable[[str], None],
    *,
    fresh: bool = False,
) -> DemoReport:
    """Import, index, train and evaluate a data set in `workspace`.

    A folder that holds another demo is replaced only with `fresh`; a real shop never is.
    """
    fallback = None
    files = None
    if dataset != "simulated":
        files = find(dataset, say)
        if files is None:
            fallback = (
                f"The data set '{dataset}' was neither in TANDEM_DATA nor beside the project, and "
                "could not be downloaded: this is a simulated catalogue."
            )
            say(fallback)
            dataset = "simulated"
    _make_room(workspace, dataset, fresh)
    if (workspace / "tandem.toml").exists():
        layout = Layout.open(workspace)
    else:
        layout = create_workspace(
            workspace,
            name=f"demo-{dataset}",
            currency=files.currency if files else "EUR",
            dataset=dataset,
            simulated=dataset == "simulated",
        )

    def rows(done: int, total: int | None) -> None:
        progress("import", done, total)

    if files is None:
        imported = import_simulated(layout, SIMULATED_PRODUCTS, progress=rows)
    else:
        imported = import_catalog(layout, files.products, mapping=files.mapping, progress=rows)
        import_judgments(layout, files.judgments, dataset)
    indexed = build_index(layout, progress)
    trained = train_ranker(layout, progress=progress)
    report = layout.reports / "evaluation.html"
    write_report(trained.evaluation, report, simulated=dataset == "simulated")
    return DemoReport(layout, dataset, imported, indexed, trained, report, fallback)


def _make_room(workspace: Path, dataset: str, fresh: bool) -> None:
    if not (workspace / "tandem.toml").exists():
        return
    settings = Layout.open(workspace).settings()
    if settings.dataset is None:
        raise Conflict(
            f"{workspace} is a workspace that no demo made",
            remedy="name another folder with --workspace",
        )
    if fresh or settings.dataset != dataset:
        shutil.rmtree(workspace)
