"""The command line in processes of their own that need not load it: tests start some hundreds.

They are forked of one that has loaded what most commands need: loading takes longer than most
commands do.  Nothing else is shared: streams, folder, environment and exit code are their own.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
from pathlib import Path

LOADED = [
    "lenet.cli.application",
    "lenet.model",
    "lenet.show.figures",
    "lenet.show.live",
    "lenet.show.page",
    "lenet.show.report",
    "lenet.prediction.bulk",
    "lenet.training.session",
    "lenet.studies.report",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
]

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(LOADED)


def run_forked(words, cwd=None, timeout=240):
    """Run the command line to its end; (exit code, stdout, stderr)."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = _processes.Process(
            target=_command,
            args=([*map(str, words)], cwd or Path.cwd(), dict(os.environ), out, err),
        )
        process.start()
        try:
            process.join(timeout)
            if process.exitcode is None:
                raise TimeoutError(f"lenet {' '.join(map(str, words))}: no end in {timeout} s")
        finally:
            process.kill()
            process.join()
        return process.exitcode, out.read_text(), err.read_text()


def _command(words, folder, environment, out, err):
    """Such a process, from its streams on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, path in ((1, out), (2, err)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["lenet", *words]
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115

    from lenet.cli import main

    main()
