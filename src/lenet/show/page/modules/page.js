// The page: what is on show, what it is shown of, and when it is drawn.

import { drawAnswers, speakAnswer } from "./answers.js";
import { drawLegend, Scale } from "./colours.js";
import { byId, element } from "./element.js";
import { Examples } from "./examples.js";
import { readFragment, writeFragment } from "./fragment.js";
import { Inspector, unitName } from "./inspector.js";
import { hasWebAssembly, openKernels } from "./kernels.js";
import { FiltersView } from "./maps.js";
import { liveliest, marksOn } from "./marks.js";
import { drawOcclusion } from "./occlusion.js";
import { joinPlanes, unpack } from "./packs.js";
import { Pad } from "./pad.js";
import { decode, PictureError } from "./picture.js";
import { rowOf } from "./rows.js";
import { drawStages } from "./stages.js";
import { Subject } from "./subject.js";
import { Trainer } from "./trainer.js";
import { number, percent, say, speak, spokenLanguage, whole } from "./words.js";

const REST_MILLISECONDS = 180; // of the hand, before what is slow or spoken

class Page {
  constructor(facts) {
    this.facts = facts;
    this.scale = new Scale();
    this.trained = null;
    this.shown = [0]; // which of the networks: one, or two side by side
    this.pointed = null; // {subject, layer, unit}
    this.kept = null;
    this.keptMap = null; // {subject, layer, channel}
    this.input = { kind: "strokes" };
    this.views = [];
    this.waiting = this.pointing = this.resting = null; // what is still to be drawn, and when
  }

  async open() {
    const names = this.facts.networks.map((_, k) => `network-${k}`);
    const [kernels, digits, examples, ...weights] = await Promise.all(
      ["kernels", "digits", "examples", ...names].map((name) => unpack(name)),
    );
    this.kernels = await openKernels(kernels);
    this.networks = this.facts.networks.map((each, k) => new Subject(this.kernels, each, joinPlanes(weights[k])));
    const { pixels } = this.networks[0].network;
    this.examples = new Examples(examples, this.facts.examples, pixels);
    byId("brush").max = Math.max(5, Math.round(pixels.columns / 5));
    this.pad = new Pad({ side: Math.max(pixels.rows, pixels.columns), changed: (looked = true) => this.#drawn(looked) });
    this.inspector = new Inspector(this.scale);
    this.inspector.again = () => this.#drawUnit();
    const trained = (begun, parameters) => this.#train(begun, parameters);
    this.trainer = new Trainer(this.facts, { kernels, digits }, trained);
    const found = this.examples.count ? this.networks.map((each) => this.examples.most(each)) : [1];
    this.scale.cover(Math.max(...found));
    this.#readFragment();
    this.#listen();
    byId("main").hidden = false;
    this.#speak();
    this.#look();
  }

  // Nothing is still to be drawn.
  get isAtRest() {
    return (this.waiting ?? this.pointing ?? this.resting) === null;
  }

  // ---- what is on show --------------------------------------------------------------------------

  get subjects() {
    const all = this.trained ? [...this.networks, this.trained] : this.networks;
    return this.shown.filter((k) => k < all.length).map((k) => all[k]);
  }

  nameOf(subject) {
    return subject === this.trained ? say("trained-here") : subject.facts.name;
  }

  #drawSubjects() {
    const names = [...this.networks.map((each) => each.facts.name), ...(this.trained ? [say("trained-here")] : [])];
    const choices = names.map((name, k) => [name, [k]]);
    for (let a = 0; a < names.length; a += 1)
      for (let b = a + 1; b < names.length; b += 1) {
        const words = names.length === 2 ? say("side-by-side") : `${names[a]} | ${names[b]}`;
        choices.push([words, [a, b]]);
      }
    const legend = byId("subjects").querySelector("legend");
    const buttons = choices.map(([words, shown]) => {
      const input = element("input", { type: "radio", name: "subject", checked: String(shown) === String(this.shown) });
      input.addEventListener("change", () => {
        this.shown = shown;
        this.#letGo();
        this.#rebuild();
      });
      return element("label", { className: "pill" }, input, element("span", {}, words));
    });
    byId("subjects").replaceChildren(legend, ...buttons);
    byId("subjects").hidden = choices.length < 2;
    byId("subtitle").textContent = this.subjects.map((subject) => this.#subtitleOf(subject)).join(" | ");
  }

  #subtitleOf(subject) {
    const { title, accuracy, count } = subject.facts;
    if (subject === this.trained) return say("subtitle-trained", { title });
    if (accuracy === null) return title;
    return say("subtitle", { title, accuracy: percent(accuracy), count: whole(count) });
  }

  // Weights of a network that is being trained in this page.
  #train(begun, parameters) {
    const isNew = this.trained === null || JSON.stringify(this.trained.facts.spec) !== JSON.stringify(begun.spec);
    if (!isNew) this.trained.setParameters(parameters);
    else {
      const title = `${begun.spec.name}, ${begun.data}`;
      const facts = { ...this.facts.networks[0], ...begun, title, name: say("trained-here"), accuracy: null };
      const wasShown = this.shown.includes(this.networks.length);
      this.trained?.close();
      this.trained = new Subject(this.kernels, facts, parameters);
      if (!wasShown) this.shown = [this.networks.length];
      this.trained.look(this.#given(this.trained));
      this.#letGo();
      this.#rebuild();
    }
    if (!isNew && this.subjects.includes(this.trained)) {
      this.trained.again();
      this.#draw();
    }
    this.#drawFiltersNow();
  }

  #drawFiltersNow() {
    const layer = this.trained.network.layers.findIndex((each) => each.kind === "convolution");
    if (layer < 0) return;
    if (this.filtersNow?.subject !== this.trained) {
      this.filtersNow = new FiltersView(this.trained, layer, this);
      byId("filters-now").replaceChildren(this.filtersNow.canvas);
    }
    byId("watched").hidden = false;
    this.filtersNow.draw(this.scale, byId("filters-now").clientWidth, 14);
  }

  // ---- what it is shown -------------------------------------------------------------------------

  #given(subject) {
    const { kind, index, picture } = this.input;
    const fits = subject.network.parameters && this.examples.maps.rows === subject.network.pixels.rows;
    if (kind === "example" && fits) {
      const { labels, indices } = this.facts.examples;
      const values = { index: indices[index], class: this.networks[0].className(labels[index]) };
      return { image: this.examples.image(index), notes: [{ word: "note-example", values }] };
    }
    return kind === "picture" ? picture : this.pad.picture();
  }

  #look() {
    for (const subject of this.subjects) subject.look(this.#given(subject));
    this.#draw();
  }

  // After a stroke of the pad, or a move of its cursor that is no stroke.
  #drawn(looked) {
    if (looked) {
      this.input = { kind: "strokes" };
      this.#alarm("");
    }
    this.#drawPad();
    if (looked) this.#soon();
  }

  #drawPad() {
    const { kind, index, shown } = this.input;
    byId("pad-hint").hidden = kind !== "strokes" || !this.pad.isEmpty;
    if (kind === "strokes") this.pad.under = null;
    else this.pad.under = kind === "example" ? this.examples.thumbnail(index, this.scale).canvas : shown;
    this.pad.draw(this.scale);
  }

  #soon() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = null;
      this.#look();
    });
  }

  #takeExample(index) {
    this.input = { kind: "example", index };
    this.#alarm("");
    this.#look();
  }

  async readFile(file) {
    try {
      const picture = await decode(file);
      const shown = new OffscreenCanvas(picture.columns, picture.rows);
      shown.getContext("2d").putImageData(new ImageData(picture.rgba, picture.columns, picture.rows), 0, 0);
      this.input = { kind: "picture", picture, shown };
      this.#alarm("");
      this.#look();
    } catch (error) {
      if (!(error instanceof PictureError)) throw error;
      this.#alarm(say(error.word, { pixels: whole(error.values.pixels), most: whole(error.values.most) }));
    }
  }

  #alarm(text) {
    byId("alarm").textContent = text;
    byId("alarm").hidden = text === "";
  }

  // ---- units ------------------------------------------------------------------------------------

  point(view, unit, spoken = false) {
    this.pointed = unit && { subject: view.subject, layer: view.layer, unit };
    if (spoken) this.#speakUnit(view, unit);
    if (this.pointing) return;
    this.pointing = requestAnimationFrame(() => {
      this.pointing = null;
      this.#drawUnit();
    });
  }

  keep(view, unit) {
    this.kept = { subject: view.subject, layer: view.layer, unit };
    this.pointed = null;
    if (view.layer >= 0) this.keptMap = { subject: view.subject, layer: view.layer, channel: unit.channel };
    this.#drawUnit();
    this.#drawExcites();
    this.#writeFragment();
  }

  keepMap(subject, layer, channel) {
    const { rows, columns } = subject.network.layers[layer].output;
    const unit = { channel, row: rows >> 1, column: columns >> 1 };
    this.keep({ subject, layer }, unit);
  }

  letGo() {
    this.#letGo();
    this.#rest();
    byId("spoken").textContent = "";
  }

  #letGo() {
    this.kept = this.pointed = this.keptMap = this.instance = null;
  }

  #speakUnit(view, unit) {
    const value = number(view.subject.value(view.layer, view.index(unit)));
    byId("spoken").textContent = say("unit-spoken", { unit: unitName(view.subject, view.layer, unit), value });
  }

  #drawUnit() {
    const found = this.pointed ?? this.kept ?? this.instance;
    const state = found === this.pointed ? "pointed" : found === this.kept ? "kept" : "instance";
    byId("let-go").hidden = state !== "kept";
    if (found && (state !== "instance" || this.isResting)) this.inspector.show(found.subject, found.layer, found.unit, state);
    for (const view of this.views) view.draw(this.scale, marksOn(view, found));
  }

  #liveliestMap() {
    const { subject, layer, unit } = this.instance ?? liveliest(this.subjects[0]);
    return { subject, layer, channel: unit.channel };
  }

  #drawExcites() {
    if (!this.examples.count) return;
    const map = this.keptMap ?? this.#liveliestMap();
    if (this.examples.maps.rows !== map.subject.network.pixels.rows) return;
    const names = this.networks[0].facts.class_names;
    this.examples.drawExcites(map, names, this.scale, (k) => this.#takeExample(k));
  }

  // ---- rows of layers ---------------------------------------------------------------------------

  #rebuild() {
    this.#drawSubjects();
    const { subjects } = this;
    const [{ network }] = subjects;
    const count = Math.max(...subjects.map((each) => each.network.layers.length));
    const layers = Array.from({ length: count + 1 }, (_, k) => rowOf(k - 1, subjects, this));
    this.views = layers.flatMap(({ views }) => views);
    this.filters = layers.flatMap(({ filters }) => filters);
    byId("rows").replaceChildren(...layers.map(({ row }) => row));
    byId("main").classList.toggle("two", subjects.length > 1);
    this.network = network;
    this.#fit();
    this.#look();
  }

  #fit() {
    for (const view of this.views) view.fit(view.canvas.parentElement.clientWidth);
  }

  // ---- drawing ----------------------------------------------------------------------------------

  #draw() {
    const { subjects, scale } = this;
    const [first] = subjects;
    this.#drawPad();
    drawAnswers(subjects, (subject) => this.nameOf(subject));
    drawStages(first);
    this.instance = null;
    this.#drawUnit();
    for (const filters of this.filters) filters.draw(scale, filters.canvas.parentElement.clientWidth);
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      this.#rest();
      this.resting = null;
    }, REST_MILLISECONDS);
  }

  #rest() {
    const { subjects, scale } = this;
    if (!this.spokeUnit) speakAnswer(subjects[0]);
    drawOcclusion(subjects, scale, (subject) => this.nameOf(subject));
    this.instance = liveliest(this.subjects[0]);
    this.isResting = true;
    this.#drawUnit();
    this.isResting = false;
    this.#drawExcites();
    if (this.examples.count) {
      const names = this.networks[0].facts.class_names;
      this.examples.drawChoices(names, scale, (label) => this.#takeExample(this.examples.take(label)));
    }
    this.#writeFragment();
  }

  #speak() {
    speak(this.facts.words, this.language);
    byId("language").value = spokenLanguage();
    byId("no-examples").hidden = this.examples.count > 0;
    byId("examples").hidden = this.examples.count === 0;
    byId("exciting").hidden = this.examples.count === 0;
    const count = whole(this.facts.training.digits_count);
    document.querySelector("[data-word=training-help]").textContent = say("training-help", { count });
    this.#drawBrush();
    this.#drawAbout();
    this.#paint();
    this.trainer.draw();
    this.#rebuild();
  }

  #paint() {
    document.documentElement.dataset.theme = byId("theme").value;
    this.scale.read();
    drawLegend(byId("legend"), this.scale);
  }

  #drawBrush() {
    byId("brush-value").textContent = say("brush-value", { size: byId("brush").value });
  }

  #drawAbout() {
    const rows = this.networks.flatMap(({ facts, network }) => [
      [say("network"), facts.title], [say("about-data"), facts.data],
      [say("about-classes"), facts.class_names.slice(0, 50).join(", ")],
      [say("about-parameters"), whole(network.parameters)], [say("about-recipe"), facts.recipe],
      [say("about-checkpoint"), facts.digest],
    ]);
    const list = rows.flatMap(([word, text]) => [element("dt", {}, word), element("dd", {}, text)]);
    byId("about").replaceChildren(element("dl", {}, ...list));
  }

  // ---- what a person does -----------------------------------------------------------------------

  #listen() {
    byId("undo").addEventListener("click", () => this.pad.undo());
    byId("clear").addEventListener("click", () => this.pad.clear());
    byId("brush").addEventListener("input", () => this.#drawBrush());
    byId("file").addEventListener("change", (event) => {
      if (event.target.files[0]) this.readFile(event.target.files[0]);
      event.target.value = "";
    });
    const drop = byId("drop");
    for (const kind of ["dragover", "dragleave", "drop"])
      drop.addEventListener(kind, (event) => {
        event.preventDefault();
        drop.classList.toggle("over-it", kind === "dragover");
        if (kind === "drop" && event.dataTransfer.files[0]) this.readFile(event.dataTransfer.files[0]);
      });
    // What is let fall beside them would take the page's place.
    for (const kind of ["dragover", "drop"])
      document.addEventListener(kind, (event) => {
        if (event.defaultPrevented || !event.dataTransfer.types.includes("Files")) return;
        event.preventDefault();
        event.dataTransfer.dropEffect = "none";
      });
    document.addEventListener("paste", (event) => {
      const file = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
      if (file) this.readFile(file);
    });
    byId("language").addEventListener("change", (event) => {
      this.language = event.target.value;
      this.#speak();
    });
    byId("theme").addEventListener("change", () => {
      this.#paint();
      this.trainer.draw();
      this.#draw();
    });
    // Paper is light: what is printed is painted anew, at once.
    for (const colours of ["(prefers-color-scheme: dark)", "print"])
      matchMedia(colours).addEventListener("change", () => {
        this.#paint();
        this.#draw();
        this.#rest();
      });
    byId("share").addEventListener("click", () => this.#share());
    byId("let-go").addEventListener("click", () => {
      this.letGo();
      byId("unit").focus();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.kept) this.letGo();
    });
    window.addEventListener("hashchange", () => this.#follow());
    new ResizeObserver(() => {
      const width = byId("rows").clientWidth;
      if (width === this.width) return;
      this.width = width;
      this.#fit();
      this.#draw();
    }).observe(byId("rows"));
  }

  async #share() {
    this.#writeFragment();
    let word = "copied";
    try {
      await navigator.clipboard.writeText(location.href);
    } catch {
      word = "not-copied";
    }
    byId("spoken").textContent = say(word);
    byId("share").textContent = say(word);
    setTimeout(() => (byId("share").textContent = say("share")), 3000);
  }

  // ---- the address ------------------------------------------------------------------------------

  #readFragment() {
    const found = readFragment();
    const known = navigator.languages.some((each) => each.startsWith("zh")) ? "zh" : "en";
    this.language = Object.hasOwn(this.facts.words, found.language ?? "") ? found.language : known;
    byId("theme").value = ["light", "dark"].includes(found.theme) ? found.theme : "auto";
    const shown = (found.show ?? "0").split(",").map(Number);
    if (shown.every((k) => k in this.networks) && shown.length <= 2) this.shown = shown;
    if (found.strokes) this.#readStrokes(found.strokes);
    const example = this.facts.examples.indices.indexOf(Number(found.example ?? -1));
    if (example >= 0) this.input = { kind: "example", index: example };
    else if (!found.strokes && this.examples.count) this.input = { kind: "example", index: 0 };
    this.#readUnit(found.unit ?? "");
  }

  // Another address of this page: a link that was opened in it, or a step back.
  #follow() {
    if (!location.hash.includes("=")) return this.#writeFragment(); // to a place in the page
    this.#letGo();
    this.pad.strokes = [];
    this.input = { kind: "strokes" };
    this.#readFragment();
    return this.#speak();
  }

  #readStrokes(text) {
    try {
      this.pad.read(text);
    } catch {
      this.pad.strokes = []; // a link that was cut off
    }
  }

  #readUnit(text) {
    const [which, layer, channel, row, column] = text.split(".").map(Number);
    const subject = this.networks[which];
    if (!this.subjects.includes(subject) || !(layer in subject.network.layers || layer === -1)) return;
    const { channels, rows, columns } = subject.mapsOf(layer);
    const isIn = (place, count) => Number.isInteger(place) && place >= 0 && place < count;
    if (!isIn(channel, channels) || !isIn(row, rows) || !isIn(column, columns)) return;
    this.kept = { subject, layer, unit: { channel, row, column } };
    if (layer >= 0) this.keptMap = { subject, layer, channel };
  }

  #writeFragment() {
    const { kept, input } = this;
    const which = kept ? this.networks.indexOf(kept.subject) : -1;
    const { channel, row, column } = kept?.unit ?? {};
    writeFragment({
      show: this.shown.some((k) => k >= this.networks.length) || String(this.shown) === "0" ? null : String(this.shown),
      language: this.language, // whoever opens it may have a browser of another one
      theme: byId("theme").value === "auto" ? null : byId("theme").value,
      example: input.kind === "example" ? this.facts.examples.indices[input.index] : null,
      strokes: input.kind === "strokes" ? this.pad.text() : null,
      unit: which >= 0 ? [which, kept.layer, channel, row, column].join(".") : null,
    });
  }
}

export async function startPage() {
  const facts = JSON.parse(byId("facts").textContent);
  if (!hasWebAssembly()) {
    const known = navigator.language.startsWith("zh") ? "zh" : "en";
    speak(facts.words, known);
    byId("alarm").textContent = say("no-wasm");
    byId("alarm").hidden = false;
    return;
  }
  const page = new Page(facts);
  await page.open();
  // For the console, and for whoever wants numbers: lenet.logits(0, bytes) of the first network.
  window.lenet = {
    page,
    logits: (network, images) => page.networks[network].engine.logits(images),
  };
}
