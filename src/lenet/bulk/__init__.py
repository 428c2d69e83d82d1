"""Answers to many pictures: files in, files out, in constant memory, gone on with after a stop."""

from lenet.bulk.direct import answer_pictures
from lenet.bulk.folder import PredictionFolder
from lenet.bulk.network import Answer, Network
from lenet.bulk.progress import PredictionProgress
from lenet.bulk.running import Outcome, predict, predict_aside

__all__ = [
    "Answer",
    "Network",
    "Outcome",
    "PredictionFolder",
    "PredictionProgress",
    "answer_pictures",
    "predict",
    "predict_aside",
]
