"""The note's own way, as a program: `python -m bench.note`.

What d2l's loader does, without d2l: a data set that turns one picture after the other into a
tensor, a DataLoader with four worker processes, and the note's training loop, evaluation included;
only its live plot is left out.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from bench import networks
from lenet import data
from lenet.data import Split

BATCH, WORKERS, LEARNING_RATE = 256, 4, 0.9


class Pictures(Dataset):  # type: ignore[type-arg]
    """One picture at a time: array, PIL image, tensor in [0, 1], as torchvision's ToTensor."""

    def __init__(self, split: Split) -> None:
        self.images, self.labels = split.images[:, 0], split.labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        picture = Image.fromarray(self.images[index])
        pixels = torch.from_numpy(np.array(picture))[None]
        return pixels.to(torch.float32).div(255), int(self.labels[index])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=10)
    epochs = parser.parse_args().epochs
    dataset = data.load("fashion-mnist")
    options = {"batch_size": BATCH, "num_workers": WORKERS}
    train = DataLoader(Pictures(dataset.train), shuffle=True, **options)
    test = DataLoader(Pictures(dataset.test), shuffle=False, **options)
    network, loss = networks.torch_module(), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE)
    for _ in range(epochs):
        sums = np.zeros(3)
        for images, labels in train:
            optimizer.zero_grad()
            logits = network(images)
            value = loss(logits, labels)
            value.backward()
            optimizer.step()
            hits = (logits.argmax(1) == labels).sum()
            sums += float(value.detach()) * len(labels), float(hits), len(labels)
        hits = sum(int((network(images).argmax(1) == labels).sum()) for images, labels in test)
        print(f"loss {sums[0] / sums[2]:.3f}, train acc {sums[1] / sums[2]:.3f}, "
              f"test acc {hits / len(dataset.test):.3f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
