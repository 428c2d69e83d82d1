"""Every number of a training, and the learning rate at each step.

It knows the ground (`system`, `errors`) and nothing else.
"""

from lenet.recipe.recipe import Recipe

__all__ = ["Recipe"]
