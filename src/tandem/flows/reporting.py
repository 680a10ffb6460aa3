"""One-page reports of a workspace, and those that it keeps."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tandem.contracts.collaboration import Party
from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.registry import RegisteredModel
from tandem.flows.artefacts import artefact_of, artefacts, evaluation_of
from tandem.flows.collaborate import collaboration_desk
from tandem.flows.insights import kept_report
from tandem.flows.merchant_week import merchant_week
from tandem.flows.model_worth import model_worth
from tandem.flows.search_performance import last_month
from tandem.flows.weekly import week_of
from tandem.flows.workspace import open_workspace
from tandem.governance.audit import os_actor
from tandem.reports import insight, partners, promotion, weekly
from tandem.reports.formats import FORMATS, rendered
from tandem.reports.report import Audience, Kind, Report
from tandem.storage.atomic import write_atomic
from tandem.storage.layout import Layout

_MONTH = re.compile(r"^\d{4}-\d{2}$")
MOST = 10_000  # collaborations of one creator


def insight_report(
    layout: Layout,
    audience: Audience = "executive",
    tenant: str | None = None,
    period: str | None = None,
) -> Report:
    """The last findings of `tandem insights`; for a merchant or creator what is theirs to see."""
    if audience == "executive":
        return insight.report(kept_report(layout))
    return _for_partner("insight", layout, audience, tenant, period)


def weekly_report(
    layout: Layout,
    audience: Audience = "executive",
    tenant: str | None = None,
    until: str | None = None,
    period: str | None = None,
) -> Report:
    """The seven days before `until`; for a merchant the ISO week `period` (a month, if that is what
    it names), for a creator today."""
    if audience == "executive":
        return weekly.report(week_of(layout, until))
    return _for_partner("weekly", layout, audience, tenant, period)


def model_report(
    layout: Layout, generation: str | None = None, audience: Audience = "executive"
) -> Report:
    """One model; without a name the newest candidate, else the live one. NotFound for neither."""
    if generation is None:
        waiting = [m for m in artefacts(layout, ("models",)) if m.stage == "candidate"]
        generation = waiting[0].generation if waiting else layout.models.live()
    if generation is None:
        raise NotFound(
            f"no model in {layout.root}", remedy=f"run: tandem train ranker -w {layout.root}"
        )
    model = RegisteredModel.of(artefact_of(layout, "models", generation))
    record = evaluation_of(layout, "models", generation)
    money = model_worth(layout, generation, actor=os_actor()) if audience == "executive" else None
    return promotion.report(
        model, record, simulated=layout.settings().simulated, audience=audience, money=money
    )


def _for_partner(
    kind: Kind, layout: Layout, audience: Audience, tenant: str | None, period: str | None
) -> Report:
    if tenant is None:
        raise InvalidInput(
            f"which {audience}?", field="tenant", remedy=f"name the {audience} with --tenant"
        )
    if audience == "merchant":
        if kind == "weekly" and not (period and _MONTH.match(period)):
            with open_workspace(layout.root) as shop:
                return partners.merchant_week_report(
                    merchant_week(layout, shop.view, tenant, period, actor=os_actor())
                )
        with open_workspace(layout.root) as shop:
            found = shop.search_performance(
                tenant, period or last_month(datetime.now(UTC)), actor=os_actor()
            )
        return partners.merchant_report(kind, found)
    party = Party(role="creator", id=tenant)
    with collaboration_desk(layout.root) as desk:
        collaborations = desk.find(party, limit=MOST)
        balances = desk.balances(party)
    owed: dict[str, dict[str, float]] = {"pending": {}, "settled": {}}
    for b in balances:
        # What is the creator's stands on the credit side, below zero.
        account = "pending" if b.account == "frozen" else b.account
        if account in owed:
            owed[account][b.currency] = owed[account].get(b.currency, 0.0) - float(b.amount)
    return partners.creator_report(
        kind,
        partners.CreatorStanding(
            tenant,
            tuple(collaborations),
            owed["pending"],
            owed["settled"],
            layout.settings().simulated,
        ),
    )


@dataclass(frozen=True)
class KeptReport:
    """A report in the workspace: files of one name. title: None where no JSON says it."""

    name: str
    title: str | None
    kind: str | None
    simulated: bool | None
    made: datetime
    endings: tuple[str, ...]


def keep(layout: Layout, report: Report) -> str:
    """Write a report into the workspace in every format that can be had; its name."""
    for ending in FORMATS:
        if ending == ".pdf" and importlib.util.find_spec("plutoprint") is None:
            continue
        write_atomic(layout.reports / f"{report.name}{ending}", rendered(report, ending))
    return report.name


def kept_reports(layout: Layout) -> tuple[KeptReport, ...]:
    """What can be read in reports/, newest first."""
    files: dict[str, list[Path]] = {}
    if layout.reports.is_dir():
        for path in layout.reports.iterdir():
            if path.is_file() and path.suffix in FORMATS and not path.name.startswith("."):
                files.setdefault(path.stem, []).append(path)
    found = [_kept(name, paths) for name, paths in files.items()]
    readable = [k for k in found if ".html" in k.endings]
    return tuple(sorted(readable, key=lambda k: (k.made, k.name), reverse=True))


def kept_file(layout: Layout, name: str, ending: str) -> bytes:
    """One file of a kept report. NotFound for any other, so no name can leave the folder."""
    for kept in kept_reports(layout):
        if kept.name == name and ending in kept.endings:
            return (layout.reports / f"{name}{ending}").read_bytes()
    raise NotFound(
        f"no report '{name}{ending}'", remedy="make one: tandem report weekly -w shop --keep"
    )


def _kept(name: str, paths: list[Path]) -> KeptReport:
    made = max(p.stat().st_mtime for p in paths)
    said: dict[str, object] = {}
    for path in paths:
        if path.suffix == ".json":
            try:
                document = json.loads(path.read_bytes())
                said = {**document.get("report", {}), "simulated": document.get("simulated")}
            except (ValueError, AttributeError):
                said = {}
    title, kind, simulated = said.get("title"), said.get("kind"), said.get("simulated")
    return KeptReport(
        name,
        title if isinstance(title, str) else None,
        kind if isinstance(kind, str) else None,
        simulated if isinstance(simulated, bool) else None,
        datetime.fromtimestamp(made, UTC),
        tuple(sorted(p.suffix for p in paths)),
    )
