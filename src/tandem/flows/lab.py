"""What the lab page shows of a workspace: leaderboard, query sets, experiments, reports."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from tandem.flows.artefacts import EVALUATION
from tandem.flows.experiment import kept_analyses
from tandem.flows.leaderboard import KEPT
from tandem.flows.reporting import kept_file, kept_reports
from tandem.storage.judgments import judgment_names, load_judgments
from tandem.storage.layout import Layout

SILENT_SECONDS = 15.0  # or three times the seconds after which a server said that it tells again
FORGOTTEN_SECONDS = 24 * 3600.0


class LabDesk:
    """The lab of one workspace, as the server asks for it. It changes nothing but the note of what
    its own server does."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def tell_load(self, server: str, load: Mapping[str, Any] | None) -> None:
        """Note what a server has done so far, in counts, and `every` how many seconds it tells;
        None: it stops, and is forgotten."""
        file = self._layout.servers / f"{server}.json"
        if load is None:
            file.unlink(missing_ok=True)
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch = file.with_suffix(".tmp")
        scratch.write_text(json.dumps(load), encoding="utf-8")
        scratch.replace(file)  # no need to survive a crash, only to be read whole

    def loads(self, but: str) -> list[Mapping[str, Any]]:
        """What the servers at work told last; one that has been silent is taken for gone."""
        found = []
        for file in sorted(self._layout.servers.glob("*.json")):
            try:
                age = time.time() - file.stat().st_mtime
                if age > FORGOTTEN_SECONDS:
                    file.unlink(missing_ok=True)
                elif file.stem != but:
                    load = json.loads(file.read_bytes())
                    if age < max(SILENT_SECONDS, 3 * load.get("every", 0.0)):
                        found.append(load)
            except (FileNotFoundError, ValueError):
                continue
        return found

    def board(self) -> dict[str, Any]:
        """The last `tandem leaderboard -w`; before the first, the cross-validated record of the
        live model. `source` says which; None where there is neither."""
        file = self._layout.reports / KEPT
        if file.is_file():
            return {"source": "leaderboard", **json.loads(file.read_bytes())}
        live = self._layout.models.live()
        if live is None:
            return {"source": None, "entries": []}
        record = self._layout.models.path(live) / EVALUATION
        evaluation = json.loads(record.read_bytes())
        systems = evaluation["systems"]
        chief = next(iter(next(iter(systems.values()))))
        return {
            "source": "evaluation",
            "dataset": evaluation["judgments"]["name"],
            "task": "ranking",
            "chief": chief,
            "simulated": self._layout.settings().simulated,
            "protocol": f"{evaluation['queries']:,} judged queries, {evaluation['protocol']}",
            "made": datetime.fromtimestamp(record.stat().st_mtime, UTC).isoformat(),
            "entries": [
                {
                    "system": name,
                    "measures": {
                        measure: {"value": e["mean"], "low": e["low"], "high": e["high"]}
                        for measure, e in measures.items()
                        if e["mean"] is not None
                    },
                    "notes": [],
                }
                for name, measures in sorted(
                    systems.items(), key=lambda item: -(item[1][chief]["mean"] or 0.0)
                )
            ],
        }

    def query_sets(self) -> list[dict[str, Any]]:
        """Each judgment list: its queries, pairs, pairs by relevance, and the queries that have no
        product of relevance 2 or 3, which measure little."""
        found = []
        for name in judgment_names(self._layout):
            judged = load_judgments(self._layout, name).by_query
            pairs = [r for products in judged.values() for r in products.values()]
            found.append(
                {
                    "name": name,
                    "queries": len(judged),
                    "pairs": len(pairs),
                    "by_relevance": {str(r): pairs.count(r) for r in (3, 2, 1, 0)},
                    "without_good": sum(
                        max(products.values(), default=0) < 2 for products in judged.values()
                    ),
                    "examples": list(judged)[:5],
                }
            )
        return found

    def experiments(self) -> list[dict[str, Any]]:
        """Kept analyses, newest first, as `tandem experiment analyse --json` prints them."""
        return list(kept_analyses(self._layout))

    def reports(self) -> list[dict[str, Any]]:
        """Kept reports, newest first."""
        return [{**asdict(k), "made": k.made.isoformat()} for k in kept_reports(self._layout)]

    def report(self, name: str, ending: str) -> bytes:
        """One file of a kept report; NotFound for any other."""
        return kept_file(self._layout, name, ending)
