"""Calls of `lenet predict`, and what is in its folders."""

import csv

import numpy as np
from conftest import run_lenet
from PIL import Image
from sklearn.datasets import load_digits

DIGITS = load_digits().images


def dark_digit(index):
    """A real digit, dark on light, larger than the network's."""
    return Image.fromarray((255 - DIGITS[index] * (255 / 16)).astype(np.uint8)).resize((24, 24))


def content(folder):
    """Every byte that must depend on the inputs, the network and the format alone."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("receipt.json", ".lock")
    }


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def predict(*words, **options):
    return run_lenet("predict", *words, **options)
