"""The service in Python, with FastAPI, uvicorn and asyncpg: `python3 server.py URL`, with the packages in PYTHONPATH."""

import hashlib
import hmac
import json
import socket
import sys
from contextlib import asynccontextmanager

import asyncpg
import uvicorn
import uvloop
from fastapi import FastAPI, Request, Response

SECRET = b"whsec_0123456789abcdef"


@asynccontextmanager
async def lifespan(app):
    async with asyncpg.create_pool(sys.argv[1], min_size=10, max_size=10) as app.state.pool:
        yield


app = FastAPI(lifespan=lifespan, openapi_url=None)


def is_signed(header, body):
    computed = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    return header is not None and hmac.compare_digest(computed.encode(), header.encode())


async def handle(key, data):
    """The key and the effect in one transaction."""
    async with app.state.pool.acquire() as connection, connection.transaction():
        insert = "INSERT INTO inbox VALUES ($1, now()) ON CONFLICT DO NOTHING"
        if await connection.execute(insert, key) == "INSERT 0 1":
            insert = "INSERT INTO effects VALUES ($1, $2)"
            await connection.execute(insert, data["jobId"], data["result"]["total_price"])


@app.post("/webhook")
async def webhook(request: Request):
    body = await request.body()
    if not is_signed(request.headers.get("x-webhook-signature"), body):
        return Response(status_code=401)
    delivery = json.loads(body)
    if delivery.get("event") != "quote.completed":
        return Response(status_code=422)
    await handle("quote3d:sha256:" + hashlib.sha256(body).hexdigest(), delivery["data"])
    return Response(status_code=200)


@app.get("/")
async def ready():
    return Response("ready")


async def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print("listening on http://127.0.0.1:%d" % listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False, loop="uvloop", http="httptools")
    await uvicorn.Server(config).serve(sockets=[listener])


uvloop.run(main())
