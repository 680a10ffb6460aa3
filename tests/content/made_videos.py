"""Videos made for tests, so that the truth about them is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

RATE, HERTZ = 24, 48_000


def make(
    path: Path,
    seconds: float,
    picture: Callable[[float], np.ndarray],
    amplitude: float | None = 0.3,
    size: tuple[int, int] = (540, 960),
) -> Path:
    """A video whose picture is a function of time; amplitude: of a 1 kHz tone, None: no sound."""
    import av

    width, height = size
    with av.open(str(path), "w") as out:
        shown = out.add_stream(
            "libx264", rate=RATE, options={"preset": "ultrafast", "tune": "zerolatency"}
        )
        shown.width, shown.height, shown.pix_fmt = width, height, "yuv420p"
        heard = out.add_stream("aac", rate=HERTZ) if amplitude is not None else None
        if heard is not None:
            heard.layout = "mono"
        for number in range(round(seconds * RATE)):
            small = np.ascontiguousarray(picture(number / RATE))
            frame = av.VideoFrame.from_ndarray(small, "gray")
            whole = frame.reformat(width, height, "yuv420p", interpolation="POINT")
            for packet in shown.encode(whole):
                out.mux(packet)
        if heard is not None and amplitude is not None:
            time = np.arange(round(seconds * HERTZ)) / HERTZ
            wave = (amplitude * np.sin(2 * np.pi * 1_000 * time)).astype(np.float32)[None]
            for at in range(0, wave.shape[1], 1_024):
                part = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(wave[:, at : at + 1_024]), "fltp", "mono"
                )
                part.sample_rate, part.pts = HERTZ, at
                for packet in heard.encode(part):
                    out.mux(packet)
        for stream in (shown, heard):
            if stream is not None:
                for packet in stream.encode():
                    out.mux(packet)
    return path


SCENES = (60, 190, 100)  # brightness of what is behind


def still(scene: int) -> np.ndarray:
    picture = np.full((48, 27), SCENES[scene], np.uint8)
    picture[10:30, 5:20] = 235
    return picture


def rolling(time: float) -> np.ndarray:
    """Something that moves all the time, and another scene every two seconds."""
    return np.roll(still(int(time / 2) % 3), int(time * RATE) % 48, axis=0)
