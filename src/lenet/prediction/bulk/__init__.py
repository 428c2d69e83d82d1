"""Answers to many pictures: files in, files out, in constant memory, gone on with after a stop.

Kept here: inputs as a list, shards, the folder that they are written to, and the formats of
answers.  It may know all of prediction, and nothing else of prediction knows it.
"""

from lenet.prediction.bulk.folder import PredictionFolder
from lenet.prediction.bulk.inputs import Inputs
from lenet.prediction.bulk.progress import PredictionProgress
from lenet.prediction.bulk.running import Few, Outcome, answer_few, predict, predict_aside

__all__ = [
    "Few",
    "Inputs",
    "Outcome",
    "PredictionFolder",
    "PredictionProgress",
    "answer_few",
    "predict",
    "predict_aside",
]
