"""The folder for PyTorch with a model card and `config.json`, as Hugging Face's hub lays it out.

Nothing is uploaded.  The card says what the network is, what it was trained on and how, its scores
with their intervals, where its limits are, its licence, and how to use it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from lenet.export.base import Format, Images, Options, Trained
from lenet.export.description import NOT_STATED, describe
from lenet.export.torch_folder import (
    answer_folder,
    need_torch,
    reference,
    stored,
    torch_judge,
    write_folder,
)
from lenet.export.torch_program import CLASS
from lenet.prediction.metrics import Evaluation, score
from lenet.system.files import write_whole
from lenet.system.version import VERSION

CARD, CONFIG = "README.md", "config.json"

DATA_SETS = {"fashion-mnist": "zalando-datasets/fashion_mnist", "mnist": "ylecun/mnist"}
"""What the hub calls the published data."""

_CARD = """---
{front}---

# {model}, trained on {data}

A LeNet of {parameters:,} parameters ({multiply_adds:,} multiply-adds an image) that tells {count}
classes apart in pictures of {shape} (channels, rows, columns): {classes}.

| layer | what it is | output | parameters |
|---|---|---|---|
{layers}

## How to use it

`lenet5.py` needs PyTorch and safetensors, and nothing else; `example.py` also NumPy, and Pillow
for a picture.

```python
import torch

from lenet5 import CLASS_NAMES, classify, load

network = load()
images = torch.zeros(1, {shape_list}, dtype=torch.uint8)  # yours, 0 to 255
print(CLASS_NAMES[classify(network, images)[0].argmax()])
```

`python example.py PICTURE` answers for one file. Pictures must be made as the training data was:
{convention}{ink}.

## Data

{data}{origin}. Licence of the data: {data_licence}.

## Training

Every number of it, as lenet reads it (`lenet train --recipe`):

```toml
{recipe}```

## Scores

On the test split, {tested:,} images: accuracy **{accuracy:.4f}** (95 % interval of Wilson {low:.4f}
to {high:.4f}), loss {loss:.4f}. The interval is that of these images for this one training; another
seed gives another network.

| class | images | precision | recall |
|---|---|---|---|
{scores}

## Limits

- It answers one of its {count} classes for every picture, also for one that shows none of them.
- It knows pictures that are made as above; others (colours, other sizes, another ground) must be
  brought to that first.
- Its probabilities are those of a softmax, and were not calibrated.
- It is small and plain: for research, teaching and small machines, not for decisions about people.

## Where it is from

Exported by lenet {version} from a checkpoint with SHA-256
`{checkpoint}`.
`proof.json` says how it was proved that this folder answers the whole test split like the run.

## Licence

{licence}
"""


def config(trained: Trained, options: Options) -> dict[str, Any]:
    """What `config.json` says: classes by number, shapes, preparation, and the network as data."""
    spec, names = trained.spec, trained.class_names
    facts = describe(trained, options)
    return {
        "architectures": [CLASS],
        "model_type": "lenet",
        "num_labels": spec.classes,
        "id2label": {str(index): name for index, name in enumerate(names)},
        "label2id": {name: index for index, name in enumerate(names)},
        "num_channels": spec.channels,
        "image_size": [spec.height, spec.width],
        "pixel_scale": spec.pixel_scale,
        "pixel_shift": spec.pixel_shift,
        "convention": asdict(trained.checkpoint.data.convention),
        "network": spec.to_dict(),
        "checkpoint_sha256": facts["checkpoint_sha256"],
        "receipt_sha256": facts["receipt_sha256"],
        "torch_dtype": "float32",
    }


def card(trained: Trained, options: Options) -> str:
    """The text of the model card."""
    spec, source, facts = trained.spec, trained.checkpoint.data, describe(trained, options)
    test = trained.dataset.test
    scores = score(trained.logits(test.images), test.labels)
    low, high = scores.accuracy_interval
    return _CARD.format(
        front=_front(trained, options, scores),
        model=spec.name,
        data=_cell(source.name),
        parameters=spec.parameters,
        multiply_adds=spec.multiply_adds,
        count=spec.classes,
        shape="x".join(map(str, spec.input_shape)),
        shape_list=", ".join(map(str, spec.input_shape)),
        classes=", ".join(map(_cell, trained.class_names)),
        layers=_layer_rows(trained),
        convention=source.convention.describe(),
        ink=", light on dark" if source.convention.light_ink else "",
        origin="" if source.origin is None else ", pictures of the exporter's own",
        data_licence=facts["data_licence"],
        recipe=trained.checkpoint.recipe.to_toml(),
        tested=scores.count,
        accuracy=scores.accuracy,
        low=low,
        high=high,
        loss=scores.loss,
        scores=_score_rows(trained, scores),
        version=VERSION,
        checkpoint=facts["checkpoint_sha256"],
        licence=facts["licence"].capitalize()
        if facts["licence"] == NOT_STATED
        else facts["licence"],
    )


def _front(trained: Trained, options: Options, scores: Evaluation) -> str:
    """The YAML at the top of the card; each value is JSON, which YAML reads."""
    source = trained.checkpoint.data
    known = DATA_SETS.get(source.name) if source.origin is None else None
    named = {"name": source.name, "type": known or "image-classification"}
    task = {
        "task": {"type": "image-classification"},
        "dataset": {**named, "split": "test"},
        "metrics": [{"type": "accuracy", "value": round(scores.accuracy, 4)}],
    }
    front: dict[str, Any] = {
        "license": options.licence.lower() or "unknown",
        "library_name": "pytorch",
        "pipeline_tag": "image-classification",
        "tags": ["lenet", "image-classification", "safetensors"],
        "metrics": ["accuracy"],
    }
    if known:
        front["datasets"] = [known]
    front["model-index"] = [{"name": trained.spec.name, "results": [task]}]
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in front.items())


def _layer_rows(trained: Trained) -> str:
    spec = trained.spec
    return "\n".join(
        f"| {layer.name} | {layer.describe(row.output_shape)} | "
        f"{'x'.join(map(str, row.output_shape))} | {row.parameters:,} |"
        for layer, row in zip(spec.layers, spec.counts(), strict=True)
    )


def _score_rows(trained: Trained, scores: Evaluation) -> str:
    counts = scores.confusion.sum(axis=1)
    return "\n".join(
        f"| {_cell(name)} | {count:,} | {precision:.3f} | {recall:.3f} |"
        for name, count, precision, recall in zip(
            trained.class_names, counts, scores.precision, scores.recall, strict=True
        )
    )


def _cell(name: str) -> str:
    """A name that may hold anything, as text in a card."""
    plain = "".join(letter if letter.isprintable() else " " for letter in name)
    for mark in "\\`*_[]<>|#":
        plain = plain.replace(mark, f"\\{mark}")
    return plain


def _write(trained: Trained, options: Options, path: Path) -> None:
    write_folder(trained, path)
    text = json.dumps(config(trained, options), indent=2, ensure_ascii=False)
    write_whole(path / CONFIG, text + "\n")
    write_whole(path / CARD, card(trained, options))


def _answer(trained: Trained, options: Options, path: Path, images: Images) -> NDArray[Any]:
    return answer_folder(path, images)


FORMAT = Format(
    title="the folder for PyTorch with a model card, as Hugging Face lays it out",
    file_name="{model}-hub",
    folder=True,
    takes=frozenset({"licence"}),
    write=_write,
    answer=_answer,
    reference=reference,
    stored=stored,
    need=need_torch,
    judge=torch_judge,
)
