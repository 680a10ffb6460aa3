"""OpenLineage events of what is done to a shop's data: import, index, train, evaluate, promote.

They go to a file in the workspace, or by HTTP to where `tandem.toml` says. Without the extra
`tracking` none are written. They name data sets and generations, never what is in them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from tandem.storage.layout import Layout

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient

log = logging.getLogger(__name__)

PRODUCER = "https://github.com/tandem-commerce/tandem"
SECONDS = 5.0


@dataclass(frozen=True)
class DataSet:
    """Something that is read or written: `catalog`, `index`, `judgments/esci`, a file.

    version: its generation or fingerprint. rows: how many there are, of an output.
    """

    name: str
    version: str | None = None
    rows: int | None = None


@dataclass
class Job:
    """What a job reads and writes; outputs are known in its end."""

    inputs: list[DataSet] = field(default_factory=list)
    outputs: list[DataSet] = field(default_factory=list)


@contextmanager
def job(layout: Layout, name: str, *inputs: DataSet) -> Iterator[Job]:
    """Emit START, and COMPLETE or FAIL of what is done in the block.

    An event that cannot be delivered is lost with a warning: lineage never stops work.
    """
    running = Job(list(inputs))
    emitter = _Emitter.of(layout, name)
    emitter.emit("START", running)
    try:
        yield running
    except BaseException as error:
        emitter.emit("FAIL", running, error)
        raise
    emitter.emit("COMPLETE", running)


class _Emitter:
    """Events of one run of one job."""

    def __init__(self, layout: Layout, name: str, client: OpenLineageClient | None) -> None:
        self._layout = layout
        self._name = name
        self._client = client
        if client is not None:
            from openlineage.client.uuid import generate_new_uuid

            self._run = str(generate_new_uuid())

    @classmethod
    def of(cls, layout: Layout, name: str) -> _Emitter:
        if find_spec("openlineage") is None:
            return cls(layout, name, None)
        from openlineage.client import OpenLineageClient
        from openlineage.client.transport.file import FileConfig, FileTransport
        from openlineage.client.transport.http import HttpConfig, HttpTransport

        url = layout.settings().tracking.get("openlineage_url")
        if url is not None:
            retry = {"total": 1, "backoff_factor": 0.1}
            transport: Any = HttpTransport(HttpConfig(url=url, timeout=SECONDS, retry=retry))
        else:
            layout.lineage.parent.mkdir(parents=True, exist_ok=True)
            transport = FileTransport(FileConfig(log_file_path=str(layout.lineage), append=True))
        return cls(layout, name, OpenLineageClient(transport=transport))

    def emit(self, state: str, running: Job, error: BaseException | None = None) -> None:
        if self._client is None:
            return
        try:
            self._client.emit(self._event(state, running, error))
        except Exception as failure:
            log.warning("an OpenLineage event was not delivered: %s", failure)

    def _event(self, state: str, running: Job, error: BaseException | None) -> Any:
        from openlineage.client import event_v2 as ol
        from openlineage.client.facet_v2 import (
            error_message_run,
            job_type_job,
            processing_engine_run,
        )

        facets: dict[str, Any] = {
            "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
                version=version("tandem-commerce"), name="tandem", producer=PRODUCER
            )
        }
        if error is not None:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
                message=str(error)[:1000], programmingLanguage="python", producer=PRODUCER
            )
        kind = job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration="TANDEM", jobType="JOB", producer=PRODUCER
        )
        shop = f"tandem://{self._layout.settings().name}"
        return ol.RunEvent(
            eventType=getattr(ol.RunState, state),
            eventTime=datetime.now(UTC).isoformat(),
            run=ol.Run(runId=self._run, facets=facets),
            job=ol.Job(namespace=shop, name=self._name, facets={"jobType": kind}),
            inputs=[ol.InputDataset(**self._described(shop, d)) for d in running.inputs],
            outputs=[
                ol.OutputDataset(**self._described(shop, d), outputFacets=self._size(d))
                for d in running.outputs
            ],
            producer=PRODUCER,
        )

    @staticmethod
    def _described(shop: str, data: DataSet) -> dict[str, Any]:
        from openlineage.client.facet_v2 import dataset_version_dataset

        facets: dict[str, Any] = {}
        if data.version is not None:
            facets = {
                "version": dataset_version_dataset.DatasetVersionDatasetFacet(
                    datasetVersion=data.version, producer=PRODUCER
                )
            }
        return {"namespace": shop, "name": data.name, "facets": facets}

    @staticmethod
    def _size(data: DataSet) -> dict[str, Any]:
        from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

        if data.rows is None:
            return {}
        facet = statistics.OutputStatisticsOutputDatasetFacet(rowCount=data.rows, producer=PRODUCER)
        return {"outputStatistics": facet}
