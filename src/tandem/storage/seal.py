"""What a generation was written as: the SHA-256 of each of its files, checked before it is loaded.

Some libraries end the process over a file that is torn, and others answer nonsense from one that
was changed. `SHA256SUMS` is what `sha256sum` writes and checks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tandem.contracts.errors import InvalidInput
from tandem.storage.atomic import new_directory

SEAL = "SHA256SUMS"


@contextmanager
def sealed_directory(target: Path) -> Iterator[Path]:
    """As `new_directory`, sealed when the block succeeds."""
    with new_directory(target) as scratch:
        yield scratch
        seal(scratch)


def seal(folder: Path) -> None:
    files = sorted(f for f in folder.rglob("*") if f.is_file() and f.name != SEAL)
    lines = (f"{_digest(f)}  {f.relative_to(folder).as_posix()}\n" for f in files)
    (folder / SEAL).write_text("".join(lines), encoding="utf-8")


def check_seal(folder: Path, remedy: str) -> None:
    """InvalidInput for the first file that is missing or not what was written, or for a seal that
    is none. remedy: beside a backup. A generation of an earlier version has no seal, and is taken
    as it is."""
    try:
        text = (folder / SEAL).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    lines = text.splitlines()
    for line in lines:
        digest, _, name = line.partition("  ")
        file = folder / (name or SEAL)
        if not name or "\0" in name or not file.is_file() or _digest(file) != digest:
            raise _not_as_written(file, remedy)
    if not lines or not text.endswith("\n"):  # without its last lines it would vouch for less
        raise _not_as_written(folder / SEAL, remedy)


def _not_as_written(file: Path, remedy: str) -> InvalidInput:
    return InvalidInput(
        "not the file that was written: it is missing, cut short or changed",
        file=str(file),
        remedy=f"restore it from a backup, {remedy}",
    )


def _digest(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
