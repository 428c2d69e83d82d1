"""`python -m bench.page RUN`: the page beside TensorFlow.js, the same network in one browser.

It needs Chromium, Playwright and npm.  TensorFlow.js runs on its WebAssembly backend, which has
vectors as the page has, and on its plain one; a headless browser has no graphics processor.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import lenet
from bench.timing import alternate
from lenet import data
from lenet.show.page import write_page

PACKAGES = ("@tensorflow/tfjs@4.22.0", "@tensorflow/tfjs-backend-wasm@4.22.0")
BACKENDS = ("wasm", "cpu")
IMAGES = {"page": 10_000, "wasm": 10_000, "cpu": 512}
TRAINED = {"page": 28_740, "wasm": 2_560, "cpu": 512}
BATCH = 256

TENSORFLOW = """
<!doctype html><meta charset="utf-8">
<script src="node_modules/@tensorflow/tfjs/dist/tf.min.js"></script>
<script src="node_modules/@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js"></script>
<script>
const slope = 0.01;
function network() {
  const leaky = () => tf.layers.leakyReLU({ alpha: slope });
  const model = tf.sequential({ layers: [
    tf.layers.conv2d({ inputShape: [28, 28, 1], filters: 6, kernelSize: 5, padding: "same" }),
    leaky(),
    tf.layers.averagePooling2d({ poolSize: 2 }),
    tf.layers.conv2d({ filters: 16, kernelSize: 5 }), leaky(),
    tf.layers.averagePooling2d({ poolSize: 2 }), tf.layers.flatten(),
    tf.layers.dense({ units: 120 }), leaky(), tf.layers.dense({ units: 84, activation: "sigmoid" }),
    tf.layers.dense({ units: 10 }),
  ] });
  const loss = (labels, logits) => tf.losses.softmaxCrossEntropy(labels, logits);
  model.compile({ optimizer: tf.train.sgd(0.1), loss });
  return model;
}
async function open(backend) {
  tf.wasm.setWasmPaths("node_modules/@tensorflow/tfjs-backend-wasm/dist/");
  await tf.setBackend(backend);
  await tf.ready();
  window.model = network();
  return tf.getBackend();
}
function pixels(bytes, count) {
  const values = Float32Array.from(bytes.subarray(0, count * 784), (value) => value / 255);
  return tf.tensor4d(values, [count, 28, 28, 1]);
}
async function answers(bytes, count, batch) {
  const images = pixels(bytes, count);
  const started = performance.now();
  for (let start = 0; start < count; start += batch) {
    const part = images.slice([start, 0, 0, 0], [Math.min(batch, count - start), 28, 28, 1]);
    const found = model.predict(part);
    await found.data();
    tf.dispose([part, found]);
  }
  const seconds = (performance.now() - started) / 1000;
  images.dispose();
  return count / seconds;
}
async function training(bytes, labels, count, batch) {
  const images = pixels(bytes, count);
  const wanted = tf.oneHot(tf.tensor1d(labels.slice(0, count), "int32"), 10).toFloat();
  const started = performance.now();
  const options = { epochs: 1, batchSize: batch, shuffle: false, yieldEvery: "never" };
  await model.fit(images, wanted, options);
  const seconds = (performance.now() - started) / 1000;
  tf.dispose([images, wanted]);
  return count / seconds;
}
</script>
"""

TAKE = """([text, labels]) => {
  window.given = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  window.labels = labels;
}"""
PAGE_ANSWERS = """([count, batch]) => {
  const started = performance.now();
  for (let start = 0; start < count; start += batch)
    lenet.logits(0, given.subarray(start * 784, Math.min(count, start + batch) * 784));
  return count / ((performance.now() - started) / 1000);
}"""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """`folder` over HTTP on this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *words: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def page_training(tab: Any) -> float:
    """Images a second of a training on the digits of the page, as its worker counts them."""
    from playwright.sync_api import expect

    tab.fill("[name=epochs]", str(TRAINED["page"] // 1437))
    tab.fill("[name=batch_size]", str(BATCH))
    tab.click("#train")
    expect(tab.locator("#training-state")).to_contain_text("Done", timeout=600_000)
    return float(tab.evaluate("lenet.page.trainer.rate"))


def measure(run: str, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Section -> subject -> images a second."""
    from playwright.sync_api import sync_playwright

    digits = data.load("digits").train
    times = -(-max(IMAGES.values()) // len(digits))
    images = np.concatenate([digits.images] * times)[: max(IMAGES.values())]
    given = [
        base64.b64encode(images.tobytes()).decode(),
        np.concatenate([digits.labels] * times)[: len(images)].tolist(),
    ]
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES],
            cwd=folder, check=True, capture_output=True, env={**os.environ, "CI": "1"},
        )  # fmt: skip
        (folder / "tf.html").write_text(TENSORFLOW)
        write_page([run], folder / "page.html")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with serving(folder) as address:
            page = browser.new_page()
            page.goto(f"{address}/page.html")
            page.wait_for_selector("#main:not([hidden])")
            page.evaluate(TAKE, given)
            answering = {"the page": lambda: page.evaluate(PAGE_ANSWERS, [IMAGES["page"], BATCH])}
            alone = {"the page": lambda: page.evaluate(PAGE_ANSWERS, [1000, 1])}
            training = {"the page": partial(page_training, page)}
            for backend in BACKENDS:
                tab = browser.new_page()
                tab.goto(f"{address}/tf.html")
                tab.evaluate(TAKE, given)
                assert tab.evaluate("(name) => open(name)", backend) == backend
                name = f"TensorFlow.js, {backend}"
                ask = "([count, batch]) => answers(given, count, batch)"
                answering[name] = partial(tab.evaluate, ask, [IMAGES[backend], BATCH])
                alone[name] = partial(tab.evaluate, ask, [100, 1])
                learn = "([count, batch]) => training(given, labels, count, batch)"
                learning = partial(tab.evaluate, learn, [TRAINED[backend], BATCH])
                reason = refusal(learning)
                if reason:
                    print(f"{name} cannot train: {reason}", file=sys.stderr)
                else:
                    training[name] = learning
            sections = {
                f"answers, {BATCH} at once": answering,
                "answers, one by one": alone,
                f"training, batch {BATCH}": training,
            }
            say = partial(print, file=sys.stderr)
            return {
                title: {
                    name: found.as_row() for name, found in alternate(parts, rounds, say).items()
                }
                for title, parts in sections.items()
            }


def refusal(work: Any) -> str:
    """Why it cannot be done; empty where it can."""
    from playwright.sync_api import Error

    try:
        work()
    except Error as error:
        return str(error).splitlines()[0]
    return ""


def main() -> None:
    """Print a table, and write the figures where `--json` says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    words = parser.parse_args()
    if (name := lenet.load(words.run).spec.name) != "lenet5":
        parser.error(f"{words.run} is a {name}: TensorFlow.js is given the note's network, lenet5")
    sections = measure(words.run, words.rounds)
    for title, rows in sections.items():
        print(f"\n{title}: images a second")
        for name, row in rows.items():
            print(f"  {name:24} {row['median']:10,.0f}  ({row['low']:,.0f} to {row['high']:,.0f})")
    if words.json:
        words.json.write_text(json.dumps(sections, indent=1))


if __name__ == "__main__":
    main()
