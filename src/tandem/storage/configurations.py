"""Search configurations on disk: one JSON file in a generation of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tandem.contracts.configuration import SearchConfiguration
from tandem.contracts.errors import InvalidInput
from tandem.storage.atomic import write_json_atomic
from tandem.storage.layout import Layout
from tandem.storage.seal import sealed_directory

FILE = "configuration.json"
EVIDENCE = "manifest.json"


def publish_configuration(
    layout: Layout, configuration: SearchConfiguration, evidence: dict[str, Any]
) -> str:
    """Write a configuration with what speaks for it as a new generation, not live yet.

    The first one is preceded by a generation of the built-in weights, which is live, so that there
    is a way back to it. To be called under `Layout.writing`.
    """
    generations = layout.configurations
    generations.sweep()
    if not generations.names():
        generations.switch(_write(layout, SearchConfiguration(), {"why": "the built-in weights"}))
    return _write(layout, configuration, evidence)


def _write(layout: Layout, configuration: SearchConfiguration, evidence: dict[str, Any]) -> str:
    name = layout.configurations.next_name()
    with sealed_directory(layout.configurations.root / name) as scratch:
        write_json_atomic(scratch / FILE, configuration.model_dump())
        write_json_atomic(scratch / EVIDENCE, evidence)
    return name


def load_configuration(directory: Path) -> SearchConfiguration:
    """The configuration of a generation. InvalidInput when it cannot be read."""
    file = directory / FILE
    try:
        return SearchConfiguration.model_validate(json.loads(file.read_bytes()))
    except (OSError, ValueError, ValidationError) as error:
        raise InvalidInput(
            f"not a search configuration: {error}",
            file=str(file),
            remedy="roll back to an older one: tandem rollback configurations",
        ) from None
