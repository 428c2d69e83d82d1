"""MLServer on the same network, with a runtime of one's own; `bench.serve` starts it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.cli import main as server
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Network(MLModel):
    """Pixels from 0 to 255 in, probabilities out."""

    async def load(self) -> bool:
        self._session = onnxruntime.InferenceSession(
            self.settings.parameters.uri, providers=["CPUExecutionProvider"]
        )
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        images = NumpyCodec.decode_input(payload.inputs[0]).astype(np.float32) / 255
        logits = self._session.run(None, {"images": images})[0]
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        return InferenceResponse(
            model_name=self.name,
            outputs=[NumpyCodec.encode_output("probabilities", probabilities)],
        )


def main() -> None:
    port, folder, model = int(sys.argv[1]), Path(sys.argv[2]) / "mlserver", sys.argv[3]
    folder.mkdir(exist_ok=True)
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": port + 1,
        "metrics_port": port + 2,
        "parallel_workers": 0,  # in its own process, as a network this small is served best
        "debug": False,
    }
    described = {
        "name": "network",
        "implementation": "bench.serve_mlserver.Network",
        "parameters": {"uri": model},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(described))
    sys.argv = ["mlserver", "start", str(folder)]
    server()


if __name__ == "__main__":
    main()
