"""Trainings and decisions told to an MLflow server as well, where `tandem.toml` names one.

The registry in the workspace is complete without it. What cannot be told, because the server is
away, waits in a folder and is told with the next one; nothing ever waits for it.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.contracts.errors import MissingExtra, TandemError
from tandem.contracts.registry import Decision
from tandem.storage.atomic import write_json_atomic
from tandem.storage.layout import Layout

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

SECONDS = "5"  # that a server has to answer in
RETRIES = "1"
_PLAIN = re.compile(r"[^A-Za-z0-9_\-. /]")


def trained(layout: Layout, kind: str, generation: str, manifest: Mapping[str, Any]) -> int:
    """Tell of a training; returns how much could not be told yet, this included."""
    record = {"what": "training", "kind": kind, "generation": generation, "manifest": manifest}
    return _tell(layout, record)


def decided(layout: Layout, kind: str, decision: Decision) -> int:
    """Tell of a decision about a generation that was trained."""
    record = {"what": "decision", "kind": kind, "decision": decision.model_dump(mode="json")}
    return _tell(layout, record)


def _tell(layout: Layout, record: Mapping[str, Any]) -> int:
    if "mlflow_uri" not in layout.settings().tracking:
        return 0
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    write_json_atomic(layout.untold / f"{stamp}-{os.getpid()}.json", record)
    return retell(layout)


def retell(layout: Layout) -> int:
    """Tell what waits, in the order in which it happened; returns how much still waits."""
    waiting = sorted(layout.untold.glob("*.json")) if layout.untold.is_dir() else []
    uri = layout.settings().tracking.get("mlflow_uri")
    if not waiting or uri is None:
        return len(waiting)
    try:
        with _client(uri) as client:
            shop = layout.settings().name
            for number, file in enumerate(waiting):
                try:
                    _mirror(client, shop, json.loads(file.read_bytes()))
                except Exception as error:
                    # Whatever a server or its library raises: the registry here is complete.
                    log.warning("%s was not told: %s; it is tried again later", uri, error)
                    return len(waiting) - number
                file.unlink()
    except TandemError as error:
        log.warning("%s; %s", error.message, error.remedy)
        return len(waiting)
    return 0


@contextmanager
def _client(uri: str) -> Iterator[MlflowClient]:
    """A client that gives up soon. MissingExtra without the library."""
    waits = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": SECONDS,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": RETRIES,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        # Without these the library opens a database of its own where it is run.
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_REGISTRY_URI": uri,
    }
    before = {name: os.environ.get(name) for name in waits}
    os.environ.update({name: value for name, value in waits.items() if before[name] is None})
    try:
        try:
            from mlflow import MlflowClient
        except ImportError:
            raise MissingExtra(
                "telling an MLflow server needs mlflow-skinny",
                remedy="pip install 'tandem-commerce[tracking]'",
            ) from None
        yield MlflowClient(tracking_uri=uri, registry_uri=uri)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def _mirror(client: MlflowClient, shop: str, record: Mapping[str, Any]) -> None:
    name = f"tandem.{_PLAIN.sub('-', shop)}.{record['kind']}"
    if record["what"] == "training":
        _mirror_training(client, shop, name, record)
    else:
        _mirror_decision(client, name, Decision.model_validate(record["decision"]))


def _mirror_training(client: MlflowClient, shop: str, name: str, record: Mapping[str, Any]) -> None:
    """A run with its parameters and metrics, and a model version of it."""
    generation, manifest = record["generation"], record["manifest"]
    if _version(client, name, generation) is not None:
        return  # told before, and the answer was lost
    known = client.get_experiment_by_name(f"tandem/{shop}")
    experiment = known.experiment_id if known else client.create_experiment(f"tandem/{shop}")
    run = client.create_run(
        experiment,
        run_name=generation,
        tags={"tandem.kind": record["kind"], "tandem.generation": generation},
    )
    run_id = run.info.run_id
    for key, value in manifest.items():
        if isinstance(value, bool | int | float | str):
            client.log_param(run_id, _PLAIN.sub("_", key), str(value)[:500])
        elif value is not None and key not in ("metrics", "trained_on"):
            client.set_tag(run_id, f"tandem.{_PLAIN.sub('_', key)}", json.dumps(value)[:5000])
    for key, number in _numbers(manifest.get("metrics") or {}):
        client.log_metric(run_id, key, number)
    client.set_terminated(run_id)
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description=f"Tandem, {record['kind']} of {shop}")
    client.create_model_version(
        name,
        source=f"runs:/{run_id}/model",
        run_id=run_id,
        tags={"tandem.generation": generation, "tandem.stage": "candidate"},
    )


def _mirror_decision(client: MlflowClient, name: str, decision: Decision) -> None:
    """The stage as a tag of the model version, and `live` as the alias of the live one."""
    version = _version(client, name, decision.generation)
    if version is None:
        return  # trained before there was a server to tell
    tags = {
        "tandem.stage": decision.stage,
        "tandem.decision": str(decision.number),
        "tandem.who": decision.who,
        "tandem.why": decision.why,
    }
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, value[:5000])
    if decision.stage == "live":
        former = _version(client, name, decision.instead_of) if decision.instead_of else None
        if former is not None:
            client.set_model_version_tag(name, former, "tandem.stage", "retired")
        client.set_registered_model_alias(name, "live", version)


def _version(client: MlflowClient, name: str, generation: str) -> str | None:
    for found in client.search_model_versions(f"name = '{name}'"):
        if found.tags.get("tandem.generation") == generation:
            return str(found.version)
    return None


def _numbers(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Metrics by names that MLflow takes: `nDCG@10` with its mean is `nDCG_at_10.mean`."""
    for key, value in metrics.items():
        name = prefix + _PLAIN.sub("_", key.replace("@", "_at_"))
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, float(value)


def untold(layout: Layout) -> list[Path]:
    return sorted(layout.untold.glob("*.json")) if layout.untold.is_dir() else []
