// The page's words, from tables of data: one a language, the same keys in each.

import { element } from "./element.js";

let table = {};
let language = "en";

export function speak(tables, wanted) {
  language = wanted in tables ? wanted : "en";
  table = tables[language];
  document.documentElement.lang = language === "zh" ? "zh-CN" : language;
  for (const each of document.querySelectorAll("[data-word]")) each.textContent = say(each.dataset.word);
  for (const each of document.querySelectorAll("[data-word-label]"))
    each.setAttribute("aria-label", say(each.dataset.wordLabel));
}

const FROM_THE_RIGHT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;

// A name from right to left, kept apart from the numbers and marks beside it.
const apart = (value) => (FROM_THE_RIGHT.test(value) ? `\u2068${value}\u2069` : value);

// The text of a key; {names} in it become values.
export function say(key, values = {}) {
  return (table[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => apart(values[name] ?? whole));
}

export const spokenLanguage = () => language;

export const whole = (value) => Math.round(value).toLocaleString(language);

export function percent(value) {
  const text = (100 * value).toFixed(value > 0.9995 && value < 0.99995 ? 2 : 1);
  return `${text === "100.0" ? "100" : text}\u00a0%`;
}

// A probability: no network is ever sure, nor ever rules anything out.
export function chance(value) {
  if (value > 0.999) return ">\u00a099.9\u00a0%";
  return value < 0.001 ? "<\u00a00.1\u00a0%" : percent(value);
}

// A number of a unit: three digits that matter, with a real minus.
export function number(value) {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  const text = size >= 100 ? size.toFixed(1) : size >= 10 ? size.toFixed(2) : size.toFixed(3);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

export const soft = (key, values) => element("p", { className: "soft" }, say(key, values));
