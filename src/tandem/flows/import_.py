"""Import: from files into the workspace, all or nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tandem.contracts.errors import InvalidInput
from tandem.contracts.product import Product
from tandem.flows.folding import fold_updates
from tandem.flows.quarantine import Quarantine, as_error
from tandem.governance.audit import AuditLog, os_actor
from tandem.ingest.currencies import is_currency
from tandem.ingest.door import Door
from tandem.ingest.judgments import read_judgments
from tandem.ingest.mapping import ColumnMapping, find_mapping
from tandem.ingest.problem import Rejected
from tandem.ingest.query_log import read_query_log
from tandem.ranking.learned import judgments_fingerprint
from tandem.registry.lineage import DataSet, job
from tandem.simulate.catalogue import simulated_products
from tandem.simulate.judgments import simulated_judgments
from tandem.storage.catalog import CatalogWriter, read_ids
from tandem.storage.judgments import save_judgments
from tandem.storage.layout import Layout, Settings
from tandem.storage.query_log import save_query_log
from tandem.storage.updates import UpdateJournal

Mode = Literal["replace", "merge"]
Progress = Callable[[int, int | None], None]

PROGRESS_EVERY = 1_000


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    imported: products taken in. quarantined: rows turned away; `by_reason` counts them by code.
    products: size of the catalogue afterwards. quarantine_file: None if no row was turned away.
    sources: (file, name of the mapping, currency) of each file. seconds: wall-clock time.
    """

    imported: int
    quarantined: int
    by_reason: Mapping[str, int]
    products: int
    quarantine_file: Path | None
    generation: str
    sources: tuple[tuple[str, str, str], ...]
    seconds: float


@dataclass(frozen=True)
class JudgmentReport:
    """What was read. `unknown_products` judgments are on products that the catalogue does not have
    (None: no catalogue yet); they are kept, for it may gain them.
    """

    name: str
    queries: int
    judgments: int
    unknown_products: int | None
    seconds: float


def create_workspace(
    root: Path,
    *,
    name: str | None = None,
    currency: str = "EUR",
    encoder: str | None = Settings.encoder,
    dataset: str | None = None,
    simulated: bool = False,
) -> Layout:
    """Make a new, empty workspace; `name` defaults to the folder's. Raises Conflict if one is
    there already, InvalidInput if `currency` is none of ISO 4217.
    """
    if not is_currency(currency):
        raise InvalidInput(
            f"'{currency}' is no currency of ISO 4217",
            field="currency",
            remedy="use the three-letter code, such as EUR",
        )
    root = Path(root)
    layout = Layout.create(
        root, Settings(name or root.resolve().name, currency, encoder, dataset, simulated)
    )
    AuditLog(layout).begin(os_actor())
    return layout


def import_catalog(
    layout: Layout,
    files: Sequence[Path],
    mapping: ColumnMapping | str | Path | None = None,
    currency: str | None = None,
    strict: bool = False,
    mode: Mode = "replace",
    progress: Progress | None = None,
) -> ImportReport:
    """Import product files as the new catalogue, or merge them into the one there (by id).

    mapping: a mapping, the name of a ready one, or a TOML file; None finds out from the columns.
    currency: what prices are in; None takes it from the mapping, the rows or the settings.
    strict: the first bad row fails the import instead of going to quarantine.
    progress: called with rows done and the estimated total (None while it cannot be estimated).

    Raises InvalidInput, and leaves the workspace as it was, if a file cannot be read to its end, if
    no row is in order, or under `strict`; Conflict if another process is writing.
    """
    started = time.monotonic()
    door = Door(
        [Path(file) for file in files],
        mapping=find_mapping(mapping),
        currency=currency,
        default_currency=layout.settings().currency,
    )
    reasons: Counter[str] = Counter()
    first: Rejected | None = None
    imported = 0
    with (
        job(layout, "import catalog", *(DataSet(Path(f).name) for f in files)) as running,
        layout.writing(),
        Quarantine(layout.catalog) as quarantine,
    ):
        source = {
            "files": [{"file": f.name, "mapping": m, "currency": c} for f, m, c in door.sources],
            "updates_through": _superseded(layout, mode),
        }
        with CatalogWriter(
            layout, source=source, merge=mode == "merge", before_live=quarantine.publish
        ) as writer:
            for item in _reported(door, progress):
                if isinstance(item, Product):
                    writer.add(item)
                    imported += 1
                    continue
                if strict:
                    raise as_error(item)
                first = first or item
                reasons[item.code] += 1
                quarantine.add(item)
            if not imported:
                raise nothing_imported(first, reasons)
        made = writer.manifest
        running.outputs.append(DataSet("catalog", made.generation, made.products))
        return ImportReport(
            imported=imported,
            quarantined=reasons.total(),
            by_reason=dict(reasons.most_common()),
            products=writer.manifest.products,
            quarantine_file=quarantine.file,
            generation=writer.manifest.generation,
            sources=tuple((str(f), m, c) for f, m, c in door.sources),
            seconds=time.monotonic() - started,
        )


def import_judgments(layout: Layout, file: Path, name: str = "judgments") -> JudgmentReport:
    """Read a judgment file and store it under `name`, replacing a list of that name."""
    started = time.monotonic()
    with job(layout, "import judgments", DataSet(Path(file).name)) as running:
        judgments = read_judgments(Path(file), name)
        with layout.writing():
            save_judgments(layout, judgments, name)
        kept = DataSet(f"judgments/{name}", judgments_fingerprint(judgments), len(judgments))
        running.outputs.append(kept)
    unknown: int | None = None
    if layout.catalog.live() is not None:
        judged = Counter(judgment.product_id for judgment in judgments)
        for ids in read_ids(layout):
            for product_id in ids:
                judged.pop(product_id, None)
        unknown = judged.total()
    return JudgmentReport(
        name=name,
        queries=len(judgments.queries),
        judgments=len(judgments),
        unknown_products=unknown,
        seconds=time.monotonic() - started,
    )


@dataclass(frozen=True)
class QueryLogReport:
    """What a query log brought, and how many texts were left out and why."""

    queries: int
    asked: int
    rare: int
    personal: int
    too_long: int
    seconds: float


def import_queries(layout: Layout, file: Path) -> QueryLogReport:
    """Store what shoppers have asked, in place of an older log; `tandem index` learns from it."""
    started = time.monotonic()
    read = read_query_log(Path(file))
    with layout.writing():
        save_query_log(layout, read.queries)
    return QueryLogReport(
        queries=len(read.queries),
        asked=sum(entry.asked for entry in read.queries),
        rare=read.rare,
        personal=read.personal,
        too_long=read.too_long,
        seconds=time.monotonic() - started,
    )


def import_simulated(
    layout: Layout,
    n: int,
    seed: int = 0,
    languages: Sequence[str] = ("en",),
    progress: Progress | None = None,
) -> ImportReport:
    """Fill the workspace with `n` invented products and with judgments on them (`simulated`).

    The products are in the workspace's currency and each says that it is simulated.
    """
    started = time.monotonic()
    currency = layout.settings().currency
    with layout.writing():
        source = {
            "simulated": True,
            "products": n,
            "seed": seed,
            "languages": list(languages),
            "updates_through": _superseded(layout, "replace"),
        }
        with CatalogWriter(layout, source=source) as writer:
            products = simulated_products(n, seed=seed, languages=languages, currency=currency)
            for done, product in enumerate(products, start=1):
                writer.add(product)
                if progress is not None and (done % PROGRESS_EVERY == 0 or done == n):
                    progress(done, n)
        save_judgments(layout, simulated_judgments(n, seed=seed, languages=languages))
    return ImportReport(
        imported=n,
        quarantined=0,
        by_reason={},
        products=writer.manifest.products,
        quarantine_file=None,
        generation=writer.manifest.generation,
        sources=(("simulated", "simulated", currency),),
        seconds=time.monotonic() - started,
    )


def _superseded(layout: Layout, mode: Mode) -> int:
    """The last live update that an import comes after. A merge goes on top of them; a replacement
    takes their place."""
    if mode == "merge" and layout.catalog.live() is not None:
        return fold_updates(layout)
    return UpdateJournal(layout.updates).last_sequence()


def _reported(door: Door, progress: Progress | None) -> Iterator[Product | Rejected]:
    """The door's items, with `progress` told about them now and then and at the end."""
    done = 0
    for done, item in enumerate(door, start=1):
        yield item
        if progress is not None and done % PROGRESS_EVERY == 0:
            fraction = door.fraction
            progress(done, max(done, round(done / fraction)) if fraction > 0 else None)
    if progress is not None:
        progress(done, done)


def nothing_imported(first: Rejected | None, reasons: Counter[str]) -> InvalidInput:
    if first is None:
        return InvalidInput("no row to import", remedy="check the files")
    error = as_error(first)
    summary = ", ".join(f"{count} × {code}" for code, count in reasons.most_common())
    return InvalidInput(
        f"no row could be imported ({summary}); the first one: {first.reason}",
        file=error.file,
        line=error.line,
        field=error.field,
        remedy=error.remedy,
    )
