"""Decisions about models: one immutable file each, so that none can be half written or lost."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from tandem.contracts.artefact import ArtefactKind, Stage
from tandem.contracts.errors import Conflict, InvalidInput
from tandem.contracts.registry import Decision, Gate, GateName
from tandem.storage.atomic import fsync_directory, write_atomic


class Decisions:
    """The decisions in one folder, oldest first. Safe for many processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def record(
        self,
        generation: str,
        stage: Stage,
        *,
        who: str,
        why: str,
        instead_of: str | None = None,
        gates: tuple[Gate, ...] = (),
        overridden: tuple[GateName, ...] = (),
        share: float | None = None,
        kind: ArtefactKind = "models",
    ) -> Decision:
        """Add a decision; when this returns it survives power loss."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in range(len(self._files()) + 1, 1 << 31):
            decision = Decision(
                number=number,
                at=datetime.now(UTC),
                generation=generation,
                stage=stage,
                instead_of=instead_of,
                who=who,
                why=why,
                gates=gates,
                overridden=overridden,
                share=share,
                kind=kind,
            )
            scratch = self._folder / f".{number:06d}.{os.getpid()}"
            write_atomic(scratch, decision.model_dump_json(indent=2).encode() + b"\n")
            try:
                # A link is made or refused as one step: two processes never take one number.
                os.link(scratch, self._folder / f"{number:06d}.json")
            except FileExistsError:
                continue
            finally:
                scratch.unlink(missing_ok=True)
            fsync_directory(self._folder)
            return decision
        raise Conflict("no number is free for a decision", remedy="archive old decisions")

    def all(self) -> tuple[Decision, ...]:
        """InvalidInput with the file for a decision that cannot be read."""
        return tuple(self._read(file) for file in self._files())

    def of(self, generation: str, kind: ArtefactKind = "models") -> tuple[Decision, ...]:
        return tuple(d for d in self.all() if (d.kind, d.generation) == (kind, generation))

    def never_live(self, kind: ArtefactKind) -> frozenset[str]:
        """Generations on record that no decision made live: candidates, also refused ones."""
        decided = [d for d in self.all() if d.kind == kind]
        lived = {d.generation for d in decided if d.stage == "live"}
        return frozenset(d.generation for d in decided) - lived

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]*.json")) if self._folder.is_dir() else []

    @staticmethod
    def _read(file: Path) -> Decision:
        try:
            return Decision.model_validate_json(file.read_bytes())
        except (OSError, ValidationError) as error:
            raise InvalidInput(
                f"not a decision: {error}", file=str(file), remedy="restore it from a backup"
            ) from None
