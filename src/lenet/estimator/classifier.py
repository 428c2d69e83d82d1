"""LeNet as a scikit-learn classifier."""

from __future__ import annotations

import math
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from lenet.errors import MissingExtraError

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise MissingExtraError("LeNetClassifier", "scikit-learn", "sklearn") from error

from lenet.engines import check_engine, open_engine
from lenet.engines.base import Engine, EngineState
from lenet.errors import InputError, UsageError
from lenet.estimator.fitting import Fit, answer, fit_epochs, fit_until_no_better, thread_count
from lenet.estimator.keeping import (
    PARAMETERS,
    Kept,
    keep,
    label_array,
    label_type,
    plain_values,
    read_kept,
)
from lenet.estimator.pictures import Form, flatten, learn_form, subject_of
from lenet.estimator.rows import Rows, collect, hold_out
from lenet.network import Spec, zoo
from lenet.network.initialiser import initial_weights
from lenet.recipe import Recipe
from lenet.recipe.library import Choice, Subject, choose, find
from lenet.recipe.recipe import check_used
from lenet.runs.run import Run, find_run
from lenet.training.setup import check_loss

SMALLEST_SHARE = 2.0**-52
"""Of the largest weight; a smaller one is lost when they are added up."""


@final
class LeNetClassifier(ClassifierMixin, BaseEstimator):
    """LeNet as a scikit-learn classifier, on lenet's compiled CPU engine.

    Data: pictures (n, height, width), (n, channels, height, width) or, of up to 4 channels, (n,
    height, width, channels); or rows (n, features).  A row is a square picture of one channel, line
    by line; a count that is no square fills the smallest square that holds it, and what is left of
    the square is 0.  In a picture with a side under 24, each pixel becomes a square of the smallest
    whole size that brings every side to 24, for the filters of LeNet were made for such sizes.

    Grey levels: the network reads 256 of them.  The lowest value of the training data becomes
    0, the highest 255, values between are rounded to the nearest level, and what lies beyond them
    later is clipped.  So [0, 1], [0, 255] and uint8 of the same pictures give the same network, and
    whole numbers lose nothing where at most 256 of them span the range; other numbers lose up to
    1/510 of the range.  The range is one for all features: scale columns of different units first.

    `sample_weight`: an integer weight is the same training, to the byte, as so many repetitions of
    the row, and 0 the same as leaving it out; only the ratio of the weights counts.

    Args:
        model: a row of the zoo (`lenet models`); None is the recipe's.
        recipe: where all numbers come from that are None below: the name of a recipe
            (`lenet recipes`; "auto" derives them from the data), a file, a `Recipe`, or its fields
            as a dict.
        epochs (passes over the data), batch_size, optimizer ("adamw" or "sgd"), learning_rate (the
            schedule's peak), weight_decay, schedule ("cosine", "constant", "step", "one_cycle"),
            label_smoothing, augmentation (an `Augmentation`, or its fields as a dict; pictures are
            changed each time they are seen): see `Recipe`.
        pixel_range: (low, high) that become grey levels 0 and 255; None learns them.
        early_stopping: hold out `validation_fraction` of the different rows, each class in
            proportion; stop after `n_iter_no_change` epochs in a row without a better accuracy
            there (or the same with a lower loss), and keep the best epoch's weights.
        n_jobs: threads as scikit-learn counts them: None is 1 (or what `joblib.parallel_config`
            says), -1 all cores.  Inside a joblib worker never more than its share of the cores.
            The result is the same bytes for any number.
        random_state: fixes the initial weights, the order of the rows and which are held out.  An
            int is the seed of `Recipe`; an instance is drawn from; None draws from NumPy's.

    Fitted: `classes_`, `n_features_in_`, `feature_names_in_` (data frames), `n_iter_` (epochs),
    `loss_curve_` (training loss of each epoch), `validation_scores_` (accuracy of each epoch;
    empty without early stopping), `spec_`, `recipe_`, `form_` (how rows become pictures) and
    `state_` (weights and optimizer, as arrays).

    Errors are `ValueError`s as scikit-learn's users expect, and `LenetError`s; a training whose
    loss is not finite ends with `DivergenceError`.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        recipe: Any = "auto",
        epochs: int | None = None,
        batch_size: int | None = None,
        optimizer: str | None = None,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        schedule: str | None = None,
        label_smoothing: float | None = None,
        augmentation: Any = None,
        pixel_range: tuple[float, float] | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.recipe = recipe
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.label_smoothing = label_smoothing
        self.augmentation = augmentation
        self.pixel_range = pixel_range
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train from the start on pictures or rows `X` with labels `y` (n,) of any kind.

        Raises:
            InputError: naming the parameter, weight or class that cannot be used.
            ValueError: from scikit-learn, about `X` and `y`.
            DivergenceError: if the loss is not finite.
        """
        features, labels, weights, form = self._read(X, y, sample_weight)
        classes, numbers = np.unique(labels, return_inverse=True)
        spec = self._spec(form, features, len(classes))
        rows = collect(form.pictures(features), numbers, weights)
        seed = _draw_seed(self.random_state)
        held_out = None
        if self._stops_early():
            rows, held_out = self._hold_out(rows, classes, seed)
        recipe = self._choose(seed, subject_of(form, features, len(rows), len(classes))).recipe
        engine = self._open(spec, recipe, initial_weights(spec, recipe))
        if held_out is None:
            fit = fit_epochs(engine, recipe, rows, recipe.epochs)
        else:
            fit = fit_until_no_better(engine, recipe, rows, held_out, self._patience())
        return self._keep(classes, form, spec, recipe, fit)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train one more epoch, on `X` and `y`, at the constant `learning_rate`.

        The first call needs `classes`, all labels that will ever come, unless `fit` came before; it
        also learns the range of the grey levels (or takes `pixel_range`), which later calls keep.
        k calls with the same data are the same bytes as `fit` with `epochs=k` and
        `schedule="constant"`.  The distortions of a run that it goes on with are left out.

        Raises:
            InputError: as `fit`; with `early_stopping`; with missing, other or unknown classes;
                with another `model` than before.
            ValueError, DivergenceError: as `fit`.
        """
        if self._stops_early():
            raise InputError("early_stopping=True: partial_fit is one epoch; call fit instead")
        first = not hasattr(self, "classes_")
        if not first and self.model not in (None, self.spec_.name):
            raise InputError(
                f"model = {self.model!r}: partial_fit goes on with {self.spec_.name}; call fit for "
                "another network"
            )
        known = self._known_classes(classes, first)
        features, labels, weights, form = self._read(X, y, sample_weight, reset=first)
        spec = self._spec(form, features, len(known)) if first else self.spec_
        rows = collect(form.pictures(features), _number(labels, known), weights)
        seed = _draw_seed(self.random_state) if first else self.recipe_.seed
        subject = subject_of(form, features, len(rows), len(known))
        base = self.recipe if first else self.recipe_
        recipe = self._choose(seed, subject, base).recipe
        recipe = replace(recipe, epochs=1, schedule="constant", distortions=0)
        if first:
            epoch = 1
            engine = self._open(spec, recipe, initial_weights(spec, recipe))
        else:
            epoch = self.n_iter_ + 1
            engine = self._open(spec, recipe, self.state_)
        fit = fit_epochs(engine, recipe, rows, last=epoch, first=epoch)
        if not first:
            fit.losses = [*self.loss_curve_, *fit.losses]
            fit.validation_scores = self.validation_scores_
        return self._keep(known, form, spec, recipe, fit)

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each picture or row, (n,)."""
        best = self.predict_log_proba(X).argmax(axis=1)
        predicted: NDArray[Any] = self.classes_[best]
        return predicted

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities float64 (n, classes), in the order of `classes_`."""
        probabilities: NDArray[np.float64] = np.exp(self.predict_log_proba(X))
        return probabilities

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Natural logarithms of the probabilities, float64 (n, classes).

        Raises:
            NotFittedError: before `fit`.
            ValueError: about `X`; an `InputError` if its pictures have another shape.
        """
        check_is_fitted(self)
        flat, shape = flatten(X)
        features = validate_data(self, flat, reset=False)
        self._check_shape(shape)
        engine = self._open(self.spec_, self.recipe_, self.state_)
        return answer(engine, self.form_.pictures(features))

    def save_run(self, path: str | Path) -> Path:
        """Write the fitted classifier as a run, and give its folder.

        `lenet.load`, `lenet export` and the others read it as any run; `from_run` gives the same
        classifier back, which answers the same bytes and goes on training to the same bytes.  The
        data stay here: where a command needs them they are named anew.

        Raises:
            NotFittedError: before `fit`.
            InputError: if the labels are neither numbers nor texts.
            RunError: if the folder is taken or cannot be written.
        """
        check_is_fitted(self)
        kept = Kept(
            parameters={name: plain_values(value) for name, value in self.get_params().items()}
            | {"random_state": self.recipe_.seed},
            classes=self.classes_.tolist(),
            labels=label_type(self.classes_),
            form=self.form_,
            features=self.n_features_in_,
            feature_names=getattr(self, "feature_names_in_", np.array([])).tolist(),
            epochs=self.n_iter_,
            loss_curve=tuple(self.loss_curve_),
            validation_scores=tuple(self.validation_scores_),
        )
        engine = self._open(self.spec_, self.recipe_, self.state_)
        return keep(Path(path), kept, self.spec_, self.recipe_, engine).path

    @classmethod
    def from_run(
        cls, run: str | Path | Run, which: str | None = None, *, labels: str = "names"
    ) -> LeNetClassifier:
        """The network of a run as a fitted classifier.

        One that `save_run` wrote comes back as it was.  That of any other training reads pictures
        in its own shape with grey levels from 0 to 255, as (n, height, width), (n, channels,
        height, width) or rows, and its labels are the `names` of the classes, or their "numbers"
        from 0; its parameters are those of the training as far as a classifier has them, so that
        `fit` begins anew with these.  `which` is "last" or "best"; by default the best where there
        is one.

        Raises:
            RunError: if there is no such run, or it cannot be read.
            InputError: if `labels` is neither.
        """
        if labels not in ("names", "numbers"):
            raise InputError(f"labels = {labels!r}: it must be 'names' or 'numbers'")
        found = run if isinstance(run, Run) else find_run(run)
        checkpoint, kept = read_kept(found, which, numbers=labels == "numbers")
        made = cls(**kept.parameters)
        made.n_features_in_ = kept.features
        if kept.feature_names:
            made.feature_names_in_ = np.array(kept.feature_names, object)
        fit = Fit(checkpoint.state, list(kept.loss_curve), list(kept.validation_scores))
        made._keep(label_array(kept), kept.form, checkpoint.spec, checkpoint.recipe, fit)
        made.n_iter_ = kept.epochs
        return made

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _read(
        self, X: Any, y: Any, sample_weight: Any, reset: bool = True
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64], Form]:
        """Checked features, labels and weights of the rows whose weight is not 0; their form."""
        flat, shape = flatten(X)
        features, labels = validate_data(self, flat, y, reset=reset)
        check_classification_targets(labels)
        weights = _check_weights(sample_weight, len(labels))
        if not weights.all():
            used = np.flatnonzero(weights)
            features, labels, weights = features[used], labels[used], weights[used]
        if reset:
            return features, labels, weights, learn_form(features, shape, self.pixel_range)
        self._check_shape(shape)
        return features, labels, weights, self.form_

    def _check_shape(self, shape: tuple[int, ...] | None) -> None:
        if shape not in (None, self.form_.shape):
            raise InputError(
                f"these pictures are {shape} (channels, height, width); the classifier was fitted "
                f"on {self.form_.shape}: bring them to that shape"
            )

    def _hold_out(self, rows: Rows, classes: NDArray[Any], seed: int) -> tuple[Rows, Rows]:
        fraction = self.validation_fraction
        if not isinstance(fraction, Real) or not 0.0 < fraction < 1.0:
            raise InputError(f"validation_fraction = {fraction!r}: it must be between 0 and 1")
        rest, held_out = hold_out(rows, max(1, round(fraction * len(rows))), seed)
        left = np.bincount(rest.split.labels, minlength=len(classes))
        if not left.all():
            raise InputError(
                f"early_stopping: nothing is left to train on of class {classes[left.argmin()]!r}; "
                "give more rows of it, or a smaller validation_fraction"
            )
        return rest, held_out

    def _stops_early(self) -> bool:
        wanted = self.early_stopping
        if not isinstance(wanted, bool | np.bool_):
            raise InputError(f"early_stopping = {wanted!r}: it must be True or False")
        return bool(wanted)

    def _patience(self) -> int:
        count = self.n_iter_no_change
        if not isinstance(count, Integral) or count < 1:
            raise InputError(
                f"n_iter_no_change = {count!r}: it must be at least 1, and a whole number"
            )
        return int(count)

    def _choose(self, seed: int, subject: Subject, base: Any = None) -> Choice:
        """The numbers of `base`, by default `recipe`, which is checked, with those given."""
        own = base is None
        base = self.recipe if own else base
        given = {name: _plain(getattr(self, name)) for name in PARAMETERS}
        given = {name: value for name, value in given.items() if value is not None}
        try:
            if isinstance(base, dict):
                base = Recipe.from_dict(base)
            found = find(base, given | {"seed": seed})
            if own and isinstance(found, Recipe):
                _check_recipe(found)
            choice = choose(found, subject, given | {"seed": seed})
            check_used(choice.recipe, given)
        except UsageError as error:
            raise InputError(str(error)) from error
        return choice

    def _spec(self, form: Form, features: NDArray[Any], classes: int) -> Spec:
        """The network, which the engine can do: asked before pictures and weights cost memory."""
        channels, height, width = form.input_shape
        subject = subject_of(form, features, len(features), classes)
        choice = self._choose(0, subject)
        try:
            spec = zoo.build(
                self.model or choice.model,
                channels=channels,
                height=height,
                width=width,
                classes=classes,
                squares=choice.recipe.squares,
            )
            check_loss(spec, choice.recipe)
        except UsageError as error:
            raise InputError(str(error)) from error
        check_engine(spec, device="cpu")
        return spec

    def _open(self, spec: Spec, recipe: Recipe, start: Any) -> Engine:
        """An engine for this call alone, so that what is pickled is arrays."""
        weights = start.weights if isinstance(start, EngineState) else start
        threads = thread_count(self.n_jobs)
        engine = open_engine(spec, recipe, weights, device="cpu", threads=threads)
        if isinstance(start, EngineState):
            engine.restore(start)
        return engine

    def _known_classes(self, classes: Any, first: bool) -> NDArray[Any]:
        if first:
            if classes is None:
                raise InputError("the first call of partial_fit needs classes, e.g. np.unique(y)")
            return np.unique(classes)
        known: NDArray[Any] = self.classes_
        if classes is not None and not np.array_equal(np.unique(classes), known):
            raise InputError(f"classes = {classes}: they were {known} before; fit anew to change")
        return known

    def _keep(
        self, classes: NDArray[Any], form: Form, spec: Spec, recipe: Recipe, fit: Fit
    ) -> Self:
        """The fitted attributes; only here, so that a training that fails leaves the last one."""
        self.classes_, self.form_, self.spec_, self.recipe_ = classes, form, spec, recipe
        self.state_ = fit.state
        self.loss_curve_, self.validation_scores_ = fit.losses, fit.validation_scores
        self.n_iter_ = len(fit.losses)
        return self


def _plain(value: Any) -> Any:
    """A NumPy number, as searches over parameters give it, as Python's."""
    return value.item() if isinstance(value, np.generic) else value


def _check_recipe(recipe: Recipe) -> None:
    """Refuse what a classifier does otherwise, or not at all.

    Raises:
        InputError: naming it, and the arguments that it has instead.
    """
    if recipe.validation:
        raise InputError(
            f"recipe: validation = {recipe.validation}: the classifier holds images out with "
            "early_stopping=True and validation_fraction; leave it out of the recipe"
        )
    if recipe.distortions:
        raise InputError(
            f"recipe: distortions = {recipe.distortions}: the classifier makes no distorted "
            "copies; leave it out of the recipe, or change pictures with augmentation"
        )


def _draw_seed(random_state: Any) -> int:
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _check_weights(sample_weight: Any, count: int) -> NDArray[np.float64]:
    if sample_weight is None:
        return np.ones(count)
    try:
        weights = np.asarray(sample_weight, np.float64)
    except (ValueError, TypeError) as error:
        raise InputError(f"sample_weight must be a number for each row: {error}") from error
    if weights.shape != (count,):
        raise InputError(f"sample_weight has shape {weights.shape}; {count} rows need ({count},)")
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise InputError("sample_weight must be finite and not negative; leave such rows out")
    if not weights.any():
        raise InputError("every sample_weight is zero; give at least one row a weight above 0")
    return _near_one(weights)


def _near_one(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """`weights` by a power of two, which keeps every ratio to the bit, so that sums stay finite."""
    _, exponent = math.frexp(weights.max())
    scaled = np.ldexp(weights, -exponent)
    smallest = scaled[weights > 0].min()
    if smallest < SMALLEST_SHARE:
        raise InputError(
            f"sample_weight goes from {weights[weights > 0].min():g} to {weights.max():g}: beside "
            "the largest the smallest would count for nothing; leave such rows out, or give them 0"
        )
    return scaled


def _number(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int64]:
    """Each label's place in `classes`."""
    unknown = np.setdiff1d(labels, classes)
    if len(unknown):
        raise InputError(
            f"labels {unknown} are not among classes {classes}; name all in the first call"
        )
    return np.searchsorted(classes, labels)
