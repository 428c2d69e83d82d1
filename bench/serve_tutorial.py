"""The server that tutorials show: FastAPI, pydantic, ONNX Runtime; `bench.serve` starts it."""

from __future__ import annotations

import os

import numpy as np
import onnxruntime
from fastapi import FastAPI, Request
from pydantic import BaseModel

app = FastAPI()
session = onnxruntime.InferenceSession(os.environ["MODEL"], providers=["CPUExecutionProvider"])


class Picture(BaseModel):
    """28x28 pixels from 0 to 255."""

    pixels: list[float]


def predict(images: np.ndarray) -> list[list[float]]:
    logits = session.run(None, {"images": images})[0]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).tolist()


@app.post("/json")
def of_json(picture: Picture) -> dict[str, object]:
    images = np.array(picture.pixels, np.float32).reshape(1, 1, 28, 28) / 255
    probabilities = predict(images)[0]
    return {"label": int(np.argmax(probabilities)), "probabilities": probabilities}


@app.post("/raw")
async def of_bytes(request: Request) -> dict[str, object]:
    pixels = np.frombuffer(await request.body(), np.uint8).reshape(-1, 1, 28, 28)
    probabilities = predict(pixels.astype(np.float32) / 255)
    return {"labels": np.argmax(probabilities, axis=1).tolist(), "probabilities": probabilities}
