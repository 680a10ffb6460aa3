"""Chinese, Japanese and Korean: words in text that has no spaces, by Lindera's dictionaries."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import Any

DICTIONARIES = {"ja": "embedded://ipadic", "ko": "embedded://ko-dic", "zh": "embedded://cc-cedict"}

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_KANA = "\u3040-\u30ff"
_HANGUL = "\u1100-\u11ff\uac00-\ud7af"
CJK = f"{_HAN}{_KANA}{_HANGUL}々〆"
_lock = Lock()


@cache
def _segmenter(language: str) -> Any:
    import lindera

    return lindera.Tokenizer(lindera.load_dictionary(DICTIONARIES[language]), mode="normal")


def segments(run: str, language: str) -> list[str]:
    """Words of a run of Chinese, Japanese or Korean."""
    with _lock:
        segmenter = _segmenter(language)
    return [s for t in segmenter.tokenize(run) if (s := t.surface.strip())]


def is_cjk(token: str) -> bool:
    return bool(re.match(f"[{CJK}ー]", token))


def cjk_language(run: str, language: str | None, languages: Sequence[str]) -> str:
    """The language of a run: by its script where that is telling, else as stated or expected."""
    if re.search(f"[{_HANGUL}]", run):
        return "ko"
    if re.search(f"[{_KANA}]", run):
        return "ja"
    if language in ("ja", "zh"):
        return language
    return "ja" if "ja" in languages and "zh" not in languages else "zh"


def pairs(run: str) -> list[str]:
    """Overlapping character pairs; a single character stands for itself."""
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]
