"""The command that answers over HTTP: `serve`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from lenet.cli.options import Engine, EngineName, Threads, Which, complete_run
from lenet.cli.printing import say

OPEN = "Who may ask"
LIMITS = "Limits"


def serve(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Runs' folders, last for the newest in runs/, or NAME=RUN to give it a name.",
            autocompletion=complete_run,
        ),
    ],
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="LENET_TOKEN",
            help="What a client must know; it is better given in the environment.",
            rich_help_panel=OPEN,
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", help="Listen beyond this machine without a token.", rich_help_panel=OPEN
        ),
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="A name in Host beside localhost and addresses; * is any. May be repeated.",
            rich_help_panel=OPEN,
        ),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="A page that may read answers, as https://example.org. May be repeated.",
            rich_help_panel=OPEN,
        ),
    ] = None,
    access_log: Annotated[
        Path | None, typer.Option(help="A line of JSON for each request; - is stdout.")
    ] = None,
    max_body: Annotated[
        int | None,
        typer.Option(
            min=1, help="Bytes of a request; by default 16777216.", rich_help_panel=LIMITS
        ),
    ] = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(
            min=1, help="Pixels of a picture; by default 16000000.", rich_help_panel=LIMITS
        ),
    ] = None,
    max_images: Annotated[
        int | None,
        typer.Option(
            min=1, help="Images in a request of tensors; by default 1024.", rich_help_panel=LIMITS
        ),
    ] = None,
    max_queue: Annotated[
        int | None,
        typer.Option(min=1, help="Requests that wait; by default 64.", rich_help_panel=LIMITS),
    ] = None,
    max_connections: Annotated[
        int | None,
        typer.Option(min=1, help="Open at once; by default 2000.", rich_help_panel=LIMITS),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Seconds for a body to arrive, and for an answer; by default 30.",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    drain: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            help="Seconds after SIGTERM in which new connections are still taken; by default 1.",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    checkpoint: Which = None,
    engine: Engine = EngineName.auto,
    threads: Threads = None,
    processes: Annotated[
        int, typer.Option(min=1, max=256, help="Each takes a core for HTTP; more than 1 on Linux.")
    ] = 1,
) -> None:
    """Answer over HTTP: the Open Inference Protocol, and pictures as they come."""
    from lenet.serve.limits import Limits
    from lenet.serve.processes import serve as serve_all
    from lenet.serve.server import Settings

    asked: dict[str, Any] = {
        "body_bytes": max_body,
        "pixels": max_pixels,
        "images": max_images,
        "queue": max_queue,
        "connections": max_connections,
        "seconds": timeout,
        "drain_seconds": drain,
    }
    limits = Limits(**{name: value for name, value in asked.items() if value is not None})
    limits = replace(limits, head_seconds=min(limits.head_seconds, limits.seconds))
    settings = Settings(
        host,
        port,
        token,
        insecure,
        tuple(allow_host or ()),
        tuple(cors or ()),
        access_log,
        checkpoint,
        engine,
        threads,
        processes,
        limits,
    )
    serve_all(runs, settings, say)
