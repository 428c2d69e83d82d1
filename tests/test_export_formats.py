"""Each format for each network of the zoo, judged by what its users run; broken ones refused."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import OF_TODAY, need, need_module, need_native, need_torch
from safetensors.numpy import load_file, save_file

import lenet
from lenet import data
from lenet.errors import ExportError, MissingExtraError, UsageError
from lenet.export import FORMATS, Options, onnx_file, tflite_file, torch_folder
from lenet.export.base import INPUTS
from lenet.export.proof import extremes
from lenet.export.rounding import float_reference
from lenet.network import Convolution, Dense, Pooling, RadialBasis, Spec, Subsampling, zoo

need_native()

OF_1998 = [name for name in zoo.ZOO if name not in OF_TODAY]

ODD = Spec(
    "odd",
    3,
    20,
    23,
    (
        Convolution("A", 4, 3, padding=1, activation="scaled_tanh"),
        Pooling("B", "average", 3),
        Convolution("C", 5, 2, activation="tanh", connections=((0,), (1, 2), (3,), (0, 3), (1,))),
        Pooling("D", "max", 2),
        Dense("E", 7, activation="relu"),
        Dense("output", 3),
    ),
    pixel_scale=1 / 127.5,
    pixel_shift=-1.0,
)
"""Every layer, activation and option that a spec of today may have, with sizes that all differ."""

ODD_OF_1998 = Spec(
    "odd-1998",
    3,
    20,
    23,
    (
        Convolution("A", 4, 4, activation="scaled_tanh", connections=((0,), (1, 2), (2,), (0, 1))),
        Subsampling("B", 3, copies=2),
        Dense("C", 9, "tanh", reads=11),
        Dense("units", 3),
        RadialBasis("output", 3, "place"),
    ),
    preparation=("shrink", "frame"),
)
"""And of 1998."""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Each network of the zoo trained a little on digits, and the odd one on noise."""
    folder = tmp_path_factory.mktemp("runs")
    made = {}
    for name in OF_TODAY:
        rate = 0.05 if name in ("lenet5-relu", "lenet5-average", "lenet5-modern") else 0.5
        made[name] = lenet.train(
            name, "digits", out=folder / name, epochs=2, batch_size=32, learning_rate=rate
        )
    for name in OF_1998:
        made[name] = lenet.train(name, "digits", out=folder / name, epochs=2)
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (120, 3, 20, 23), np.uint8), np.arange(120) % 3
    arrays = (images, np.array(["a \"b\" 'c'", "ж", "c,\\"])[labels])
    for spec in (ODD, ODD_OF_1998):
        made[spec.name] = lenet.train(
            spec, arrays, out=folder / spec.name, epochs=1, batch_size=16, learning_rate=0.01
        )
        made[spec.name].arrays = arrays
    return made


@pytest.fixture(params=[*zoo.ZOO, ODD.name, ODD_OF_1998.name])
def model(request, models):
    return models[request.param]


@pytest.fixture
def digits_lenet(models):
    return models["lenet5"]


def source(model):
    """What the proof needs besides, where the data was at hand."""
    return {"data": model.arrays} if hasattr(model, "arrays") else {}


def some_images(model, count=12):
    """Of the test split and made up."""
    made = extremes(model.spec.input_shape)[0][::30]
    test = model._trained(source(model).get("data"), None).dataset.test.images
    return np.concatenate([test[:count], made])


def write(model, to, path, **options):
    """What the format's writer makes, without a proof."""
    trained = model._trained(source(model).get("data"), None)
    FORMATS[to].write(trained, Options(**options), path)
    return path


def check_answers(model, found, probabilities=False):
    """Hold answers to `some_images` against the bound."""
    reference = float_reference(model.spec, model.weights, probabilities=probabilities)
    expected = reference.answer(some_images(model))
    assert (np.abs(found - expected.answers) <= expected.bound).all()


# ONNX.


@pytest.fixture(scope="module")
def onnx():
    need_module("onnxruntime", "pip install 'lenet[onnx]'")
    return need_module("onnx", "pip install 'lenet[onnx]'")


@pytest.mark.parametrize(("pixels", "probabilities"), [("uint8", False), ("float", True)])
def test_every_network_is_proved_in_onnx(model, onnx, tmp_path, pixels, probabilities):
    model = model
    proof = model.export(
        "onnx", tmp_path / "x.onnx", input=pixels, probabilities=probabilities, **source(model)
    ).proof
    assert proof.findings.classes_agree == proof.findings.images > 0
    assert proof.findings.weights == model.spec.parameters or hasattr(model, "arrays")
    assert 0 < proof.findings.nearest_to_bound < 0.5
    assert proof.judge.startswith("ONNX Runtime ")


def test_the_graph_is_plain_and_says_what_it_is(model, onnx, tmp_path):
    path = write(model, "onnx", tmp_path / "x.onnx", licence="CC0-1.0")
    read = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(read, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(
        read, check_type=True, strict_mode=True, data_prop=True
    )
    assert len(inferred.graph.value_info) == len(read.graph.node) - 1
    assert (read.ir_version, [each.version for each in read.opset_import]) == (7, [13])
    assert [each.name for each in read.graph.input] == ["images"]
    assert [each.name for each in read.graph.output] == ["logits"]
    batch = read.graph.input[0].type.tensor_type.shape.dim[0]
    assert batch.dim_param == read.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "n"
    facts = {each.key: each.value for each in read.metadata_props}
    assert tuple(json.loads(facts["class_names"])) == model.class_names
    assert json.loads(facts["convention"])["kind"] == model.convention.kind
    assert facts["receipt_sha256"] == model.run.receipt_digest()
    assert facts["licence"] == "CC0-1.0"
    assert facts["data_licence"] == ("not stated" if hasattr(model, "arrays") else "CC BY 4.0")


def test_the_same_checkpoint_is_the_same_file(digits_lenet, onnx, tmp_path):
    for name in ("a", "b"):
        write(digits_lenet, "onnx", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def given(model, pixels="uint8"):
    return onnx_file.given_as(Options(input=pixels), some_images(model))


def in_batches(images, ask):
    """All answers, in batches of 1, 2 and 7, then the rest."""
    ends = [0, 1, 3, 10, len(images)]
    return np.concatenate([ask(images[start:end]) for start, end in pairwise(ends)])


@pytest.mark.parametrize(
    ("judge", "pixels"),
    [
        *((judge, pixels) for judge in ("runtime", "opencv", "openvino") for pixels in INPUTS),
        ("evaluator", "uint8"),
    ],
)
def test_other_programs_answer_the_same_in_any_batch(model, onnx, tmp_path, judge, pixels):
    model = model
    path = write(model, "onnx", tmp_path / "x.onnx", input=pixels)
    ask = {
        "runtime": by_runtime, "evaluator": by_evaluator, "opencv": by_opencv,
        "openvino": by_openvino,
    }[judge](path)  # fmt: skip
    check_answers(model, in_batches(given(model, pixels), ask))


def by_runtime(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images})[0]


def by_evaluator(path):
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(str(path))
    return lambda images: evaluator.run(None, {"images": images})[0]


def by_opencv(path):
    cv2 = need_module("cv2", "pip install opencv-python-headless")

    def ask(images):
        network = cv2.dnn.readNetFromONNX(str(path))
        network.setInput(images)
        return network.forward()

    return ask


def by_openvino(path):
    openvino = need_module("openvino", "pip install openvino")
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: compiled(images)[0]


def test_a_runtime_without_the_extra_names_it(digits_lenet, tmp_path, monkeypatch):
    from lenet.export import needs

    monkeypatch.setattr(needs, "find_spec", lambda name: None)
    for to, extra in (("onnx", "onnx"), ("tflite", "tflite"), ("torch", "torch")):
        with pytest.raises(MissingExtraError, match=rf"pip install 'lenet\[{extra}\]'"):
            digits_lenet.export(to, tmp_path / "x")
    assert not list(tmp_path.iterdir())


# TensorFlow Lite.


@pytest.fixture(scope="module")
def litert():
    return need_module("ai_edge_litert.interpreter", "pip install 'lenet[tflite]'")


@pytest.mark.parametrize(("pixels", "probabilities"), [("uint8", False), ("float", True)])
def test_every_network_is_proved_in_tflite(model, litert, tmp_path, pixels, probabilities):
    exported = model.export(
        "tflite", tmp_path / "x.tflite", input=pixels, probabilities=probabilities, **source(model)
    )
    assert exported.proof.findings.classes_agree == exported.proof.findings.images > 0
    assert exported.proof.judge.startswith("LiteRT ")
    options = Options(input=pixels)
    found = in_batches(
        tflite_file.given_as(options, some_images(model)), by_litert(litert, exported.path)
    )
    check_answers(model, found, probabilities)


def by_litert(litert, path):
    interpreter = litert.Interpreter(str(path))

    def ask(images):
        (images_in,), (logits,) = interpreter.get_input_details(), interpreter.get_output_details()
        interpreter.resize_tensor_input(images_in["index"], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(images_in["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(logits["index"])

    return ask


def test_the_tflite_file_says_what_it_is(digits_lenet, litert, tmp_path):
    import tflite

    path = write(digits_lenet, "tflite", tmp_path / "x.tflite", licence="CC0-1.0")
    read = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
    facts = {}
    for index in range(read.MetadataLength()):
        entry = read.Metadata(index)
        text = read.Buffers(entry.Buffer()).DataAsNumpy().tobytes().decode()
        facts[entry.Name().decode()] = text
    assert json.loads(facts["class_names"]) == list("0123456789")
    assert facts["licence"] == "CC0-1.0"
    interpreter = litert.Interpreter(str(path))
    assert interpreter.get_input_details()[0]["shape_signature"].tolist() == [-1, 28, 28, 1]
    assert interpreter.get_output_details()[0]["name"] == "logits"


# PyTorch, and the hub's layout.


@pytest.mark.thorough
def test_every_network_is_proved_in_pytorch(model, tmp_path):
    need_torch()
    exported = model.export("torch", tmp_path / "x", **source(model))
    assert exported.proof.findings.classes_agree == exported.proof.findings.images > 0
    assert exported.proof.judge.startswith("PyTorch ")
    files = {path.name for path in exported.path.iterdir()}
    assert files == {"lenet5.py", "model.safetensors", "example.py", "proof.json"}
    assert set(exported.proof.sha256) == files - {"proof.json"}


def run_alone(folder, *words):
    """A program in a folder, where lenet cannot be imported."""
    hide = "import sys; sys.modules['lenet'] = None; sys.path.insert(0, '.'); import runpy; "
    code = f"{hide}sys.argv = {list(map(str, words))}; runpy.run_path(sys.argv[0])"
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", code], cwd=folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.thorough
def test_the_example_answers_without_lenet(digits_lenet, tmp_path):
    need_torch()
    digits = data.load("digits")
    data.export(digits, "test", tmp_path / "pictures", 3)
    folder = write(digits_lenet, "torch", tmp_path / "torch")
    assert len(run_alone(folder, "example.py").splitlines()) == 3
    picture = next((tmp_path / "pictures").rglob("*.png"))
    said = run_alone(folder, "example.py", picture).splitlines()[0]
    answer = digits_lenet.predict(digits.test.images[int(picture.stem), 0])
    assert said == f"{answer.class_name}: {answer.probability:.4f}"


def test_the_program_is_the_network_as_the_note_writes_it(digits_lenet, tmp_path):
    text = (write(digits_lenet, "torch", tmp_path / "x") / "lenet5.py").read_text()
    lines = [line.strip().split("  #")[0] for line in text.splitlines()]
    start = lines.index("LeNetReshape(),")
    assert lines[start : start + 9] == [
        "LeNetReshape(),",
        "nn.Conv2d(1, 6, kernel_size=5, padding=2), nn.LeakyReLU(0.01),",
        "nn.AvgPool2d(kernel_size=2, stride=2),",
        "nn.Conv2d(6, 16, kernel_size=5), nn.LeakyReLU(0.01),",
        "nn.AvgPool2d(kernel_size=2, stride=2),",
        "nn.Flatten(),",
        "nn.Linear(16 * 5 * 5, 120), nn.LeakyReLU(0.01),",
        "nn.Linear(120, 84), nn.Sigmoid(),",
        "nn.Linear(84, 10),",
    ]


@pytest.mark.thorough
def test_an_exported_folder_is_replaced_whole_and_may_be_used_before_it_is_checked(
    digits_lenet, tmp_path
):
    need_torch()
    folder = digits_lenet.export("hub", tmp_path / "x").path
    (folder / "__pycache__").mkdir()
    (folder / "mine.txt").write_text("mine")
    assert digits_lenet.check_export(folder).findings.images == 360
    with pytest.raises(UsageError, match=r"with 'mine\.txt' in it, which was not exported"):
        digits_lenet.export("torch", folder)
    (folder / "mine.txt").unlink()
    digits_lenet.export("torch", folder)
    assert "README.md" not in {path.name for path in folder.iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_the_card_says_what_a_card_must(models, tmp_path):
    need_torch()
    model = models["lenet5-relu"]
    folder = write(model, "hub", tmp_path / "x", licence="MIT")
    card = (folder / "README.md").read_text()
    front = yaml_of(card)
    assert front["license"] == "mit"
    assert front["pipeline_tag"] == "image-classification"
    scores = model.evaluate()
    (result,) = front["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "accuracy", "value": round(scores.accuracy, 4)}]
    low, high = scores.accuracy_interval
    assert f"{low:.4f}\nto {high:.4f}" in card
    for part in ("How to use it", "Data", "Training", "Scores", "Limits", "Licence"):
        assert f"\n## {part}\n" in card
    assert model.recipe.to_toml() in card
    (code,) = card.split("```python\n")[1:]
    (folder / "of_the_card.py").write_text(code.split("```")[0])
    assert run_alone(folder, "of_the_card.py").strip() in model.class_names
    settings = json.loads((folder / "config.json").read_text())
    assert settings["id2label"] == {str(index): str(index) for index in range(10)}
    assert lenet.Spec.from_dict(settings["network"]) == model.spec


def yaml_of(card):
    yaml = need_module("yaml", "pip install pyyaml")
    return yaml.safe_load(card.split("---\n")[1])


def test_a_card_does_not_say_where_own_pictures_are(models, tmp_path):
    pictures = tmp_path / "secret"
    data.export(data.load("digits"), "train", pictures, 200)
    model = lenet.train(
        data=pictures, out=tmp_path / "run", epochs=1, batch_size=16, learning_rate=0.004
    )
    folder = write(model, "hub", tmp_path / "x")
    for path in folder.iterdir():
        assert str(tmp_path / "secret") not in path.read_bytes().decode("utf-8", "replace")


# Broken exporters.


def broken(monkeypatch, to, change):
    """The format's own exporter, whose file `change` spoils before the proof, which only asks."""
    row = replace(FORMATS[to], stored=None)

    def write(trained, options, path):
        row.write(trained, options, path)
        change(path)

    monkeypatch.setitem(FORMATS, to, replace(row, write=write))


def in_onnx(change):
    def spoil(path):
        import onnx

        read = onnx.load(path)
        change(read, onnx)
        path.write_bytes(read.SerializeToString())

    return spoil


def change_value(name, change):
    def spoil(read, onnx):
        (value,) = (each for each in read.graph.initializer if each.name == name)
        array = onnx.numpy_helper.to_array(value).copy()
        change(array.reshape(-1))
        value.CopyFrom(onnx.numpy_helper.from_array(array, name))

    return in_onnx(spoil)


def one_weight(values):
    """One of C3's 2,400 weights, by a tenth of itself."""
    values[np.abs(values).argmax()] *= 1.1


def another_scale(values):
    values *= np.float32(255 / 256)


def scale_by_a_bit(values):
    """The bit of the pixels' scale that is worth 2^-14 of it."""
    values.view(np.uint32)[0] ^= 1 << 9


def other_pooling(read, onnx):
    next(node for node in read.graph.node if node.name == "S4").op_type = "MaxPool"


def shifted_padding(read, onnx):
    (node,) = (node for node in read.graph.node if node.name == "C1")
    (pads,) = (each for each in node.attribute if each.name == "pads")
    pads.ints[:] = [1, 2, 3, 2]


def classes_in_another_order(read, onnx):
    for name in ("output.weight", "output.bias"):
        (value,) = (each for each in read.graph.initializer if each.name == name)
        array = onnx.numpy_helper.to_array(value)[::-1].copy()
        value.CopyFrom(onnx.numpy_helper.from_array(array, name))


BROKEN = {
    "one weight": change_value("C3.weight", one_weight),
    "another scale": change_value("pixel_scale", another_scale),
    "scale by a bit": change_value("pixel_scale", scale_by_a_bit),
    "other pooling": in_onnx(other_pooling),
    "shifted padding": in_onnx(shifted_padding),
    "classes in another order": in_onnx(classes_in_another_order),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_exporter_is_refused_and_leaves_nothing(
    digits_lenet, onnx, tmp_path, monkeypatch, name
):
    broken(monkeypatch, "onnx", BROKEN[name])
    with pytest.raises(ExportError, match=r"answers otherwise than the run: image test:\d+"):
        digits_lenet.export("onnx", tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def one_bit(values):
    values.view(np.uint32)[7] ^= 1


@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_a_weight_that_is_off_by_a_bit_is_named_though_no_answer_shows_it(
    digits_lenet, onnx, tmp_path, monkeypatch, to
):
    row = FORMATS[to]

    def spoil(trained, options, path):
        row.write(trained, options, path)
        if to == "onnx":
            change_value("C5.weight", one_bit)(path)
        else:
            values = load_file(path / "model.safetensors")
            one_bit(values["net.8.weight"].reshape(-1))
            save_file(values, path / "model.safetensors")

    monkeypatch.setitem(FORMATS, to, replace(row, write=spoil))
    words = r"weights than the run: C5\.weight\[0, 7\] is -?[\d.e-]+ in .* \(1 of 48,000 differ\)"
    with pytest.raises(ExportError, match=words):
        digits_lenet.export(to, tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_weights_are_read_back_to_the_bit(model, tmp_path, litert, onnx):
    trained = model._trained(source(model).get("data"), None)
    for to in ("onnx", "tflite", "torch"):
        found = FORMATS[to].stored(trained, write(model, to, tmp_path / to))
        assert set(found) >= set(model.weights)
        for name, array in model.weights.items():
            np.testing.assert_array_equal(found[name], array)


def test_a_broken_folder_for_pytorch_is_refused_and_leaves_nothing(
    digits_lenet, tmp_path, monkeypatch
):
    need_torch()

    def max_pooling(path):
        program = path / torch_folder.PROGRAM
        program.write_text(program.read_text().replace("nn.AvgPool2d", "nn.MaxPool2d"))

    broken(monkeypatch, "torch", max_pooling)
    with pytest.raises(ExportError, match="answers otherwise than the run: image test:0"):
        digits_lenet.export("torch", tmp_path / "x")
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_a_program_that_fails_is_refused_with_its_last_words(digits_lenet, tmp_path, monkeypatch):
    need_torch()
    broken(monkeypatch, "hub", lambda path: (path / "lenet5.py").write_text("import lenet6"))
    with pytest.raises(ExportError, match=r"lenet5\.py fails in PyTorch: ModuleNotFound.*'lenet6'"):
        digits_lenet.export("hub", tmp_path / "x")
    assert not list(tmp_path.iterdir())


# In Node, as a page in a browser would.

RUNTIME_FOR_NODE = "onnxruntime-web@1.30.0"


@pytest.mark.thorough
def test_node_answers_the_same(models, onnx, tmp_path):
    need(shutil.which("npm") and shutil.which("node"), "install Node: apt install nodejs npm")
    subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", RUNTIME_FOR_NODE],
        cwd=tmp_path, check=True, capture_output=True, env={**os.environ, "CI": "1"},
    )  # fmt: skip
    shutil.copy(Path(__file__).with_name("ask_onnx.mjs"), tmp_path)
    words = []
    for name in zoo.ZOO:
        write(models[name], "onnx", tmp_path / f"{name}.onnx")
        (tmp_path / f"{name}.images").write_bytes(some_images(models[name]).tobytes())
        words += [f"{name}.onnx", f"{name}.images", f"{name}.logits"]
    subprocess.run(["node", "ask_onnx.mjs", *words], cwd=tmp_path, check=True)
    for name in zoo.ZOO:
        logits = np.frombuffer((tmp_path / f"{name}.logits").read_bytes(), "<f4").reshape(-1, 10)
        check_answers(models[name], logits)
    (tmp_path / "page.mjs").write_text(code_of_the_page("js", models["lenet5"], tmp_path))
    done = subprocess.run(
        ["node", "page.mjs"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == class_of_black(models["lenet5"])


def code_of_the_page(language, model, folder):
    """A block of docs/export.md, and in `folder` the files that it reads."""
    page = Path(__file__).parent.parent / "docs" / "export.md"
    (code,) = re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)
    (folder / "runs" / "first" / "export").mkdir(parents=True)
    write(model, "onnx", folder / "runs" / "first" / "export" / "lenet5.onnx")
    write(model, "onnx", folder / "float.onnx", input="float", probabilities=True)
    return code


def class_of_black(model):
    return str(model.logits(np.zeros((1, 28, 28), np.uint8)).argmax())


@pytest.mark.thorough
def test_the_cpp_of_the_page_answers_the_same(digits_lenet, onnx, tmp_path):
    headers = Path("/usr/include/opencv4")
    need(
        headers.is_dir() and shutil.which("g++"),
        "install OpenCV for C++: apt install g++ libopencv-dnn-dev",
    )
    (tmp_path / "answer.cpp").write_text(code_of_the_page("cpp", digits_lenet, tmp_path))
    words = ["g++", f"-I{headers}", "answer.cpp", "-lopencv_dnn", "-lopencv_core"]
    subprocess.run(words, cwd=tmp_path, check=True)
    done = subprocess.run(["./a.out"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == class_of_black(digits_lenet)
