"""`tandem keys …`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tandem.cli.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, out, print_json
from tandem.governance.access import Role

if TYPE_CHECKING:
    from tandem.governance.keys import ApiKey

keys_app = typer.Typer(no_args_is_help=True, help="API keys: who may do what over HTTP.")


@keys_app.command("create")
def create(
    role: Annotated[Role, typer.Option(help="What the key may do.")],
    tenant: Annotated[
        str | None, typer.Option(help="The merchant or creator, for these two roles.")
    ] = None,
    name: Annotated[str, typer.Option(help="What it is for.")] = "unnamed",
    days: Annotated[
        int | None, typer.Option(help="Days that it is valid. Default: until revoked.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Make a key. It is printed once and kept as a hash only.

    Example: `tandem keys create --role merchant --tenant Acme --name "Acme's dashboard" -w shop`
    """
    from tandem.flows.access import create_key
    from tandem.storage.layout import Layout

    key, text = create_key(Layout.open(workspace), role, tenant=tenant, name=name, days=days)
    if json_:
        print_json({**_told(key), "key": text})
    else:
        out.print(text, highlight=False, soft_wrap=True)
        out.print("Keep it now: it is not shown again. Send it in the header X-API-Key.")


@keys_app.command("list")
def list_keys(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json_: JsonOption = False) -> None:
    """Print every key ever made, without its secret.

    Example: `tandem keys list -w shop`
    """
    from rich.table import Table

    from tandem.governance.keys import KeyStore
    from tandem.storage.layout import Layout

    keys = [_told(key) for key in KeyStore(Layout.open(workspace)).all()]
    if json_:
        print_json(keys)
        return
    table = Table("id", "role", "tenant", "name", "created", "state", box=None)
    for key in keys:
        table.add_row(
            key["id"], key["role"], key["tenant"] or "", key["name"], key["created"][:10],
            key["state"],
        )  # fmt: skip
    out.print(table)


@keys_app.command("revoke")
def revoke(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, as listed.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """End a key. Running servers refuse it from the next request on.

    Example: `tandem keys revoke 1f0c9a2b -w shop`
    """
    from tandem.flows.access import revoke_key
    from tandem.storage.layout import Layout

    key = revoke_key(Layout.open(workspace), id_)
    if json_:
        print_json(_told(key))
    else:
        out.print(f"{key.id} is revoked.", highlight=False)


def _told(key: ApiKey) -> dict[str, Any]:
    from datetime import UTC, datetime

    told = asdict(key)
    del told["digest"]
    expired = "valid" if key.valid(datetime.now(UTC)) else "expired"
    return {**told, "state": "revoked" if key.revoked else expired}
