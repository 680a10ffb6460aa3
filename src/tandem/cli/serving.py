"""`tandem serve`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tandem.cli.console import DEFAULT_WORKSPACE, WorkspaceOption


def serve_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 8000,
    events: Annotated[
        bool, typer.Option("--events/--no-events", help="Take and send events of shoppers.")
    ] = True,
) -> None:
    """Serve the storefront, the pages for the team and the HTTP API.

    Example: `tandem serve -w shop --port 8080`
    """
    serve_workspace(workspace, host, port, events=events)


def serve_workspace(workspace: Path, host: str, port: int, *, events: bool = True) -> None:
    """Serve a workspace with all that belongs to it until interrupted."""
    from tandem.content.writing import writer_from_environment
    from tandem.flows.campaigns import CampaignDesk
    from tandem.flows.collaborate import OrderNames, collaboration_desk, handles_of
    from tandem.flows.experimenting import ExperimentDesk
    from tandem.flows.insights import InsightDesk
    from tandem.flows.lab import LabDesk
    from tandem.flows.matching import MatchOffice
    from tandem.flows.online import Online
    from tandem.flows.privacy import PrivacyDesk
    from tandem.flows.registry_desk import RegistryDesk
    from tandem.flows.seller_desk import SellerDesk
    from tandem.flows.slots import SlotDesk
    from tandem.flows.studio_desk import StudioDesk
    from tandem.flows.workspace import open_workspace
    from tandem.governance.keys import KeyStore
    from tandem.http.server import serve
    from tandem.http.services import Collaborations, Services
    from tandem.http.settings import ServerSettings
    from tandem.storage.layout import Layout
    from tandem.storage.query_log import load_query_log

    layout = Layout.open(workspace)
    office = MatchOffice(layout)
    with open_workspace(workspace) as shop, collaboration_desk(workspace) as desk:
        serve(
            shop,
            host=host,
            port=port,
            settings=ServerSettings(keys=KeyStore(layout), collect_events=events),
            services=Services(
                registry=RegistryDesk(layout),
                online=Online(shop),
                experiments=ExperimentDesk(layout),
                slots=SlotDesk(layout),
                insights=InsightDesk(layout),
                lab=LabDesk(layout),
                privacy=PrivacyDesk(layout),
                collaborations=Collaborations(
                    desk, OrderNames(layout), partial(handles_of, layout)
                ),
                seller=SellerDesk(shop),
                matching=office,
                campaigns=CampaignDesk(layout, office),
                studio=StudioDesk(shop),
                asked=tuple(load_query_log(layout)),
                writer=writer_from_environment(),
            ),
        )
