// The training of one network: the loop of src/lenet/training/loop.py, in a browser's worker.

import { slotsOf } from "./checkpoint.js";
import { connectionMask, initialParameters } from "./initial.js";
import { Engine } from "./kernels.js";
import { unitsOf } from "./network.js";
import { keyText } from "./python.js";
import { learningRate, pointSteps } from "./recipe.js";

const SCORED_AT_ONCE = 512;

export class DivergedError extends Error {
  constructor(epoch, step, loss) {
    super(`the loss is ${loss} at step ${step} of epoch ${epoch}`);
    Object.assign(this, { epoch, step, loss });
  }
}

// Mean loss and accuracy of placed images.
function score(engine, placed, labels) {
  const size = unitsOf(engine.network.pixels);
  const { classes } = engine.network;
  let [loss, hits] = [0, 0];
  for (let start = 0; start < placed.count; start += SCORED_AT_ONCE) {
    const count = Math.min(SCORED_AT_ONCE, placed.count - start);
    const logits = engine.logitsPlaced(placed.pixels + start * size, count);
    for (let image = 0; image < count; image += 1) {
      const row = logits.subarray(image * classes, (image + 1) * classes);
      const largest = Math.max(...row);
      const sum = row.reduce((total, logit) => total + Math.exp(logit - largest), 0);
      const label = labels[start + image];
      loss += largest + Math.log(sum) - row[label];
      hits += row.indexOf(largest) === label;
    }
  }
  return { test_loss: loss / placed.count, test_accuracy: hits / placed.count };
}

export class Training {
  constructor(kernels, network, recipe, data) {
    Object.assign(this, { kernels, network, recipe, data });
    this.source = data.source;
    const parameters = initialParameters(kernels, network, recipe);
    this.engine = new Engine(kernels, network, parameters, recipe, connectionMask(network));
    this.train = kernels.place(data.train);
    this.test = kernels.place(data.test);
    this.steps = Math.ceil(this.train.count / recipe.batch_size);
    this.position = { epoch: 1, step: 0, updates: 0, images: 0, loss_sum: 0, misses: 0 };
    this.seconds = 0;
    this.images = 0;
  }

  // One step after the other; after each either null or a row of the history.
  *rows() {
    for (let epoch = 1; epoch <= this.recipe.epochs; epoch += 1) {
      const name = keyText(this.recipe.seed, "order", epoch);
      const order = this.kernels.permutation(this.train.count, name);
      for (let step = 1; step <= this.steps; step += 1) yield this.#step(epoch, step, order);
      this.kernels.release(order);
    }
  }

  #step(epoch, step, order) {
    const { recipe, steps, position } = this;
    const started = performance.now();
    const first = (step - 1) * recipe.batch_size;
    const count = Math.min(recipe.batch_size, this.train.count - first);
    const rate = learningRate(recipe, (epoch - 1) * steps + step - 1, steps);
    const { loss, misses } = this.engine.step(this.train, order + 8 * first, count, rate);
    if (!Number.isFinite(loss)) throw new DivergedError(epoch, step, loss);
    this.seconds += (performance.now() - started) / 1000;
    this.images += count;
    position.step = step;
    position.updates += 1;
    position.images += count;
    position.loss_sum += loss * count;
    position.misses += misses;
    if (!pointSteps(steps).has(step)) return null;
    const row = {
      epoch,
      step,
      progress: epoch - 1 + step / steps,
      learning_rate: rate,
      train_loss: position.loss_sum / position.images,
      train_accuracy: 1 - position.misses / position.images,
    };
    if (step < steps) return row;
    const { updates } = position;
    this.position = { epoch: epoch + 1, step: 0, updates, images: 0, loss_sum: 0, misses: 0 };
    return { ...row, ...score(this.engine, this.test, this.data.test.labels) };
  }

  get imagesPerSecond() {
    return this.images / this.seconds;
  }

  state() {
    return this.engine.state(slotsOf(this.recipe).length);
  }

  close() {
    this.engine.close();
    for (const { pixels, labels } of [this.train, this.test]) this.kernels.release(pixels, labels);
  }
}
