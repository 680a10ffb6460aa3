"""A video file before it is posted: what ffmpeg's own filters measure, held against what works.

`scdet` finds cuts, `blackdetect` and `freezedetect` what shows nothing, `ebur128` the loudness by
EBU R 128. Filters run on a small copy of the picture, since none of them needs detail. Files come
from strangers: only two families of containers are opened, by their first bytes, and never
anything that a file points to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.contracts.brief import TextCheck
from tandem.contracts.errors import InvalidInput, MissingExtra
from tandem.contracts.video import Span, VideoFacts, VideoReport

if TYPE_CHECKING:
    from av.container import InputContainer

SHORTEST, LONGEST = 3.0, 600.0  # seconds
LEAST_SIDE, GOOD_SIDE = 540, 1080  # pixels of the shorter side
LEAST_RATE = 23.0  # frames a second
LOUDNESS, TOLERANCE = -14.0, 5.0  # LUFS: what large platforms play back at
PEAK = -1.0  # dBTP; above it players distort
CUT_OFF = 1.0  # seconds that the picture may end before the video does
HOOK = 1.0  # seconds by which something should have happened
SHOT = 8.0  # seconds: longer shots lose viewers
MOTION = 0.4  # percent of the brightness range, mean over the picture: the picture moves
QUIET = -50.0  # LUFS, momentary: quieter is silence
BLACK_SECONDS, FROZEN_SECONDS = 0.3, 1.0  # shorter ones are not counted
MOST_PIXELS = 4096 * 4096
MOST_FRAMES = 60_000
SMALL, FEW = 240, 15  # height in pixels and frames a second of the copy that is looked at
SILENCE = -70.0  # LUFS: ebur128's gate; nothing above it was heard
CONTAINERS = "MP4, MOV, WebM or Matroska"


def check_video(file: Path, name: str | None = None) -> VideoReport:
    """Look at a video file, by the name that its owner knows it by. InvalidInput for what is no
    video, MissingExtra without PyAV."""
    facts = video_facts(file, name)
    checks = (
        _length(facts),
        _whole(facts),
        _resolution(facts),
        _frame_rate(facts),
        _sound(facts),
        _black(facts),
        _frozen(facts),
        _hook(facts),
        _orientation(facts),
        _sharpness(facts),
        _loudness(facts),
        _peak(facts),
        _pace(facts),
    )
    return VideoReport(ready=all(c.passed for c in checks if c.must), facts=facts, checks=checks)


# --- Measuring ------------------------------------------------------------------------------------


def video_facts(file: Path, name: str | None = None) -> VideoFacts:
    """What can be measured of a video file."""
    try:
        import av
    except ImportError:
        raise MissingExtra(
            "looking at videos needs PyAV", remedy="pip install 'tandem-commerce[video]'"
        ) from None
    name = name or file.name
    try:
        # Opened as a stream of bytes: no file name means nothing else can be opened beside it.
        with file.open("rb") as handle:
            kind = _container(handle.read(16), name)
            handle.seek(0)
            with av.open(handle, mode="r", format=kind) as container:
                return _measured(container, name)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        # Never the whole error, which names the place of the copy that was looked at.
        why = getattr(error, "strerror", None) or type(error).__name__
        raise InvalidInput(
            f"is damaged or cut off ({why.lower()})",
            file=name,
            remedy="export it anew, as MP4 with H.264",
        ) from None


def _container(start: bytes, name: str) -> str:
    """The format that a file's first bytes name."""
    if start[4:8] == b"ftyp":
        return "mp4"
    if start[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    what = "is no video" if start else "is empty"
    raise InvalidInput(what, file=name, remedy=f"send {CONTAINERS}")


@dataclass
class _Picture:
    """What the filters of the picture said so far."""

    frames: int = 0
    last: float = 0.0
    first_motion: float | None = None
    cuts: list[float] = field(default_factory=list)
    black: list[Span] = field(default_factory=list)
    frozen: list[Span] = field(default_factory=list)
    _open: dict[str, float] = field(default_factory=dict)

    def take(self, time: float, said: dict[str, str]) -> None:
        self.last = max(self.last, time)
        moved = float(said.get("lavfi.scd.mafd", 0))
        if self.first_motion is None and time > 0 and moved >= MOTION:
            self.first_motion = time
        if "lavfi.scd.time" in said:
            self.cuts.append(float(said["lavfi.scd.time"]))
        for name, key, spans in (
            ("black", "lavfi.black", self.black),
            ("freeze", "lavfi.freezedetect.freeze", self.frozen),
        ):
            if f"{key}_start" in said:
                self._open[name] = float(said[f"{key}_start"])
            if f"{key}_end" in said and name in self._open:
                start = self._open.pop(name)
                spans.append(Span(start=start, end=max(start, float(said[f"{key}_end"]))))

    def end(self, seconds: float) -> None:
        """What still lasts ends with the video."""
        for name, spans, least in (
            ("black", self.black, BLACK_SECONDS),
            ("freeze", self.frozen, FROZEN_SECONDS),
        ):
            start = self._open.pop(name, None)
            if start is not None and seconds - start >= least:
                spans.append(Span(start=start, end=seconds))


@dataclass
class _Sound:
    """What the loudness filter said so far."""

    heard: float | None = None
    loudness: float | None = None
    peak: float = 0.0

    def take(self, time: float, said: dict[str, str]) -> None:
        if self.heard is None and float(said.get("lavfi.r128.M", SILENCE)) > QUIET:
            self.heard = time
        loudness = float(said.get("lavfi.r128.I", SILENCE))
        self.loudness = loudness if loudness > SILENCE else None
        self.peak = max(self.peak, float(said.get("lavfi.r128.true_peak", 0)))


def _measured(container: InputContainer, name: str) -> VideoFacts:
    import av

    if not container.streams.video:
        raise InvalidInput("has no picture", file=name, remedy="send a video with a picture")
    shown = container.streams.video[0]
    heard = container.streams.audio[0] if container.streams.audio else None
    if shown.width * shown.height > MOST_PIXELS or not shown.width * shown.height:
        raise InvalidInput(
            f"{shown.width} × {shown.height} pixels", file=name, remedy="export it at 1080p"
        )
    told = container.duration / 1e6 if container.duration else 0.0
    if told > LONGEST * 2:
        raise InvalidInput(
            f"{told:.0f} seconds long", file=name, remedy=f"cut it to {LONGEST:.0f} seconds"
        )
    shown.thread_type = "AUTO"
    picture, sound = _Picture(), _Sound()
    watching = _graph(
        shown,
        ("fps", str(FEW)),
        ("scale", f"-2:{SMALL}"),
        ("scdet", "threshold=10"),
        ("blackdetect", f"d={BLACK_SECONDS}"),
        ("freezedetect", f"n=-60dB:d={FROZEN_SECONDS}"),
    )
    listening = _graph(heard, ("ebur128", "metadata=1:peak=true")) if heard else None
    rotation = 0
    for packet in container.demux([s for s in (shown, heard) if s is not None]):
        for frame in packet.decode():
            if isinstance(frame, av.VideoFrame):
                picture.frames += 1
                rotation = rotation or int(frame.rotation)
                if picture.frames > MOST_FRAMES:
                    raise InvalidInput(
                        f"more than {MOST_FRAMES:,} frames", file=name, remedy="cut it"
                    )
                watching.vpush(frame)
                _drain(watching.vpull, picture)
            elif listening is not None:
                listening.push(frame)
                _drain(listening.pull, sound)
    if not picture.frames:
        raise InvalidInput("has no picture", file=name, remedy="export it anew")
    watching.vpush(None)
    _drain(watching.vpull, picture)
    seconds = told or picture.last
    lasts = min(seconds, picture.last + 1 / FEW)
    picture.end(seconds)
    width, height = shown.width, shown.height
    if rotation % 180:
        width, height = height, width
    return VideoFacts(
        container=container.format.name,
        seconds=round(seconds, 2),
        picture_seconds=round(lasts, 2),
        width=width,
        height=height,
        orientation="square" if width == height else "portrait" if width < height else "landscape",
        frame_rate=round(float(shown.average_rate or picture.frames / max(seconds, 0.1)), 2),
        video_codec=shown.codec_context.name,
        audio_codec=heard.codec_context.name if heard else None,
        loudness=None if sound.loudness is None else round(sound.loudness, 1),
        true_peak=round(20 * math.log10(sound.peak), 1) if sound.peak > 0 else None,
        cuts=tuple(round(c, 2) for c in picture.cuts),
        black=tuple(picture.black),
        frozen=tuple(picture.frozen),
        first_motion=None if picture.first_motion is None else round(picture.first_motion, 2),
        first_sound=None if sound.heard is None else round(sound.heard, 2),
    )


def _graph(stream: Any, *filters: tuple[str, str]) -> Any:
    """A chain of filters from a stream to a sink."""
    import av

    graph = av.filter.Graph()
    graph.threads = 1
    is_picture = stream.type == "video"
    nodes = [
        graph.add_buffer(template=stream) if is_picture else graph.add_abuffer(template=stream),
        *(graph.add(name, options) for name, options in filters),
        graph.add("buffersink" if is_picture else "abuffersink"),
    ]
    graph.link_nodes(*nodes).configure()
    return graph


def _drain(pull: Any, into: _Picture | _Sound) -> None:
    """Hand on what the filters have finished."""
    import av

    while True:
        try:
            frame = pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        into.take(float(frame.time or 0.0), dict(frame.metadata))


# --- Judging --------------------------------------------------------------------------------------


def _check(name: str, passed: bool, says: str, remedy: str, *, must: bool) -> TextCheck:
    return TextCheck(
        name=name, passed=passed, must=must, says=says, remedy="" if passed else remedy
    )


def _length(facts: VideoFacts) -> TextCheck:
    return _check(
        "length",
        SHORTEST <= facts.seconds <= LONGEST,
        f"{facts.seconds:.1f} seconds",
        f"make it {SHORTEST:.0f} to {LONGEST:.0f} seconds long",
        must=True,
    )


def _whole(facts: VideoFacts) -> TextCheck:
    missing = facts.seconds - facts.picture_seconds
    return _check(
        "whole",
        missing <= max(CUT_OFF, 0.05 * facts.seconds),
        f"the picture lasts {facts.picture_seconds:.1f} of {facts.seconds:.1f} seconds",
        "export it anew: the file is cut off, or its sound is longer than its picture",
        must=True,
    )


def _resolution(facts: VideoFacts) -> TextCheck:
    return _check(
        "resolution",
        min(facts.width, facts.height) >= LEAST_SIDE,
        f"{facts.width} × {facts.height} pixels",
        f"export it with {LEAST_SIDE} pixels or more on the shorter side",
        must=True,
    )


def _frame_rate(facts: VideoFacts) -> TextCheck:
    return _check(
        "frame rate",
        facts.frame_rate >= LEAST_RATE,
        f"{facts.frame_rate:g} frames a second",
        "export it with 24 frames a second or more: it will look jerky",
        must=True,
    )


def _sound(facts: VideoFacts) -> TextCheck:
    return _check(
        "sound",
        facts.loudness is not None,
        "there is sound" if facts.loudness is not None else "nothing can be heard",
        "add a voice or music; the sound track is missing or silent",
        must=False,
    )


def _black(facts: VideoFacts) -> TextCheck:
    dark = _seconds(facts.black)
    at_start = any(s.start < 0.1 for s in facts.black)
    return _check(
        "black frames",
        not at_start and dark <= 0.1 * facts.seconds,
        f"black for {dark:.1f} seconds{', from the start' if at_start else ''}"
        if facts.black
        else "no black frames",
        "begin with the picture: cut what is black",
        must=True,
    )


def _frozen(facts: VideoFacts) -> TextCheck:
    still = _seconds(facts.frozen)
    return _check(
        "frozen frames",
        still <= 0.5 * facts.seconds,
        f"the picture stands still for {still:.1f} seconds" if facts.frozen else "nothing frozen",
        "more than half of it is a still picture: show the product in use",
        must=True,
    )


def _hook(facts: VideoFacts) -> TextCheck:
    known = [t for t in (facts.first_motion, facts.first_sound) if t is not None]
    moved = "never moves" if facts.first_motion is None else f"moves at {facts.first_motion:.1f} s"
    heard = "no sound" if facts.first_sound is None else f"first sound at {facts.first_sound:.1f} s"
    return _check(
        "hook",
        bool(known) and facts.first_motion is not None and facts.first_motion <= HOOK,
        f"the picture {moved}, {heard}",
        f"let something happen in the first {HOOK:.0f} second: most viewers decide by then",
        must=False,
    )


def _orientation(facts: VideoFacts) -> TextCheck:
    return _check(
        "orientation",
        facts.orientation == "portrait",
        facts.orientation,
        "film upright, 9:16: phones show it whole",
        must=False,
    )


def _sharpness(facts: VideoFacts) -> TextCheck:
    return _check(
        "sharpness",
        min(facts.width, facts.height) >= GOOD_SIDE,
        f"{min(facts.width, facts.height)} pixels on the shorter side",
        f"{GOOD_SIDE} would show details better",
        must=False,
    )


def _loudness(facts: VideoFacts) -> TextCheck:
    if facts.loudness is None:
        return _check("loudness", False, "not measurable", "add sound first", must=False)
    off = LOUDNESS - facts.loudness
    return _check(
        "loudness",
        abs(off) <= TOLERANCE,
        f"{facts.loudness:.1f} LUFS",
        f"make it {abs(off):.0f} dB {'louder' if off > 0 else 'quieter'}: others play at "
        f"{LOUDNESS:.0f} LUFS",
        must=False,
    )


def _peak(facts: VideoFacts) -> TextCheck:
    passed = facts.true_peak is None or facts.true_peak <= PEAK
    return _check(
        "peaks",
        passed,
        "no sound" if facts.true_peak is None else f"loudest peak {facts.true_peak:.1f} dBTP",
        f"keep peaks below {PEAK:.0f} dBTP, or players distort them",
        must=False,
    )


def _pace(facts: VideoFacts) -> TextCheck:
    shots = len(facts.cuts) + 1
    mean = facts.seconds / shots
    return _check(
        "pace",
        mean <= SHOT,
        f"{len(facts.cuts)} cuts, a shot is {mean:.1f} seconds long",
        f"cut more often: {SHOT:.0f} seconds a shot or less",
        must=False,
    )


def _seconds(spans: tuple[Span, ...]) -> float:
    return sum(s.end - s.start for s in spans)
