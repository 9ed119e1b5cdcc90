"""The bare route beside which payments are measured: one durable row for each request, and nothing else.

`python -m bench._bare DATA [--database URL]`: the same framework and web server, with the same settings, on the same
database, opened by the same code as a role's.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from sqlalchemy import Column, MetaData, String, Table, insert

from server_stub.foundation import postgresql
from server_stub.foundation.clock import SystemClock, machine_pauses
from server_stub.foundation.database import Database
from server_stub.foundation.ids import Ids
from server_stub.foundation.sqlite import SqliteDatabase
from server_stub.foundation.startup import rest_collector
from server_stub.main import bind

metadata = MetaData()
rows = Table(
    "rows", metadata, Column("id", String, primary_key=True), Column("box", String), Column("body", String)
)
INSERT = insert(rows)


def application(database: Database) -> FastAPI:
    """One route."""
    app = FastAPI()
    ids = Ids(SystemClock(), os.urandom)

    @app.post("/stb/v1/payments/{payment}/rows")
    async def row(payment: str, request: Request, body: dict[str, Any]) -> dict[str, str]:
        values = {"id": ids.row(), "box": request.headers["stb-number"], "body": str(body)}
        await database.write(lambda conn: conn.execute(INSERT, values))
        return {"row": values["id"]}

    return app


def main() -> None:
    """Runs until it is ended."""
    data, url = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    database: Database
    if url:
        address = postgresql.address(url)
        database = postgresql.PostgresqlDatabase(address, "bare", metadata.create_all, machine_pauses())
    else:
        database = SqliteDatabase(data / "bare.db", metadata.create_all)
    listener = bind("127.0.0.1", 0)
    host, port = listener.getsockname()
    config = uvicorn.Config(
        application(database), log_config=None, access_log=False, server_header=False, ws="none"
    )
    rest_collector()
    print(f"bare listening on http://{host}:{port}", flush=True)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
    database.close()


if __name__ == "__main__":
    main()
