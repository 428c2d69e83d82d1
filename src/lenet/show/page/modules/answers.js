// The answer of each network on show: its class, whether it is sure, and the probabilities as bars.

import { byId, element } from "./element.js";
import { chance, say } from "./words.js";

function headOf(subject) {
  const { answer, probabilities } = subject.seen;
  const sure = subject.isSure();
  return element(
    "p", { className: sure ? "said" : "said unsure" },
    nameOfClass(subject.className(answer)),
    element("span", { className: "probability" }, chance(probabilities[answer])),
    sure ? null : element("span", { className: "doubt" }, say("not-sure")),
  );
}

// As large as its longest word leaves room for.
function nameOfClass(name) {
  const made = element("span", { className: "class" }, name);
  made.style.setProperty("--letters", lettersOf(name));
  return made;
}

const lettersOf = (name) => Math.max(...name.split(/\s+/).map((word) => [...word].length));

function barsOf(subject) {
  const { answer, probabilities } = subject.seen;
  const order = [...probabilities.keys()];
  const shown = order.length <= 12 ? order : order.sort((a, b) => probabilities[b] - probabilities[a]).slice(0, 10);
  const rows = shown.map((label) => {
    const fill = element("span", { className: "fill" });
    fill.style.width = `${100 * probabilities[label]}%`;
    return element(
      "li", { className: label === answer ? "best" : "" },
      element("span", { className: "name" }, subject.className(label)),
      element("span", { className: "bar", aria: { hidden: "true" } }, fill),
      element("span", { className: "share" }, chance(probabilities[label])),
    );
  });
  return element("ul", { className: "bars", aria: { label: say("probabilities") } }, ...rows);
}

export function drawAnswers(subjects, nameOf) {
  const blocks = subjects.map((subject) => {
    const name = subjects.length > 1 ? element("h3", {}, nameOf(subject)) : null;
    if (subject.seen.blank)
      return element(
        "div", {}, name,
        element("p", { className: "said unsure" }, element("span", { className: "class" }, "–"), element("span", { className: "doubt" }, say("nothing-yet"))),
        element("p", { className: "soft" }, say("nothing-help")),
      );
    const made = element("div", {}, name, headOf(subject), barsOf(subject));
    made.style.setProperty("--longest", Math.max(...subject.facts.class_names.map(lettersOf)));
    return made;
  });
  byId("answers").replaceChildren(...blocks);
}

// For a screen reader, when the hand rests.
export function speakAnswer(subject) {
  const { blank, answer, probabilities } = subject.seen;
  if (blank) return;
  const values = { class: subject.className(answer), probability: chance(probabilities[answer]) };
  byId("spoken").textContent = say(subject.isSure() ? "spoken" : "spoken-not-sure", values);
}
