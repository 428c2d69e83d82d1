// What the worker does: it trains, so that the page never waits.

import { checkpointBytes } from "./checkpoint.js";
import { DataError, readDigits, readFiles } from "./data.js";
import { openKernels } from "./kernels.js";
import { changedSpec, networkOf } from "./network.js";
import { DivergedError, Training } from "./training.js";

const PAUSE_MILLISECONDS = 30; // between two looks for what the page says
const SHOWN_MILLISECONDS = 120; // between two looks of the page at the weights

const rest = () => new Promise((resolve) => setTimeout(resolve, 0));

class Work {
  constructor(kernels, facts, digits) {
    Object.assign(this, { kernels, facts, digits });
    this.data = { digits: null, files: null };
    this.training = null;
    this.paused = false;
    this.unseen = false; // weights are on their way to the screen
    this.number = 0;
  }

  // Files of MNIST's kind take the place of those before.
  async files({ files }) {
    const { sources } = this.facts;
    this.data.files = await readFiles(files, sources, (bytes) => this.kernels.sha256(bytes));
    const { source, maps, train, test } = this.data.files;
    const counts = { train: train.labels.length, test: test.labels.length };
    postMessage({ kind: "files", name: source.name, classNames: source.class_names, maps, ...counts });
  }

  #dataOf(name) {
    if (name === "digits") this.data.digits ??= readDigits(this.digits, this.facts.digits);
    return this.data[name];
  }

  async train({ spec, recipe, choices, data: name }) {
    this.stop();
    this.training?.close();
    this.training = null;
    this.unseen = false;
    const data = this.#dataOf(name);
    const shape = { ...data.maps, classes: data.source.class_names.length };
    const network = networkOf(changedSpec(spec, shape, choices));
    this.training = new Training(this.kernels, network, recipe, data);
    const { steps } = this.training;
    const { class_names: classNames, convention } = data.source;
    postMessage({ kind: "begun", spec: network.spec, recipe, classNames, convention, steps, data: data.source.name });
    this.paused = false;
    await this.#run(this.training, this.number);
  }

  async #run(training, number) {
    let [looked, shown] = [performance.now(), 0];
    this.#show(training, null);
    for (const row of training.rows()) {
      const now = performance.now();
      if (row !== null || (!this.unseen && now - shown > SHOWN_MILLISECONDS)) {
        this.#show(training, row);
        shown = now;
      }
      if (now - looked > PAUSE_MILLISECONDS) {
        do await rest();
        while (this.paused && this.number === number);
        if (this.number !== number) return;
        looked = performance.now();
      }
    }
    this.unseen = false;
    this.#show(training, null); // the last weights, whatever is on its way
    postMessage({ kind: "done", rate: training.imagesPerSecond });
  }

  #show(training, row) {
    const { epoch, step } = training.position;
    const message = { kind: "progress", parameters: null, row, epoch, step, rate: training.imagesPerSecond };
    if (this.unseen) return postMessage(message);
    const { parameters } = training.state();
    this.unseen = true;
    return postMessage({ ...message, parameters }, [parameters.buffer]);
  }

  seen() {
    this.unseen = false;
  }

  pause({ paused }) {
    this.paused = paused;
  }

  // What was trained so far stays, to be saved.
  stop() {
    this.number += 1;
  }

  save() {
    const { kernels, training } = this;
    const { network } = training;
    const bytes = checkpointBytes(kernels, network, training, training.state(), this.facts.floats);
    postMessage({ kind: "saved", bytes }, [bytes.buffer]);
  }
}

function explain(error) {
  if (error instanceof DataError) return { word: error.word, values: error.values };
  if (error instanceof DivergedError)
    return { word: "diverged", values: { loss: String(error.loss), step: error.step, epoch: error.epoch } };
  return { word: "fault", values: { reason: error.message } };
}

export function startWorker() {
  let work = null;
  self.onmessage = async ({ data: message }) => {
    try {
      if (message.kind === "open")
        work = new Work(await openKernels(message.kernels), message.facts, message.digits);
      else await work[message.kind](message);
    } catch (error) {
      postMessage({ kind: "failed", ...explain(error) });
    }
  };
}
