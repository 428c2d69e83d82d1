import numpy as np
import pytest
from conftest import need_torch

from lenet.errors import RecipeError
from lenet.recipe import Recipe
from lenet.recipe.schedule import epoch_steps, learning_rate

STEPS = 100


def rates(**changes):
    recipe = Recipe(epochs=9, learning_rate=0.5, **changes)
    return [learning_rate(recipe, step, STEPS) for step in range(9 * STEPS)]


def test_constant_never_changes():
    assert set(rates(schedule="constant")) == {0.5}


def test_step_falls_at_the_first_step_of_each_block_of_epochs():
    found = rates(schedule="step", step_epochs=3, step_factor=0.1)
    assert found[: 3 * STEPS] == [0.5] * 300
    assert found[3 * STEPS] == pytest.approx(0.05)
    assert found[-1] == pytest.approx(0.005)


def test_cosine_goes_from_the_peak_to_zero_without_rising():
    found = rates(schedule="cosine")
    assert found[0] == 0.5
    assert found[-1] == pytest.approx(0.0, abs=1e-12)
    assert found == sorted(found, reverse=True)
    assert found[450] == pytest.approx(0.25, abs=1e-3)


def test_one_cycle_equals_pytorchs_schedule():
    torch = need_torch()
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1, momentum=0.9)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.5, total_steps=9 * STEPS, pct_start=0.3, cycle_momentum=False
    )
    expected = []
    for _ in range(9 * STEPS):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step() if len(expected) < 9 * STEPS else None
    # PyTorch puts the peak at step pct_start * total - 1, we at pct_start * (total - 1).
    assert rates(schedule="one_cycle") == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine"])
def test_every_schedule_but_one_cycle_can_warm_up_in_equal_steps(schedule):
    found, plain = rates(schedule=schedule, warmup_epochs=0.5), rates(schedule=schedule)
    half = STEPS // 2
    growth = [rate / other for rate, other in zip(found[:half], plain[:half], strict=True)]
    assert growth == pytest.approx([(step + 1) / half for step in range(half)])
    assert found[half:] == plain[half:]
    with pytest.raises(RecipeError, match=r"warmup_epochs = 1.0: schedule 'one_cycle' grows to"):
        Recipe(schedule="one_cycle", warmup_epochs=1)


def test_a_training_of_one_step_uses_the_first_rate():
    assert learning_rate(Recipe(epochs=1, schedule="cosine"), 0, 1) == 0.9


def test_the_steps_of_an_epoch_hold_each_image_once_and_go_on_from_any():
    recipe = Recipe(epochs=3, batch_size=4, schedule="cosine")
    order = np.arange(10)[::-1]
    steps = list(epoch_steps(recipe, order, epoch=2))
    assert [(number, images.tolist()) for number, images, _ in steps] == [
        (1, [9, 8, 7, 6]), (2, [5, 4, 3, 2]), (3, [1, 0]),
    ]  # fmt: skip
    assert [rate for *_, rate in steps] == [learning_rate(recipe, index, 3) for index in (3, 4, 5)]
    assert [number for number, *_ in epoch_steps(recipe, order, 2, first=3)] == [3]
