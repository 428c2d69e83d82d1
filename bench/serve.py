"""`python -m bench.serve`: `lenet serve` beside what tutorials show and LitServe, under load.

Every subject answers with the same network (the note's, with the initial weights of seed 0), in a
server of its own on loopback, loaded by wrk from the other end of the same machine.  Where the
machine has several cores, `lenet serve` is also measured with a process for each.  Processor time
is that of all processes of a server.  Any answer that is no 200 ends the measurement.  `--soak
SECONDS` then loads `lenet serve` with hey at 80 % of the rate just found.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np

from bench import networks
from bench.inference import BATCH
from bench.timing import alternate, rate
from lenet import data
from lenet.runs.checkpoint import Checkpoint, DataSource, Position
from lenet.runs.run import Run
from lenet.system import machine

SECONDS = 5
CLIENTS = 16
"""Connections at once for single pictures, enough to keep one process busy."""

CLIENTS_OF_BATCHES = 4
TICKS = 100
"""Of processor time in a second, as Linux counts it in /proc."""

LUA = """
local file = io.open("{path}", "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()
{headers}
done = function(summary, latency, requests)
  io.write(string.format("RESULT %d %d %d %d %f %f\\n", summary.requests, summary.duration,
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write
    + summary.errors.timeout, latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """A request that is sent again and again: images in it, its path, headers and body."""

    images: int
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """Of one measurement: requests a second, milliseconds, and processor time of the server."""

    rate: float
    p50: float
    p99: float
    processor: float
    """Microseconds a request."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.serve", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of each measurement")
    parser.add_argument("--soak", type=int, default=0, metavar="SECONDS")
    parser.add_argument("--only", nargs="*", help="words of the subjects to measure")
    parser.add_argument(
        "--mlserver", type=Path, metavar="PYTHON",
        help="with mlserver and onnxruntime, whose versions do not go with those of the others",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("build/bench/serve.json"))
    flags = parser.parse_args()
    need("wrk")
    with TemporaryDirectory(prefix="lenet-bench-") as folder:
        results = measure(
            Path(folder), flags.rounds, flags.seconds, flags.only or [], flags.mlserver
        )
        if flags.soak:
            results["soak"] = soak(Path(folder), flags.soak, results)
    flags.out.parent.mkdir(parents=True, exist_ok=True)
    flags.out.write_text(json.dumps(results, indent=2) + "\n")
    say(f"wrote {flags.out}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def need(program: str) -> None:
    if shutil.which(program) is None:
        raise SystemExit(f"bench.serve needs {program}: apt install {program}")


def measure(
    folder: Path, rounds: int, seconds: int, words: Sequence[str], mlserver: Path | None
) -> dict[str, Any]:
    """All subjects, alternating; the tables are printed as they come."""
    run, model = write_run(folder), write_onnx(folder)
    single = subjects(folder, run, model, 1, mlserver)
    many = subjects(folder, run, model, BATCH)
    results: dict[str, Any] = {"machine": machine.describe(), "versions": machine.versions()}
    for images, chosen in ((1, single), (BATCH, many)):
        kept = {
            name: one for name, one in chosen.items() if not words or any(w in name for w in words)
        }
        results[f"{images} images"] = compare(folder, kept, rounds, seconds)
    engine = networks.native(machine.cores())
    batch = networks.images_and_labels()[0][:BATCH]

    def work() -> int:
        engine.logits(engine.place(batch))
        return BATCH

    results["engine, images/s"] = rate(work, 2.0)
    print(f"the engine's own, {BATCH} at once: {results['engine, images/s']:,.0f} images/s")
    return results


Subject = tuple[Callable[[], Any], Load]
"""What opens the server, and what is sent to it."""


def compare(
    folder: Path, chosen: dict[str, Subject], rounds: int, seconds: int
) -> dict[str, dict[str, float]]:
    found: dict[str, list[Found]] = {name: [] for name in chosen}

    def subject(name: str) -> Callable[[], float]:
        opened, load = chosen[name]

        def measured() -> float:
            with opened() as (process, port):
                attack(folder, process, port, load, 1)  # warm
                found[name].append(attack(folder, process, port, load, seconds))
            return found[name][-1].rate

        return measured

    alternate({name: subject(name) for name in chosen}, rounds, say, warm_up=False)
    rows = {}
    head = f"{'':44s}{'requests/s':>12s}{'p50 ms':>9s}{'p99 ms':>9s}{'CPU us':>9s}"
    print(f"\n{head}{'images/s':>12s}")
    for name, each in found.items():
        row = {
            field: float(np.median([getattr(one, field) for one in each]))
            for field in ("rate", "p50", "p99", "processor")
        }
        row["images"] = row["rate"] * chosen[name][1].images
        row["lowest"], row["highest"] = min(o.rate for o in each), max(o.rate for o in each)
        rows[name] = row
        print(
            f"{name:44s}{row['rate']:12,.0f}{row['p50']:9.2f}{row['p99']:9.2f}"
            f"{row['processor']:9.0f}{row['images']:12,.0f}",
            flush=True,
        )
    return rows


def subjects(
    folder: Path, run: Path, model: Path, images: int, mlserver: Path | None = None
) -> dict[str, Subject]:
    """Name -> server and request, for so many images in a request."""
    pixels = networks.images_and_labels()[0][:images]
    infer, raw = "/v2/models/network/infer", pixels.tobytes()
    binary = {"content-type": "application/octet-stream"}
    text = {"content-type": "application/json"}

    def ours() -> Any:
        return serving(["-m", "lenet", "serve", f"network={run}", "--port", "PORT"])

    def several() -> Any:
        return serving_several(run, machine.cores())

    def tutorial() -> Any:
        words = ["-m", "uvicorn", "--log-level", "error", "--no-access-log", "--port", "PORT"]
        return serving([*words, "bench.serve_tutorial:app"], {"MODEL": str(model)})

    head, tensors = tensors_of(pixels)
    binary_head = {**binary, "inference-header-content-length": str(head)}
    tutorial_raw = Load(images, "/raw", binary, raw)
    loads = {"binary tensors": Load(images, infer, binary_head, tensors)}
    if images == 1:
        plain = json.dumps({"inputs": [{**describe(pixels), "data": pixels.ravel().tolist()}]})
        simple = json.dumps({"pixels": pixels.ravel().tolist()}).encode()
        raw_head = {**binary, "inference-header-content-length": "0"}
        loads["raw pixels"] = Load(1, infer, raw_head, raw)
        loads["JSON"] = Load(1, infer, text, plain.encode())
    chosen: dict[str, Subject] = {
        **{f"lenet serve, {name}": (ours, load) for name, load in loads.items()},
        "FastAPI + ONNX Runtime, raw pixels": (tutorial, tutorial_raw),
    }
    if machine.cores() > 1:
        words = f"lenet serve, {machine.cores()} processes"
        chosen |= {f"{words}, {name}": (several, load) for name, load in loads.items()}
    if images == 1:
        chosen |= {
            "lenet serve, a PNG file": (
                ours, Load(1, "/v2/models/network/predict", {"content-type": "image/png"},
                           png(pixels[0, 0])),
            ),
            "FastAPI + ONNX Runtime, JSON": (tutorial, Load(1, "/json", text, simple)),
        }  # fmt: skip
        if find_spec("litserve") is not None:
            chosen["LitServe + ONNX Runtime, JSON"] = (
                lambda: serving(["-m", "bench.serve_litserve", "PORT"], {"MODEL": str(model)}),
                Load(1, "/predict", text, simple),
            )
        else:
            say("LitServe is left out: pip install litserve")
        if mlserver is not None:
            command = [str(mlserver), "-m", "bench.serve_mlserver", "PORT", str(folder), str(model)]
            chosen["MLServer + ONNX Runtime, JSON"] = (
                lambda: serving(command, python=()),
                Load(1, infer, text, plain.encode()),
            )
        else:
            say("MLServer is left out; name a Python that has it with --mlserver")
    return chosen


def describe(pixels: np.ndarray) -> dict[str, Any]:
    return {"name": "images", "shape": list(pixels.shape), "datatype": "UINT8"}


def tensors_of(pixels: np.ndarray) -> tuple[int, bytes]:
    """A request of the protocol whose pixels and probabilities are in bytes."""
    described = {**describe(pixels), "parameters": {"binary_data_size": pixels.nbytes}}
    outputs = [{"name": "probabilities", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": [described], "outputs": outputs}).encode()
    return len(head), head + pixels.tobytes()


def png(image: np.ndarray) -> bytes:
    import io

    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def write_run(folder: Path) -> Path:
    """A run that holds the note's network as it is before its first step."""
    source = DataSource.of(data.load("fashion-mnist"))
    engine = networks.native(1)
    checkpoint = Checkpoint(networks.SPEC, networks.RECIPE, source, engine.state(), Position())
    place = folder / "network"
    (place / "checkpoints").mkdir(parents=True)
    (place / "receipt.json").write_text("{}")
    (place / "history.jsonl").write_text("")
    Run(place).write_checkpoint(checkpoint)
    return place


def write_onnx(folder: Path) -> Path:
    path = folder / "network.onnx"
    path.write_bytes(networks.onnx_model())
    return path


@contextmanager
def serving(
    words: Sequence[str],
    environment: dict[str, str] | None = None,
    python: Sequence[str] = (sys.executable,),
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server in a process of its own, once it listens; PORT in `words` is a free one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*python, *(word.replace("PORT", str(port)) for word in words)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
        start_new_session=True,  # LitServe and MLServer leave processes behind
    )
    try:
        wait_for(port, process)
        yield process, port
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def serving_several(run: Path, processes: int) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`lenet serve` once all of its processes listen: one alone would get all connections."""
    words = ["-m", "lenet", "serve", f"network={run}", "--port", "PORT"]
    with serving([*words, "--processes", str(processes)]) as (process, port):
        end = time.monotonic() + 90
        while f"lenet_processes {processes}.0\n" not in metrics(port):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{process.args}: not all {processes} processes listen")
            time.sleep(0.1)
        yield process, port


def metrics(port: int) -> str:
    return httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 90
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{process.args} does not listen") from None
            time.sleep(0.1)


def attack(
    folder: Path, process: subprocess.Popen[bytes], port: int, load: Load, seconds: int
) -> Found:
    """Send `load` with wrk for so long."""
    address = f"http://127.0.0.1:{port}{load.path}"
    first = httpx.post(address, content=load.body, headers=load.headers, trust_env=False)
    first.raise_for_status()
    (folder / "body").write_bytes(load.body)
    headers = "\n".join(
        f'wrk.headers["{name}"] = "{value}"' for name, value in load.headers.items()
    )
    script = folder / "load.lua"
    script.write_text(LUA.format(path=folder / "body", headers=headers))
    clients = CLIENTS if load.images == 1 else CLIENTS_OF_BATCHES
    before = processor_seconds(process.pid)
    done = subprocess.run(
        ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "20s", "-s", script, address],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    spent = processor_seconds(process.pid) - before
    result = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\S+) (\S+)", done.stdout)
    if result is None:
        raise RuntimeError(f"wrk said nothing of use: {done.stdout}{done.stderr}")
    requests, microseconds, statuses, errors = map(int, result.groups()[:4])
    if statuses or errors:
        raise RuntimeError(f"{address}: {statuses} answers are no 2xx, {errors} errors")
    return Found(
        1e6 * requests / microseconds,
        float(result[5]) / 1e3,
        float(result[6]) / 1e3,
        1e6 * spent / requests,
    )


def processor_seconds(pid: int) -> float:
    """Of a process and all below it, so far."""
    total = 0.0
    for one in [pid, *_below(pid)]:
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def _below(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [each for child in map(int, children) for each in (child, *_below(child))]


def resident(pid: int) -> float:
    """MiB that a process holds."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def soak(folder: Path, seconds: int, results: dict[str, Any]) -> dict[str, float]:
    """`lenet serve` at 80 % of what it can, raw pixels: errors, p99, memory before and after."""
    need("hey")
    name = "lenet serve, raw pixels"
    opened, load = subjects(folder, folder / "network", folder / "network.onnx", 1)[name]
    wanted = 0.8 * results["1 images"][name]["rate"]
    with opened() as (process, port):
        attack(folder, process, port, load, 2)
        before = resident(process.pid)
        body = folder / "body"
        headers = [word for each in load.headers.items() for word in ("-H", ": ".join(each))]
        done = subprocess.run(
            ["hey", "-z", f"{seconds}s", "-c", str(CLIENTS), "-q", f"{wanted / CLIENTS:.0f}",
             "-m", "POST", "-D", body, *headers, f"http://127.0.0.1:{port}{load.path}"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        after = resident(process.pid)
    statuses = dict(re.findall(r"\[(\d+)\]\s+(\d+) responses", done.stdout))
    if set(statuses) != {"200"} or "Error distribution" in done.stdout:
        raise RuntimeError(f"not every answer is 200: {done.stdout}")
    p99 = re.search(r"99%+ in (\S+) secs", done.stdout)
    reached = re.search(r"Requests/sec:\s+(\S+)", done.stdout)
    found = {
        "requests": float(statuses["200"]),
        "wanted, requests/s": wanted,
        "requests/s": float(reached[1]) if reached else float("nan"),
        "p99 ms": 1e3 * float(p99[1]) if p99 else float("nan"),
        "MiB before": before,
        "MiB after": after,
    }
    print("\n" + ", ".join(f"{name} {value:,.1f}" for name, value in found.items()))
    return found


if __name__ == "__main__":
    main()
