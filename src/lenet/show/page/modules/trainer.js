// The panel that trains: what is asked of the worker, and what it says.

import { drawChart } from "./chart.js";
import { byId, element } from "./element.js";
import { choicesOf } from "./network.js";
import { percent, say, whole } from "./words.js";

const HEADS = ["sigmoid", "relu", "leaky_relu", "tanh", "identity"];
const NUMBERS = [
  ["learning_rate", "learning-rate", { min: 0.0001, max: 10, step: "any" }],
  ["epochs", "epochs", { min: 1, max: 100, step: 1 }],
  ["batch_size", "batch-size", { min: 1, max: 4096, step: 1 }],
  ["seed", "seed", { min: 0, max: 2 ** 31, step: 1 }],
];

// `changed` hears of a network that trains: ({spec, classNames, convention}, parameters).
export class Trainer {
  constructor(facts, bytes, changed) {
    Object.assign(this, { facts, changed });
    this.rows = [];
    this.files = null;
    this.state = () => say("training-ready");
    this.recipe = { ...facts.training.recipes.digits };
    this.choices = choicesOf(facts.networks[0].spec);
    this.data = "digits";
    this.begun = null;
    this.#startWorker(bytes);
    this.#listen();
  }

  // The worker runs the program of this page once more: there it finds no document.
  #startWorker({ kernels, digits }) {
    const program = new Blob([byId("program").textContent], { type: "text/javascript" });
    this.worker = new Worker(URL.createObjectURL(program));
    this.worker.onerror = (event) => this.on_failed({ word: "fault", values: { reason: event.message } });
    this.worker.onmessage = ({ data }) => this[`on_${data.kind}`](data);
    this.worker.postMessage({ kind: "open", kernels, digits, facts: this.facts.training });
  }

  #listen() {
    byId("train").addEventListener("click", () => this.train());
    byId("pause").addEventListener("click", () => this.#pause(!this.paused));
    byId("stop").addEventListener("click", () => this.stop());
    byId("save").addEventListener("click", () => this.worker.postMessage({ kind: "save" }));
    byId("data-files").addEventListener("change", (event) => {
      this.readFiles([...event.target.files]);
      event.target.value = ""; // so that the same files can be chosen again
    });
    byId("training").addEventListener("dragover", (event) => event.preventDefault());
    byId("training").addEventListener("drop", (event) => {
      event.preventDefault();
      this.readFiles([...event.dataTransfer.files]);
    });
  }

  async readFiles(files) {
    const read = await Promise.all(
      files.map(async (file) => ({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) })),
    );
    this.worker.postMessage({ kind: "files", files: read });
  }

  // ---- the form ---------------------------------------------------------------------------------

  draw() {
    const field = (word, control) => element("label", { className: "field-of-recipe" }, element("span", {}, say(word)), control);
    const rows = NUMBERS.map(([name, word, range]) => {
      const input = element("input", { type: "number", value: this.recipe[name], name, required: true, ...range });
      input.addEventListener("input", () => {
        if (input.validity.valid) this.recipe[name] = input.valueAsNumber;
        this.#drawState();
      });
      return field(word, input);
    });
    const select = (name, word, options) => {
      const made = options.map((option) => element("option", { value: option }, say(option)));
      const control = element("select", { name }, ...made);
      control.value = this.choices[name];
      control.addEventListener("change", () => (this.choices[name] = control.value));
      return field(word, control);
    };
    rows.splice(
      1, 0, select("head", "head", HEADS), select("activation", "activation", [...HEADS, "silu", "scaled_tanh"]),
      select("pooling", "pooling", ["average", "max"]),
    );
    rows.push(field("data", this.#dataChoice()));
    byId("recipe").replaceChildren(...rows);
    byId("recipe").onsubmit = (event) => {
      event.preventDefault();
      this.train();
    };
    this.#drawState();
  }

  #dataChoice() {
    const count = whole(this.facts.training.digits_count);
    const options = [element("option", { value: "digits" }, say("digits-inside", { count }))];
    if (this.files) {
      const { name, train } = this.files;
      options.push(element("option", { value: "files" }, say("files-inside", { name, count: whole(train) })));
    }
    const control = element("select", { name: "data" }, ...options);
    control.value = this.data;
    control.addEventListener("change", () => this.#takeData(control.value));
    return control;
  }

  // Other data comes with the recipe that is usual for it.
  #takeData(name) {
    this.data = name;
    this.recipe = { ...this.facts.training.recipes[name] };
    this.draw();
  }

  #drawState() {
    const busy = this.begun !== null && !this.ended;
    byId("train").textContent = say(this.begun ? "train-again" : "train");
    byId("train").disabled = !byId("recipe").checkValidity();
    byId("pause").textContent = say(this.paused ? "go-on" : "pause");
    byId("pause").disabled = byId("stop").disabled = !busy;
    byId("save").disabled = this.begun === null;
    byId("training-state").textContent = this.state();
    byId("watched").hidden = byId("training-progress").hidden = this.begun === null;
    drawChart(byId("curves"), this.rows, this.begun?.recipe.epochs ?? this.recipe.epochs);
  }

  // ---- what is asked ----------------------------------------------------------------------------

  train() {
    if (!byId("recipe").reportValidity()) return;
    const { spec } = this.facts.networks[0];
    Object.assign(this, { rows: [], ended: false, paused: false, latest: null, beginning: true });
    const message = { spec, recipe: { ...this.recipe }, choices: { ...this.choices }, data: this.data };
    this.worker.postMessage({ kind: "train", ...message });
    this.state = () => say("training-begins");
    this.#drawState();
  }

  #pause(paused) {
    this.paused = paused;
    this.worker.postMessage({ kind: "pause", paused });
    this.#drawState();
  }

  stop() {
    this.worker.postMessage({ kind: "stop" });
    this.#end(() => say("training-stopped"));
  }

  #end(state) {
    this.ended = true;
    this.state = state;
    this.#drawState();
  }

  // ---- what the worker says ---------------------------------------------------------------------

  on_begun({ spec, recipe, classNames, convention, steps, data }) {
    this.begun = { spec, recipe, class_names: classNames, convention, steps, data };
    this.ended = this.beginning = false;
    this.#drawState();
  }

  // Drawn when the screen is: the worker is told, and sends no other weights before.
  on_progress(message) {
    if (this.beginning) return; // of the training before
    if (message.row !== null) this.rows.push(message.row);
    this.latest = { ...message, parameters: message.parameters ?? this.latest?.parameters };
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = null;
      if (this.latest) this.#progress(this.latest);
      this.worker.postMessage({ kind: "seen" });
    });
  }

  #progress({ parameters, epoch, step, rate }) {
    const { recipe, steps } = this.begun;
    // Between two epochs the one that is done.
    const values = { epoch: step ? epoch : Math.max(1, epoch - 1), epochs: recipe.epochs, step: step || (epoch > 1 ? steps : 0), steps };
    if (!this.ended) this.state = () => say("training-at", { ...values, rate: Number.isFinite(rate) ? whole(rate) : "–" });
    byId("training-progress").value = (epoch - 1 + step / steps) / recipe.epochs;
    this.changed(this.begun, parameters);
    this.#drawState();
  }

  on_done({ rate }) {
    if (this.beginning) return;
    this.rate = rate;
    const accuracy = percent(this.rows.at(-1).test_accuracy);
    this.#end(() => say("training-done", { accuracy, rate: whole(rate) }));
  }

  on_files(found) {
    this.files = found;
    const { name, train, test } = found;
    this.state = () => say("files-read", { name, train: whole(train), test: whole(test) });
    this.#takeData("files");
  }

  on_saved({ bytes }) {
    const { spec, data, recipe } = this.begun;
    const link = element("a", {
      href: URL.createObjectURL(new Blob([bytes])),
      download: `${spec.name}-${data}-seed${recipe.seed}.safetensors`,
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  on_failed({ word, values }) {
    this.#end(() => say(word, values));
  }
}
