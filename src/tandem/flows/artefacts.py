"""Artefacts of every kind: generations with stage and lineage, and the way back to an older one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, get_args

from tandem.contracts.artefact import ArtefactKind, Stage
from tandem.contracts.experiment import ExperimentBook
from tandem.contracts.registry import Artefact, Decision
from tandem.flows.experimenting import book_of
from tandem.flows.generations import Kind, go_live, roll_back
from tandem.flows.trials import shadow_standing
from tandem.registry import tracking
from tandem.registry.decisions import Decisions
from tandem.storage.atomic import new_directory, write_atomic, write_json_atomic
from tandem.storage.layout import Layout

EVALUATION = "evaluation.json"
"""The cross-validated record of a ranker or a cross-encoder, as its training wrote it."""
KINDS: tuple[ArtefactKind, ...] = get_args(ArtefactKind)
RULES, SYNONYMS = "rules.json", "synonyms.txt"


def artefacts(layout: Layout, kinds: Sequence[ArtefactKind] = KINDS) -> tuple[Artefact, ...]:
    """Every generation of these kinds, by kind, newest first."""
    known = _Known.of(layout)
    return tuple(
        known.artefact(kind, name)
        for kind in kinds
        for name in reversed(layout.generations(kind).names())
    )


def artefact_of(layout: Layout, kind: ArtefactKind, generation: str) -> Artefact:
    """NotFound when there is none of this name."""
    layout.generations(kind).path(generation)
    return _Known.of(layout).artefact(kind, generation)


@dataclass(frozen=True)
class _Known:
    """What was decided, and what is tried now."""

    layout: Layout
    decisions: tuple[Decision, ...]
    book: ExperimentBook

    @classmethod
    def of(cls, layout: Layout) -> _Known:
        return cls(layout, Decisions(layout.decisions).all(), book_of(layout))

    def artefact(self, kind: ArtefactKind, name: str) -> Artefact:
        mine = tuple(d for d in self.decisions if (d.kind, d.generation) == (kind, name))
        stage, share = self._stage(kind, name, mine)
        was_shadow = any(d.stage == "shadow" for d in mine)
        return Artefact(
            kind=kind,
            generation=name,
            stage=stage,
            lineage=lineage_of(self.layout, kind, name),
            decisions=mine,
            share=share,
            shadowed=shadow_standing(self.layout, kind, name) if was_shadow else None,
        )

    def _stage(
        self, kind: ArtefactKind, name: str, mine: Sequence[Decision]
    ) -> tuple[Stage, float | None]:
        """With the share that it gets on trial. Without one, a candidate was decided about, and
        never made live."""
        canary, shadow = self.book.canary_of(kind), self.book.shadow_of(kind)
        if name == _live(self.layout, kind):
            return "live", None
        if canary is not None and canary.tried == name:
            return "canary", canary.variants[1].weight
        if shadow is not None and shadow.generation == name:
            return "shadow", shadow.share
        waiting = mine and not any(d.stage == "live" for d in mine)
        return "candidate" if waiting else "retired", None


def _live(layout: Layout, kind: ArtefactKind) -> str | None:
    if kind == "encoders":  # tandem.toml names the one that is in use, by its path
        return str(layout.settings().encoder).rpartition("/")[2]
    return layout.generations(kind).live()


def lineage_of(layout: Layout, kind: ArtefactKind, name: str) -> dict[str, Any]:
    """The manifest of a generation; empty where there is none that can be read."""
    try:
        value: Any = json.loads(
            (layout.generations(kind).path(name) / "manifest.json").read_bytes()
        )
    except (OSError, ValueError):
        return {}
    # Anybody may read it: not the words of the queries that it learned from.
    return {k: v for k, v in value.items() if k != "trained_on"} if isinstance(value, dict) else {}


def evaluation_of(layout: Layout, kind: ArtefactKind, generation: str) -> dict[str, Any]:
    """The `EVALUATION` of a generation."""
    path = layout.generations(kind).path(generation) / EVALUATION
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def register_rules(layout: Layout, *, who: str, why: str, also_none: bool = False) -> str | None:
    """Keep the shop's rules and synonyms as they are now as a new generation, if they differ from
    the last one kept; its name, or None where nothing changed. also_none: keep that there are none,
    so that there is a way back to it. Conflict while somebody writes."""
    if _not_kept(layout, also_none) is None:
        return None
    with layout.writing():
        # Asked again: another server may have kept them, or somebody gone back, since then.
        if (files := _not_kept(layout, also_none)) is None:
            return None
        name = write_rules(layout, files, who=who, why=why)
        go_live(layout, "rules", name, who=who, why=why)
    return name


def _not_kept(layout: Layout, also_none: bool) -> dict[str, bytes] | None:
    """The files of rules, if the last generation kept has others."""
    texts = {
        RULES: layout.rules_file.read_bytes() if layout.rules_file.exists() else None,
        SYNONYMS: layout.synonyms_file.read_bytes() if layout.synonyms_file.exists() else None,
    }
    kept = {name: text for name, text in texts.items() if text is not None}
    fingerprint = rules_fingerprint(kept)
    live = layout.rules.live()
    if live is None and not kept and not also_none:
        return None
    kept_last = {} if live is None else lineage_of(layout, "rules", live)
    return None if kept_last.get("data_fingerprint") == fingerprint else kept


def rules_fingerprint(files: Mapping[str, bytes]) -> str:
    return hashlib.sha256(
        b"\0".join(name.encode() + b"\0" + text for name, text in sorted(files.items()))
    ).hexdigest()


def write_rules(
    layout: Layout, files: Mapping[str, bytes], *, who: str, why: str, **lineage: Any
) -> str:
    """A new generation of rules with these files, not live yet; lineage: more of its manifest. To
    be called under `Layout.writing`."""
    rules = layout.rules
    rules.sweep()
    name = rules.next_name()
    with new_directory(rules.root / name) as scratch:
        for file, text in files.items():
            (scratch / file).write_bytes(text)
        policy = files.get(RULES)
        write_json_atomic(
            scratch / "manifest.json",
            {
                "data_fingerprint": rules_fingerprint(files),
                "policy": hashlib.sha256(policy).hexdigest()[:16] if policy else None,
                "files": sorted(files),
                "parent": rules.live(),
                "who": who,
                "why": why,
                "made": datetime.now(UTC).isoformat(timespec="seconds"),
                **lineage,
            },
        )
    return name


def roll_back_artefact(
    layout: Layout, kind: Kind, to: str | None, *, who: str, why: str
) -> Decision:
    """Make an older generation of any kind live again at once, on record with its reason; a canary
    of the kind ends. No gate is asked.

    Rules: the files in the workspace become those of the older generation; what they say now is
    kept as a generation first. Synonyms take effect with the next index.
    """
    if kind == "rules":
        register_rules(layout, who=who, why=f"kept before a roll back: {why}")
    # In the same lock: a server that looks in between would take the files for an edit of the new
    # generation, and make a live one of them.
    restore = partial(restore_rules, layout) if kind == "rules" else None
    decision = roll_back(layout, kind, to, who=who, why=why, switched=restore)
    tracking.decided(layout, kind, decision)
    return decision


def restore_rules(layout: Layout, generation: str) -> None:
    """The files in the workspace become those of a generation."""
    source = layout.rules.path(generation)
    for file, name in ((layout.rules_file, RULES), (layout.synonyms_file, SYNONYMS)):
        if (source / name).exists():
            write_atomic(file, (source / name).read_bytes())
        else:
            file.unlink(missing_ok=True)
