"""Artefacts of every kind: generations with stage and lineage, and the way back to an older one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, get_args

from tandem.contracts.registry import Artefact, ArtefactKind, Decision, Stage
from tandem.flows.experimenting import end_trials
from tandem.flows.generations import Kind, roll_back
from tandem.flows.registry import registered_models, roll_back_model
from tandem.registry import tracking
from tandem.registry.decisions import Decisions
from tandem.storage.atomic import new_directory, write_atomic, write_json_atomic
from tandem.storage.layout import Generations, Layout

KINDS: tuple[ArtefactKind, ...] = get_args(ArtefactKind)
RULES, SYNONYMS = "rules.json", "synonyms.txt"


def generations_of(layout: Layout, kind: ArtefactKind) -> Generations:
    found: Generations = getattr(layout, kind.replace("-", "_"))
    return found


def artefacts(layout: Layout, kinds: Sequence[ArtefactKind] = KINDS) -> tuple[Artefact, ...]:
    """Every generation of these kinds, by kind, newest first."""
    decided = Decisions(layout.decisions).all()
    found: list[Artefact] = []
    for kind in kinds:
        if kind == "models":
            found += [
                Artefact(
                    kind=kind,
                    generation=m.generation,
                    stage=m.stage,
                    lineage=m.lineage,
                    decisions=m.decisions,
                )
                for m in registered_models(layout)
            ]
            continue
        generations = generations_of(layout, kind)
        live = _live(layout, kind)
        for name in reversed(generations.names()):
            mine = tuple(d for d in decided if (d.kind, d.generation) == (kind, name))
            found.append(
                Artefact(
                    kind=kind,
                    generation=name,
                    stage=_stage(name == live, mine),
                    lineage=_manifest(generations, name),
                    decisions=mine,
                )
            )
    return tuple(found)


def artefact_of(layout: Layout, kind: ArtefactKind, generation: str) -> Artefact:
    """NotFound when there is none of this name."""
    generations = generations_of(layout, kind)
    generations.path(generation)
    decisions = Decisions(layout.decisions).of(generation, kind)
    return Artefact(
        kind=kind,
        generation=generation,
        stage=_stage(generation == _live(layout, kind), decisions),
        lineage=_manifest(generations, generation),
        decisions=decisions,
    )


def _stage(live: bool, decisions: Sequence[Decision]) -> Stage:
    """Of a kind without trials: a candidate was decided about, and never made live."""
    waiting = decisions and not any(d.stage == "live" for d in decisions)
    return "live" if live else "candidate" if waiting else "retired"


def _live(layout: Layout, kind: ArtefactKind) -> str | None:
    if kind == "encoders":  # tandem.toml names the one that is in use, by its path
        return str(layout.settings().encoder).rpartition("/")[2]
    return generations_of(layout, kind).live()


def _manifest(generations: Generations, name: str) -> dict[str, Any]:
    try:
        value: Any = json.loads((generations.path(name) / "manifest.json").read_bytes())
    except (OSError, ValueError):
        return {}
    # Anybody may read it: not the words of the queries that it learned from.
    return {k: v for k, v in value.items() if k != "trained_on"} if isinstance(value, dict) else {}


def register_rules(layout: Layout, *, who: str, why: str, also_none: bool = False) -> str | None:
    """Keep the shop's rules and synonyms as they are now as a new generation, if they differ from
    the last one kept; its name, or None where nothing changed. also_none: keep that there are none,
    so that there is a way back to it. Conflict while somebody writes."""
    texts = {
        RULES: layout.rules_file.read_bytes() if layout.rules_file.exists() else None,
        SYNONYMS: layout.synonyms_file.read_bytes() if layout.synonyms_file.exists() else None,
    }
    kept = {name: text for name, text in texts.items() if text is not None}
    fingerprint = rules_fingerprint(kept)
    rules = layout.rules
    live = rules.live()
    if live is None and not kept and not also_none:
        return None
    if live is not None and _manifest(rules, live).get("data_fingerprint") == fingerprint:
        return None
    with layout.writing():
        name = write_rules(layout, kept, who=who, why=why)
        Decisions(layout.decisions).record(
            name, "live", who=who, why=why, instead_of=live, kind="rules"
        )
        rules.switch(name)
    return name


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
    of the kind ends.

    Rules: the files in the workspace become those of the older generation; what they say now is
    kept as a generation first. Synonyms take effect with the next index.
    """
    if kind == "models":
        return roll_back_model(layout, to, who=who, why=why)
    if kind == "rules":
        register_rules(layout, who=who, why=f"kept before a roll back: {why}")
    was, now = roll_back(layout, kind, to)
    if kind == "rules":
        restore_rules(layout, now)
    decision = Decisions(layout.decisions).record(
        now, "live", who=who, why=why, instead_of=was, kind=kind
    )
    end_trials(layout, kind, now, who=who)
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
