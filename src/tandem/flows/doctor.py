"""Check an installation and a workspace, and say what to do about what is wrong."""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from tandem.contracts.errors import TandemError
from tandem.contracts.search import SearchRequest
from tandem.flows.workspace import Workspace
from tandem.storage.layout import Layout

State = Literal["ok", "warn", "fail"]
LIBRARIES = ("tantivy", "faiss-cpu", "onnxruntime", "lightgbm", "catboost", "duckdb", "pyarrow")
OPTIONAL = {"torch": "pip install 'tandem-commerce[neural]'"}
LOW_DISK = 2 << 30


@dataclass(frozen=True)
class Check:
    """One finding: what was looked at, how it is, and the remedy when it is not well."""

    name: str
    state: State
    detail: str
    remedy: str = ""


def examine(workspace: Path | None) -> list[Check]:
    """All checks of the installation and, when a workspace is named, of the workspace."""
    checks = [_python(), *_libraries(), _disk(workspace or Path())]
    if workspace is not None:
        checks += _workspace(workspace)
    return checks


def _python() -> Check:
    version = platform.python_version()
    good = (3, 11) <= sys.version_info[:2] < (3, 14)
    return Check("python", "ok" if good else "fail", version, "" if good else "use 3.11 to 3.13")


def _libraries() -> list[Check]:
    checks = []
    for name in LIBRARIES:
        try:
            checks.append(Check(name, "ok", metadata.version(name)))
        except metadata.PackageNotFoundError:
            checks.append(Check(name, "fail", "not installed", "run: make setup"))
    for name, install in OPTIONAL.items():
        try:
            checks.append(Check(name, "ok", metadata.version(name)))
        except metadata.PackageNotFoundError:
            checks.append(Check(name, "ok", f"not installed (optional: {install})"))
    return checks


def _disk(path: Path) -> Check:
    while not path.exists():
        path = path.parent
    free = shutil.disk_usage(path).free
    detail = f"{free / (1 << 30):.1f} GiB free"
    return Check(
        "disk",
        "ok" if free > LOW_DISK else "warn",
        detail,
        "" if free > LOW_DISK else "make room",
    )


def _workspace(path: Path) -> list[Check]:
    try:
        layout = Layout.open(path)
        settings = layout.settings()
    except TandemError as error:
        return [Check("workspace", "fail", error.message, error.remedy)]
    checks = [Check("workspace", "ok", f"{settings.name} in {layout.root}")]
    for kind, command in (
        ("catalog", "tandem import catalog FILE"),
        ("index", "tandem index"),
        ("models", "tandem train ranker"),
    ):
        live = getattr(layout, kind).live()
        checks.append(
            Check(kind, "ok" if live else "warn", live or "none yet", "" if live else command)
        )
    if layout.index.live():
        checks.append(_searches(layout))
    return checks


def _searches(layout: Layout) -> Check:
    """Open everything and search for the first product's own title: it must come back."""
    try:
        with Workspace(layout) as shop:
            first = shop.search(SearchRequest(size=1))
            if not first.hits:
                return Check("search", "warn", "the index is empty", "tandem import catalog FILE")
            product = first.hits[0].product
            found = shop.search(SearchRequest(q=product.title[:200], size=20))
            if product.id not in {h.product.id for h in found.hits}:
                return Check(
                    "search",
                    "warn",
                    f"product {product.id} is not found by its own title",
                    "rebuild: tandem index",
                )
            took = found.timings_ms["total"]
            return Check(
                "search", "ok", f"{shop.status()['products']:,} products, first in {took:.1f} ms"
            )
    except TandemError as error:
        return Check("search", "fail", error.message, error.remedy)
