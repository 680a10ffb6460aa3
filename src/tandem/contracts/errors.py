"""Errors that a person can act on: what is wrong, where, and what to do about it."""

from __future__ import annotations


class TandemError(Exception):
    """Base of every error that Tandem raises on purpose.

    `remedy` is one sentence that tells the reader what to do next. Faces (CLI, HTTP) print
    `message` and `remedy`; they never print a traceback for a `TandemError`.
    """

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  Remedy: {self.remedy}" if self.remedy else self.message


class InvalidInput(TandemError):  # noqa: N818 - reads as a statement at the raise site
    """A file, row, parameter or request that does not satisfy its contract."""

    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        field: str | None = None,
        remedy: str = "",
    ) -> None:
        place = ":".join(str(p) for p in (file, line) if p is not None)
        parts = [place, f"field '{field}'" if field else "", message]
        super().__init__(": ".join(p for p in parts if p), remedy=remedy)
        self.file = file
        self.line = line
        self.field = field


class NotFound(TandemError):  # noqa: N818
    """A workspace, product, model or generation that does not exist."""

    exit_code = 3


class Conflict(TandemError):  # noqa: N818
    """Somebody else holds what this call needs (a lock, a newer generation)."""

    exit_code = 4


class Forbidden(TandemError):  # noqa: N818
    """Who asks is known and may not do this."""

    exit_code = 2


class MissingExtra(TandemError):  # noqa: N818
    """An optional dependency is needed; the remedy is the line that installs it."""

    exit_code = 5


class Behind(TandemError):  # noqa: N818
    """More came in than is worked off: senders have to wait `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message, remedy=f"send it again in {retry_after} s")
        self.retry_after = retry_after


class StorageFull(TandemError):  # noqa: N818
    """The disk took no more data. Nothing of the failed call is stored; what was is safe."""

    exit_code = 6
