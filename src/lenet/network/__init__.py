"""Networks as data: layers, specs, the zoo of named ones, and their initial weights.

Kept here: what follows from a network alone, as shapes and counts.  It may know recipes, for the
initialiser; it knows no engine and no data set.
"""

from lenet.network.layers import (
    Convolution,
    Dense,
    Layer,
    LayerCounts,
    Pooling,
    RadialBasis,
    Shape,
    Subsampling,
)
from lenet.network.spec import Spec

__all__ = [
    "Convolution",
    "Dense",
    "Layer",
    "LayerCounts",
    "Pooling",
    "RadialBasis",
    "Shape",
    "Spec",
    "Subsampling",
]
