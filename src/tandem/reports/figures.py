"""A number of a report with its interval, and the one way in which it is written.

Words, charts, tables and JSON of a report take their numbers from the same `Figure`s, so they
cannot disagree.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Unit = Literal["count", "share", "money", "score", "number", "milliseconds"]


@dataclass(frozen=True, slots=True)
class Figure:
    """value: None where it is not known. low, high: 95% interval, None without one.

    signed: a difference, written with its sign. currency: of money, ISO 4217.
    """

    value: float | None
    unit: Unit = "number"
    low: float | None = None
    high: float | None = None
    signed: bool = False
    currency: str | None = None

    def __str__(self) -> str:
        return self.write(self.value)

    @property
    def span(self) -> str:
        """The interval in words; `not known` without one."""
        if self.low is None or self.high is None:
            return "not known"
        return f"from {self.write(self.low)} to {self.write(self.high)}"

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high

    def write(self, value: float | None) -> str:
        """A value of this figure's kind as text."""
        if value is None or value != value:
            return "not known"
        sign = "+" if self.signed else ""
        match self.unit:
            case "count":
                return f"{value:{sign},.0f}"
            case "share":
                return f"{value:{sign}.1%}".replace(".0%", "%")
            case "money":
                # Cents matter where the whole is a few coins: sales per search.
                digits = (
                    0 if max(abs(v or 0.0) for v in (self.value, self.low, self.high)) >= 100 else 2
                )
                return f"{value:{sign},.{digits}f} {self.currency or ''}".rstrip()
            case "milliseconds":
                return f"{value:{sign},.0f} ms"
            case "score":
                return f"{value:{sign}.3f}"
            case "number":
                return f"{value:{sign},.0f}" if abs(value) >= 1_000 else f"{value:{sign}.3g}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def many(count: Figure, one: str, more: str) -> str:
    """A count with its noun: 1 post, 2 posts."""
    return f"{count} {one if count.value == 1 else more}"
