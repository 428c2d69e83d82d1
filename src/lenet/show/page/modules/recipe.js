// The steps of an epoch and their learning rates, as src/lenet/recipe/schedule.py has them.

const ONE_CYCLE_START = 1 / 25;
const ONE_CYCLE_END = 1e-4 / 25;
const POINTS_PER_EPOCH = 5;

const anneal = (start, end, progress) =>
  end + (start - end) * 0.5 * (1.0 + Math.cos(Math.PI * progress));

const SHAPES = {
  constant: () => 1.0,
  step: (progress, epoch, recipe) =>
    recipe.step_factor ** Math.floor((epoch - 1) / recipe.step_epochs),
  cosine: (progress) => anneal(1.0, 0.0, progress),
  one_cycle(progress, epoch, recipe) {
    const peak = recipe.warmup_fraction;
    if (progress < peak) return anneal(ONE_CYCLE_START, 1.0, progress / peak);
    return anneal(1.0, ONE_CYCLE_END, (progress - peak) / (1.0 - peak));
  },
};

// Of the step with this index, counted from 0 over the whole training.
export function learningRate(recipe, index, stepsPerEpoch) {
  const last = Math.max(1, recipe.epochs * stepsPerEpoch - 1);
  const epoch = Math.floor(index / stepsPerEpoch) + 1;
  const part = SHAPES[recipe.schedule](index / last, epoch, recipe);
  return recipe.learning_rate * part * warmUp(recipe, index, stepsPerEpoch);
}

function warmUp(recipe, index, stepsPerEpoch) {
  const steps = recipe.warmup_epochs * stepsPerEpoch;
  return steps > 0 ? Math.min(1.0, (index + 1) / steps) : 1.0;
}

// The steps after which a row is written, as src/lenet/training/loop.py has them.
export function pointSteps(steps) {
  const points = new Set();
  for (let share = 1; share <= POINTS_PER_EPOCH; share += 1)
    points.add(Math.ceil((share * steps) / POINTS_PER_EPOCH));
  return points;
}
