"""Checks of a video file, on videos made here so that the truth about them is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_videos import RATE, make, rolling, still

from tandem.content.video import check_video, video_facts
from tandem.contracts.errors import InvalidInput

pytest.importorskip("av")


def passed(report) -> dict[str, bool]:
    return {c.name: c.passed for c in report.checks}


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("video") / "good.mp4", 6, rolling, 0.3)


def test_a_good_video_is_measured_as_it_was_made(good):
    report = check_video(good)
    facts = report.facts
    assert report.ready
    assert (facts.width, facts.height, facts.orientation) == (540, 960, "portrait")
    assert facts.seconds == pytest.approx(6, abs=0.1)
    assert facts.frame_rate == RATE
    assert facts.video_codec == "h264"
    assert facts.audio_codec == "aac"
    assert facts.cuts == pytest.approx((2.0, 4.0), abs=0.15)
    assert facts.black == ()
    assert facts.frozen == ()
    assert facts.first_motion <= 0.2
    # A 1 kHz sine of amplitude a reads 20 log10(a) - 3.0 LUFS (ITU-R BS.1770).
    assert facts.loudness == pytest.approx(20 * np.log10(0.3) - 3.0, abs=0.3)
    assert facts.true_peak == pytest.approx(20 * np.log10(0.3), abs=1.5)  # AAC overshoots
    failed = {name for name, ok in passed(report).items() if not ok}
    assert failed == {"sharpness"}
    assert all(c.remedy for c in report.checks if not c.passed)


def test_black_and_frozen_pictures_and_a_late_hook_are_found(tmp_path):
    def dull(time: float) -> np.ndarray:
        if time < 1.2:
            return np.zeros((48, 27), np.uint8)
        return still(0) if time < 5 else rolling(time)

    report = check_video(make(tmp_path / "dull.mp4", 6, dull, 0.002))
    (black,) = report.facts.black
    assert (black.start, black.end) == pytest.approx((0, 1.2), abs=0.1)
    longest = max(report.facts.frozen, key=lambda s: s.end - s.start)
    assert (longest.start, longest.end) == pytest.approx((1.2, 5.0), abs=0.2)
    assert report.facts.first_motion == pytest.approx(1.2, abs=0.1)
    assert not report.ready
    failed = {name for name, ok in passed(report).items() if not ok}
    assert {"black frames", "frozen frames", "hook", "loudness"} <= failed


def test_a_small_sideways_silent_clip(tmp_path):
    clip = make(tmp_path / "s.mp4", 2, lambda _: still(0).T, None, size=(480, 270))
    report = check_video(clip)
    assert report.facts.loudness is None
    assert report.facts.audio_codec is None
    assert report.facts.first_motion is None
    assert [(s.start, round(s.end, 1)) for s in report.facts.frozen] == [(0.0, 2.0)]
    must = {c.name for c in report.checks if c.must and not c.passed}
    assert must == {"length", "resolution", "frozen frames"}
    assert not passed(report)["orientation"]
    assert not passed(report)["sound"]


def test_what_is_no_video_is_told_so(tmp_path, good):
    files = {
        "text.mp4": b"not a video at all",
        "empty.mp4": b"",
        "cut.mp4": good.read_bytes()[:2_000],
        # A playlist would have ffmpeg open other files.
        "list.mp4": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "concat.mp4": b"ffconcat version 1.0\nfile /etc/passwd\n",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InvalidInput) as error:
            video_facts(path)
        assert error.value.remedy
        assert error.value.file == name
        # Not where the copy lies that was looked at.
        assert str(tmp_path) not in str(error.value)


def test_a_file_that_is_cut_off_is_not_ready(tmp_path):
    whole = make(tmp_path / "whole.mkv", 6, rolling)
    assert passed(check_video(whole))["whole"]
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    report = check_video(cut)
    assert not passed(report)["whole"]
    assert not report.ready
    assert report.facts.picture_seconds < 5 < report.facts.seconds
