import importlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import run_forked

from lenet.engines import has_torch, native
from lenet.network import zoo

# A shell or a service that starts the tests in the background lets them ignore signals, and what
# they start inherits that; the tests of signals are about programs that hear them.
for _number, _usual in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGTERM, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)

if "PYTEST_XDIST_WORKER" in os.environ:
    # As many processes as cores are at work already: threads of BLAS and PyTorch would only wait.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

OF_TODAY = [name for name, row in zoo.ZOO.items() if row.pooling != "trained"]
"""The networks of the zoo that are not of 1998."""

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def need(there, cure):
    """Skip a test that lacks what a user may lack; fail instead where everything must run."""
    if there:
        return
    if os.environ.get("LENET_REQUIRE_ALL") == "1":
        pytest.fail(f"LENET_REQUIRE_ALL=1, but this test was about to be skipped: {cure}")
    pytest.skip(cure, allow_module_level=True)


def need_module(name, cure):
    """A module, or a skip."""
    for part in (name.partition(".")[0], name):
        need(importlib.util.find_spec(part) is not None, f"install {name}: {cure}")
    return importlib.import_module(name)


def need_torch():
    """PyTorch, or a skip."""
    need(has_torch(), "install PyTorch: pip install 'lenet[torch]'")
    return importlib.import_module("torch")


def need_native():
    """The compiled part, or a skip."""
    reason = native.missing_reason()
    need(reason is None, reason)
    return importlib.import_module("lenet.engines._native")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """One more than cores: tests of services, signals and clusters wait much of their time."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items):
    """CI runs everything; `make test` leaves out what is thorough and long, and says so."""
    if os.environ.get("LENET_REQUIRE_ALL") == "1":
        return
    skip = pytest.mark.skip(reason="long: CI runs it, and so does LENET_REQUIRE_ALL=1 make test")
    for item in items:
        if item.get_closest_marker("thorough"):
            item.add_marker(skip)


@pytest.fixture
def fashion_mnist():
    """The real Fashion-MNIST."""
    need(FASHION_MNIST.is_dir(), "install Fashion-MNIST: apt install dataset-fashion-mnist")
    return "fashion-mnist"


@pytest.fixture(scope="session")
def mnist_folder():
    """A folder that holds the real MNIST."""
    folder = Path(os.environ.get("LENET_DATA_DIR", "/nonexistent"))
    need((folder / "mnist").is_dir(), "set LENET_DATA_DIR to a folder that holds mnist/")
    return folder


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """A finished run of three epochs on the bundled digits, with validation images."""
    out = tmp_path_factory.mktemp("runs") / "digits"
    return train_run(
        data="digits", out=out, epochs=3, batch_size=32, learning_rate=0.3, validation=200
    )


@pytest.fixture(scope="session")
def digits_model(digits_run):
    """The same as a model at hand."""
    import lenet

    return lenet.load(digits_run.path)


@pytest.fixture(scope="session")
def service(digits_run):
    """`lenet serve` with that run, for tests that leave it as it is."""
    for name in ("uvicorn", "httptools", "orjson", "prometheus_client", "python_multipart"):
        need_module(name, "pip install 'lenet[serve]'")
    need_native()
    from serving import serving

    with serving(digits_run.path) as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    """A real headless Chromium; while it is open, an event loop runs in this thread."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    need(chromium is not None, "install a browser: apt install chromium")
    need_module("playwright", "pip install 'lenet[development]'")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


def train_run(*arguments, **options):
    """`lenet.train`, for tests that ask about the run's folder."""
    import lenet

    return lenet.train(*arguments, **options).run


def resume_run(*arguments, **options):
    """`lenet.resume`, likewise."""
    import lenet

    return lenet.resume(*arguments, **options).run


@pytest.fixture
def cluster(monkeypatch):
    """A local Ray cluster with two nodes; what it reads and prints is in `ray_cluster.py`."""
    need_module("ray", "pip install 'lenet[ray]'")
    # Ray takes the machine's own address for 127.0.0.1, unless it is told that there is no other.
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    program = Path(__file__).with_name("ray_cluster.py")
    with subprocess.Popen(
        [sys.executable, program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        yield process
        process.stdin.close()


STARTED = []
"""Processes of the command line."""


@pytest.fixture(autouse=True)
def nothing_started_is_left():
    """A test that fails halfway ends what it started, so that no other test fails of it."""
    before = len(STARTED)  # of a module or of the session
    yield
    while len(STARTED) > before:
        with STARTED.pop() as process:
            process.kill()


def start_lenet(*words, **options):
    """A real process of the command line, its output kept."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    process = subprocess.Popen([sys.executable, "-m", "lenet", *map(str, words)], **options)
    STARTED.append(process)
    return process


def run_lenet(*words, cwd=None, **options):
    """Run the command line to its end; (exit code, stdout, stderr).

    With an environment or streams of its own it is started from nothing, as `start_lenet` does.
    """
    if not options:
        return run_forked(words, cwd)
    process = start_lenet(*words, cwd=cwd, **options)
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def is_alive(pid):
    """Whether a process is there, and has not ended without being waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def workers(pid, module="lenet.system.worker"):
    """Processes below `pid` in which tasks are done, or what else `module` does."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in brackets, may hold spaces; the parent is the second field after it.
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            words = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == pid and module.encode() in words:
            found.append(int(status.parent.name))
    return found
