"""What a video file is, as measured, and whether it is ready to be posted."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tandem.contracts.brief import TextCheck
from tandem.contracts.search import Frozen


class Span(Frozen):
    """From when to when, in seconds from the start."""

    start: float = Field(ge=0)
    end: float = Field(ge=0)


class VideoFacts(Frozen):
    """Measured on a file. width and height: as it is shown, turned if the file says so.

    loudness: integrated, LUFS (EBU R 128); None: no sound. true_peak: dBTP.
    first_motion, first_sound: seconds until the picture moves and something is heard; None: never.
    """

    container: str
    seconds: float
    picture_seconds: float = Field(description="Until the last picture; shorter when cut off")
    width: int
    height: int
    orientation: Literal["portrait", "landscape", "square"]
    frame_rate: float
    video_codec: str
    audio_codec: str | None
    loudness: float | None
    true_peak: float | None
    cuts: tuple[float, ...]
    black: tuple[Span, ...]
    frozen: tuple[Span, ...]
    first_motion: float | None
    first_sound: float | None


class VideoReport(Frozen):
    """`ready`: everything that must hold does."""

    ready: bool
    facts: VideoFacts
    checks: tuple[TextCheck, ...]
