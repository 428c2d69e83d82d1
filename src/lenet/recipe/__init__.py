"""Every number of a training, and the learning rate at each step.

Kept here: the recipe, in and out of TOML, and the schedules.  It may know the ground (`system`,
`errors`) and nothing else.
"""

from lenet.recipe.recipe import Recipe

__all__ = ["Recipe"]
