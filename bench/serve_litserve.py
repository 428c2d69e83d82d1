"""LitServe on the same network, as its own first page has it; `bench.serve` starts it."""

import os
import sys
from typing import Any

import litserve
import numpy as np
import onnxruntime


class Network(litserve.LitAPI):
    """A picture of 28x28 pixels from 0 to 255, as JSON."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        self.session = onnxruntime.InferenceSession(
            os.environ["MODEL"], providers=["CPUExecutionProvider"]
        )

    def decode_request(self, request):  # a type would be asked of the body
        return np.array(request["pixels"], np.float32).reshape(1, 1, 28, 28) / 255

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.session.run(None, {"images": x})[0]

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        powers = np.exp(output - output.max())
        return {"label": int(output.argmax()), "probabilities": (powers / powers.sum()).tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Network(), accelerator="cpu")
    server.run(port=int(sys.argv[1]), log_level="error", generate_client_file=False)
