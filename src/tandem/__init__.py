"""Tandem: search, recommendation and collaboration for creator commerce.

>>> import tandem
>>> shop = tandem.open("shop")
>>> shop.search("bluetooth speaker", k=10)

Importing this package is cheap: what is heavy is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tandem.experiments.offline import evaluate
    from tandem.flows.workspace import Workspace
    from tandem.flows.workspace import open_workspace as open

__version__ = "0.1.0"
__all__ = ["Workspace", "__version__", "evaluate", "open"]

_LAZY = {
    "evaluate": ("tandem.experiments.offline", "evaluate"),
    "Workspace": ("tandem.flows.workspace", "Workspace"),
    "open": ("tandem.flows.workspace", "open_workspace"),
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        module, attribute = _LAZY[name]
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module 'tandem' has no attribute '{name}'")
