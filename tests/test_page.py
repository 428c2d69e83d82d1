"""The page, in a real Chromium and from disk: it answers, shows and trains as the engine does."""

import base64
import json
import os
import re
import shutil
import subprocess
from dataclasses import asdict, replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from conftest import need, run_lenet, train_run

import lenet
from lenet import data
from lenet.data.pictures.picture import read_picture
from lenet.errors import UsageError
from lenet.network import zoo
from lenet.prediction.explanation import explain_image
from lenet.recipe import Recipe
from lenet.runs.run import open_run
from lenet.show.page import assembly, write_page
from lenet.show.page.content import Shown, gather

ROOT = Path(__file__).parent.parent
PARTS = ROOT / "src" / "lenet" / "show" / "page"
AXE = "axe-core@4.10.3"
ZERO = [
    [
        (0.5 + 0.17 * np.sin(turn), 0.5 - 0.3 * np.cos(turn))
        for turn in np.linspace(0, 2 * np.pi, 17)
    ]
]

LOGITS = """([network, text, each]) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  let found = "";
  for (let start = 0; start < bytes.length; start += each) {
    const logits = lenet.logits(network, bytes.subarray(start, start + each));
    found += String.fromCharCode(...new Uint8Array(logits.buffer));
  }
  return btoa(found);
}"""
SEEN = """() => {
  const { seen } = lenet.page.subjects[0];
  const text = (values) => Array.from(values);
  return { image: text(seen.image), activations: seen.activations.map(text),
    occlusion: text(lenet.page.subjects[0].occlusion()), probabilities: seen.probabilities,
    notes: seen.notes.map(({ word }) => word), plain: seen.plain && text(seen.plain),
    stages: seen.stages.map(({ word, planes }) => [word, text(planes[0].values)]) };
}"""


@pytest.fixture(autouse=True)
def baseline(monkeypatch):
    """The instruction set whose bytes a browser gives."""
    monkeypatch.setenv("LENET_ISA", "baseline")


@pytest.fixture(scope="module")
def second_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("second") / "relu"
    return train_run("lenet5-relu", "digits", out=out, epochs=3, batch_size=32, learning_rate=0.1)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory):
    """One that reads what is drawn by hand."""
    out = tmp_path_factory.mktemp("first") / "note"
    return train_run(data="digits", out=out, epochs=15, batch_size=32, learning_rate=0.2)


@pytest.fixture(scope="module")
def page(first_run, second_run, tmp_path_factory):
    """The page of two runs."""
    out = tmp_path_factory.mktemp("page") / "page.html"
    return write_page([first_run.path, second_run.path], out)


@pytest.fixture(scope="module")
def facts(page):
    """What that page knows."""
    return json.loads(re.search(r'id="facts">(.*?)</script>', page.read_text())[1])


def own_run(out):
    """A run on two classes of data that was at hand and is not kept."""
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
    images[::2, 5:9] = 255
    return train_run(data=(images, np.arange(40) % 2), out=out, epochs=1, batch_size=8)


def page_of(checkpoint, path, name="own"):
    """The page of one network, without test images."""
    path.write_text(assembly.assemble(gather([Shown(name, checkpoint)], fetch=False)).text)
    return path


class Tab:
    """A page that is open, and what went wrong in it."""

    def __init__(self, browser, path, fragment="", script=None, **options):
        self.context = browser.new_context(accept_downloads=True, **options)
        self.tab, self.complaints, self.requests = self.context.new_page(), [], []
        self.tab.on("console", lambda message: self.complaints.append(message.text))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        if script:
            self.tab.add_init_script(script)
        self.address = path if "://" in str(path) else path.as_uri()
        self.tab.goto(self.address + fragment)
        self.fragment = fragment

    def __enter__(self):
        self.tab.wait_for_selector("#main:not([hidden])", timeout=30_000)
        self.rest()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            local = (self.address, "data:", "blob:")
            assert self.complaints == []
            assert [url for url in self.requests if not url.startswith(local)] == []
        self.context.close()

    def rest(self):
        """Until all that it shows is drawn."""
        self.until("lenet.page.isAtRest")

    def until(self, what):
        """Until that is true; the page forbids what `wait_for_function` needs."""
        while not self.tab.evaluate(what):
            self.tab.wait_for_timeout(20)

    def draw(self, strokes):
        box = self.tab.locator("#pad").bounding_box()
        for stroke in strokes:
            for number, (x, y) in enumerate(stroke):
                self.tab.mouse.move(
                    box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4
                )
                if number == 0:
                    self.tab.mouse.down()
            self.tab.mouse.up()

    def answer(self):
        """The class that stands there; None where there is nothing to read."""
        self.rest()
        said = self.tab.locator(".said .class").first.inner_text()
        return None if said == "–" else said

    def train(self, **numbers):
        from playwright.sync_api import expect

        for name, value in numbers.items():
            self.tab.fill(f"[name={name}]", str(value))
        self.tab.click("#train")
        expect(self.tab.locator("#training-state")).to_contain_text("Done", timeout=120_000)

    def until_it_stands(self, state):
        """Until the text does not change for a moment."""
        before = None
        while (now := state.inner_text()) != before:
            before = now
            self.tab.wait_for_timeout(300)

    def save(self, path):
        with self.tab.expect_download() as download:
            self.tab.click("#save")
        download.value.save_as(path)
        return path


def logits_of(tab, images, network=0, each=None):
    text = base64.b64encode(images.tobytes()).decode()
    size = images[0].size * (each or min(len(images), 1000))
    found = tab.tab.evaluate(LOGITS, [network, text, size])
    return np.frombuffer(base64.b64decode(found), "<f4").reshape(len(images), -1)


# ---- the file ------------------------------------------------------------------------------------


def test_the_page_stands_alone_in_less_than_a_megabyte(page):
    text = page.read_text()
    assert page.stat().st_size < 1_000_000
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)
    policy = unescape(policy)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy


def test_the_command_line_writes_it(digits_run, tmp_path):
    code, out, err = run_lenet("page", digits_run.path, "--out", tmp_path / "my.html")
    assert code == 0, err
    assert re.fullmatch(rf"page: {tmp_path}/my\.html \(\d+ kB\)\n", out)
    assert (tmp_path / "my.html").read_text().startswith("<!doctype html>")


def test_a_model_writes_it_into_its_runs_folder(first_run, second_run):
    path = lenet.load(first_run.path).page(beside=second_run.path)
    assert path == first_run.path / "page.html"


def test_networks_that_see_other_pictures_are_not_put_side_by_side(digits_run, tmp_path):
    own = own_run(tmp_path / "own")
    with pytest.raises(UsageError, match="do not take the same pictures to the same classes"):
        write_page([digits_run.path, own.path])
    with pytest.raises(UsageError, match="3 runs: a page shows one, or two side by side"):
        write_page([digits_run.path] * 3)


def test_data_that_is_gone_leaves_a_page_without_test_images(tmp_path):
    own = own_run(tmp_path / "own")
    with pytest.warns(UserWarning, match="the page will carry no test images: .*at hand"):
        path = write_page([own.path])
    facts = json.loads(re.search(r'id="facts">(.*?)</script>', path.read_text())[1])
    assert facts["examples"] == {"labels": [], "indices": []}
    assert facts["networks"][0]["accuracy"] is None


def test_data_at_hand_are_the_test_images_of_the_page(tmp_path):
    digits = data.load("digits")
    given = digits.train.images[:200, 0], digits.train.labels[:200]
    model = lenet.train(data=given, recipe="note", epochs=1, out=tmp_path / "run")
    pages = [model.page(), lenet.load(model.run.path).page(tmp_path / "b.html", data=given)]
    texts = [page.read_text() for page in pages]
    assert texts[0] == texts[1]
    facts = json.loads(re.search(r'id="facts">(.*?)</script>', texts[0])[1])
    assert len(facts["examples"]["labels"]) == model.evaluate().count


def test_names_of_classes_cannot_become_markup(digits_run):
    checkpoint = open_run(digits_run.path).checkpoint()
    names = checkpoint.data.class_names
    object.__setattr__(checkpoint.data, "class_names", ("</script><script>x", *names[1:]))
    text = assembly.assemble(gather([Shown("<b>", checkpoint)], fetch=False)).text
    assert "<script>x" not in text
    assert "\\u003c/script>\\u003cscript>x" in text
    assert "<b>" not in text


def test_the_modules_are_one_script_in_which_every_name_is_there_once():
    folder = PARTS / "modules"
    text = assembly.join_modules(lambda name: (folder / name).read_text())
    assert not re.search(r"^(import|export)\b", text, re.MULTILINE)
    joined = re.findall(r"^// ---- (\S+\.js) ----$", text, re.MULTILINE)
    assert sorted(joined) == sorted(path.name for path in folder.iterdir())
    top = r"^(?:export )?(?:async )?(?:function\*?|class|const|let) (\w+)"
    named = [
        name
        for path in folder.iterdir()
        for name in re.findall(top, path.read_text(), re.MULTILINE)
    ]
    assert len(named) == len(set(named)) > 100


def test_both_languages_say_the_same_things_and_all_that_is_asked_for():
    english, chinese = (
        json.loads((PARTS / "words" / f"{name}.json").read_text()) for name in ("en", "zh")
    )
    assert list(english) == list(chinese)
    for key in english:
        names = re.compile(r"\{(\w+)\}")
        assert set(names.findall(english[key])) == set(names.findall(chinese[key])), key
    asked = re.findall(r'data-word(?:-label)?="([\w-]+)"', (PARTS / "page.html").read_text())
    for path in (PARTS / "modules").iterdir():
        asked += re.findall(r'\b(?:say|soft)\("([\w-]+)"', path.read_text())
    assert set(asked) <= set(english)


@pytest.mark.thorough
@pytest.mark.timeout(900)  # a compiler at work
def test_the_kernels_of_the_page_are_what_the_sources_give(tmp_path):
    cure = "apt install clang-19 lld-19 libc++-19-dev-wasm32 libclang-rt-19-dev-wasm32 wasi-libc"
    need(shutil.which("clang++-19") and shutil.which("wasm-ld-19"), f"install a compiler: {cure}")
    subprocess.run(
        ["make", "-j2", "wasm", f"WASM={tmp_path}/made.wasm"], cwd=ROOT, check=True,
        capture_output=True,
    )  # fmt: skip
    made = (tmp_path / "made.wasm").read_bytes()
    assert made == (PARTS / "lenet.wasm").read_bytes(), "run make wasm, and commit what it makes"


# ---- what a person sees --------------------------------------------------------------------------


@pytest.mark.parametrize(("theme", "width"), [("light", 360), ("dark", 1600)])
def test_a_digit_is_drawn_and_read(browser, page, theme, width):
    options = {"color_scheme": theme, "viewport": {"width": width, "height": 900}}
    with Tab(browser, page, **options) as tab:
        ground = tab.tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == {"light": "rgb(246, 244, 239)", "dark": "rgb(16, 18, 22)"}[theme]
        hint = tab.tab.locator("#pad-hint")
        assert hint.is_hidden()  # a test image is shown
        keep_screenshot(tab, f"{theme}-{width}-example")
        tab.tab.click("#clear")
        assert tab.answer() is None
        assert hint.is_visible()
        keep_screenshot(tab, f"{theme}-{width}-empty")
        tab.draw(ZERO)
        assert tab.answer() == "0"
        assert hint.is_hidden()
        assert tab.tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        stages = tab.tab.locator("#stages li").all_inner_texts()
        assert [text.strip() for text in stages][-3:] == ["cropped", "fitted", "centred"]
        assert "Dark ink on a light ground" in tab.tab.inner_text("#notes")
        assert tab.tab.inner_text("#plain").startswith("Only resized, the network would say")
        link = tab.tab.url
        tab.tab.click("#undo")
        assert tab.answer() is None
        keep_screenshot(tab, f"{theme}-{width}")
    with Tab(browser, page, "#" + link.partition("#")[2], **options) as tab:
        assert tab.answer() == "0"


def keep_screenshot(tab, name):
    if os.environ.get("LENET_KEEP"):
        tab.tab.screenshot(path=f"{os.environ['LENET_KEEP']}/page-{name}.png", full_page=True)


def test_an_answer_that_is_less_likely_than_two_thirds_is_not_sure(browser, page, facts, first_run):
    model, images = lenet.load(first_run.path), data.load("digits").test.images
    shown = facts["examples"]["indices"]
    worst = min(shown, key=lambda index: model(images[index]).max())
    answer = model.predict(images[worst][0])
    assert not answer.is_sure
    with Tab(browser, page, f"#example={worst}") as tab:
        assert tab.answer() == answer.class_name
        assert tab.tab.locator(".doubt").count() == 1


LET_FALL = """(place) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File(["no picture"], "notes.txt"));
  const event = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
  document.querySelector(place).dispatchEvent(event);
  return event.defaultPrevented;
}"""


def test_a_file_that_falls_beside_the_pad_does_not_take_the_pages_place(browser, page):
    with Tab(browser, page) as tab:
        alarm = tab.tab.locator("#alarm")
        assert tab.tab.evaluate(LET_FALL, "#answer")
        assert alarm.is_hidden()
        tab.tab.evaluate(LET_FALL, "#drop")
        alarm.wait_for()
        tab.tab.locator("#examples button").first.click()
        assert alarm.is_hidden()


def test_a_stroke_over_a_test_image_begins_a_drawing_and_undo_brings_one_back(browser, page):
    count = "lenet.page.pad.strokes.length"
    with Tab(browser, page) as tab:
        tab.draw(ZERO)
        example = tab.tab.locator("#examples button").nth(4)
        example.click()
        tab.rest()
        tab.tab.click("#undo")
        assert tab.answer() == "0"
        assert tab.tab.evaluate(count) == 1
        example.click()
        tab.rest()
        tab.draw(ZERO)
        assert tab.tab.evaluate(count) == 1


@pytest.mark.parametrize(
    "fragment",
    [
        "show=0.5",
        "show=7",
        "unit=1.2.3.4.4",
        "unit=0.0.-1.0.0",
        "unit=0.9.0.0.0",
        "language=toString",
    ],
)
def test_a_link_that_was_damaged_opens(browser, page, fragment):
    with Tab(browser, page, f"#{fragment}&example=0") as tab:
        assert tab.answer()
        assert "undefined" not in tab.tab.inner_text("#unit")
        assert tab.tab.get_attribute("html", "lang") == "en"
        assert fragment not in tab.tab.url


def test_what_is_shared_is_what_is_seen(browser, page, facts):
    with Tab(browser, page) as tab:
        tab.tab.locator("canvas.maps").first.click(position={"x": 40, "y": 40})
        tab.rest()
        link, seen = tab.tab.url, tab.tab.inner_text("#unit")
        assert seen.startswith("pixel at row")
        tab.tab.evaluate("location.hash = '#show=1&language=zh'")
        tab.until("document.documentElement.lang === 'zh-CN'")
        tab.rest()
        assert "lenet5-relu" in tab.tab.inner_text("#subtitle")
        tab.tab.focus(".skip")
        tab.tab.keyboard.press("Enter")
        tab.until("location.hash.includes('show=1')")
        assert tab.tab.evaluate("document.activeElement.id") == "layers"
    with Tab(browser, page, "#" + link.partition("#")[2], locale="zh-CN") as tab:
        assert tab.tab.get_attribute("html", "lang") == "en"
        assert tab.tab.inner_text("#unit") == seen


@pytest.mark.parametrize("width", [360, 1100, 1400, 1600])
def test_the_numbers_of_a_unit_are_not_cut(browser, page, width):
    viewport = {"width": width, "height": 900}
    with Tab(browser, page, "#example=0", viewport=viewport) as tab:
        fits = "all => all.length && all.every(each => each.scrollWidth <= each.clientWidth)"
        assert tab.tab.eval_on_selector_all(".grids", fits)


@pytest.mark.parametrize("width", [360, 1280])
def test_bars_beside_long_names_stay_and_begin_in_one_line(browser, first_run, tmp_path, width):
    checkpoint = open_run(first_run.path).checkpoint()
    names = checkpoint.data.class_names
    object.__setattr__(checkpoint.data, "class_names", ("many words " * 9, "trousers", *names[2:]))
    path = tmp_path / "page.html"
    page_of(checkpoint, path, "a")
    with Tab(browser, path, "#example=0", viewport={"width": width, "height": 900}) as tab:
        boxes = [bar.bounding_box() for bar in tab.tab.locator(".bars .bar").all()]
        shares = [share.bounding_box() for share in tab.tab.locator(".bars .share").all()]
        assert tab.tab.locator(".bars .name").first.bounding_box()["width"] > 60
        assert len({round(share["height"]) for share in shares}) == 1
    assert min(box["width"] for box in boxes) > 20
    assert len({round(box["x"]) for box in boxes}) == 1


def test_what_is_said_by_a_ground_is_seen_in_high_contrast(browser, page):
    ground = "name => getComputedStyle(document.querySelector(name)).backgroundColor"
    with Tab(browser, page, "#example=0", forced_colors="active") as tab:
        assert tab.tab.evaluate(ground, ".best .fill") == "rgb(184, 54, 10)"
        chosen = tab.tab.evaluate(ground, ".pill input:checked + span")
        assert chosen != tab.tab.evaluate(ground, ".pill input:not(:checked) + span")


@pytest.mark.parametrize("fragment", ["", "#theme=dark"])
def test_a_dark_page_is_printed_light_and_whole(browser, page, fragment):
    with Tab(browser, page, fragment, color_scheme="dark") as tab:
        tab.tab.emulate_media(media="print")
        tab.until("!lenet.page.scale.isDark")
        assert tab.tab.evaluate("getComputedStyle(document.body).color") == "rgb(28, 29, 32)"
        unit = "document.getElementById('unit')"
        assert tab.tab.evaluate(f"{unit}.scrollHeight === {unit}.clientHeight")
        tab.tab.emulate_media(media="screen")
        tab.until("lenet.page.scale.isDark")


def test_a_name_from_right_to_left_stays_apart_from_its_number(browser, first_run, tmp_path):
    checkpoint = open_run(first_run.path).checkpoint()
    object.__setattr__(checkpoint.data, "class_names", tuple("ابتثجحخدذر"))
    path = tmp_path / "page.html"
    page_of(checkpoint, path, "a")
    with Tab(browser, path) as tab:
        tab.draw(ZERO)
        assert tab.answer() == "ا"
        spoken = tab.tab.locator("#spoken")
        assert "\u2068ا\u2069" in spoken.text_content()


def test_every_layer_and_the_occlusion_are_the_engines(browser, page, facts, first_run):
    index = facts["examples"]["indices"][5]
    image = data.load("digits").test.images[index]
    model = lenet.load(first_run.path)
    wanted = explain_image(model._engine, model.checkpoint, image)
    with Tab(browser, page, f"#example={index}") as tab:
        found = tab.tab.evaluate(SEEN)
    for values, maps in zip(found["activations"], wanted.activations.values(), strict=True):
        assert np.array_equal(np.array(values, np.float32), maps.ravel())
    assert np.allclose(found["occlusion"], wanted.occlusion.ravel(), atol=1e-12)
    assert np.allclose(found["probabilities"], wanted.probabilities, atol=1e-12)


def test_a_unit_is_explained_by_the_sum_that_made_it(browser, page):
    with Tab(browser, page, "#unit=0.2.3.4.4") as tab:
        text = tab.tab.inner_text("#unit")
        assert text.startswith("C3, map 4, row 5, column 5")
        assert "It looks at 14×14 pixels of the picture" in text
        assert "Sum of 150 products" in text
        rows = tab.tab.locator("#unit .sum td").all_inner_texts()
        products, bias, before, value = (float(row.replace("−", "-")) for row in rows)
        assert products + bias == pytest.approx(before, abs=2e-3)
        said = float(re.search(r"The kernel says (.+)\.", text)[1].replace("−", "-"))
        assert value == pytest.approx(said, abs=1e-3)
        assert tab.tab.locator("#unit .grid").count() == 18
        assert tab.tab.locator("#excites button").count() == 12
        canvas = tab.tab.locator("canvas.maps").nth(6)  # F6
        canvas.hover(position={"x": 20, "y": 30})
        tab.rest()
        assert tab.tab.inner_text("#unit").startswith("F6, unit ")
        tab.tab.locator("#unit button").dispatch_event("click")


def test_two_networks_stand_side_by_side(browser, page, second_run):
    with Tab(browser, page, "#show=0,1&language=zh") as tab:
        assert tab.tab.locator("canvas.maps").count() == 16
        assert tab.tab.locator("#answers h3").all_inner_texts() == ["note", "relu"]
        tab.rest()
        captions = tab.tab.locator("#occlusion figcaption").all_inner_texts()
        assert [text.partition(":")[0] for text in captions] == ["note", "relu"]
        assert tab.tab.get_attribute("html", "lang") == "zh-CN"
        keep_screenshot(tab, "side-by-side")


def test_without_webassembly_the_page_says_what_it_needs(browser, page):
    tab = Tab(browser, page, script="delete window.WebAssembly")
    tab.tab.wait_for_selector("#alarm:not([hidden])")
    assert "no WebAssembly with SIMD" in tab.tab.inner_text("#alarm")
    assert tab.complaints == []
    tab.context.close()


def test_the_keyboard_alone_draws_reads_watches_and_trains(browser, page):
    from playwright.sync_api import expect

    with Tab(browser, page) as tab:
        press = tab.tab.keyboard.press

        def go_to(what):
            for _ in range(80):
                press("Tab")
                if tab.tab.evaluate("what => document.activeElement.matches(what)", what):
                    return
            pytest.fail(f"Tab never came to {what}")

        go_to("#pad")
        press("Delete")
        for keys in (
            "ArrowUp*7", "ArrowLeft*3", " ", "ArrowRight*6", "ArrowDown*14", "ArrowLeft*6",
            "ArrowUp*14", " ",
        ):  # fmt: skip
            key, _, times = keys.partition("*")
            for _ in range(int(times or 1)):
                press(key)
        assert tab.answer() == "0"
        go_to("canvas.maps")
        go_to("canvas.maps")
        press("ArrowRight")
        press("ArrowDown")
        assert tab.tab.inner_text("#spoken").startswith("C1, map 1, row 2, column 2 is ")
        press("Enter")
        assert tab.tab.locator("#let-go").is_visible()
        press("Escape")
        assert not tab.tab.locator("#let-go").is_visible()
        go_to("[name=epochs]")
        press("ControlOrMeta+a")
        tab.tab.keyboard.type("1")
        go_to("#train")
        press("Enter")
        expect(tab.tab.locator("#training-state")).to_contain_text("Done", timeout=60_000)


@pytest.mark.thorough
def test_an_accessibility_checker_finds_nothing_serious(browser, page, tmp_path):
    need(shutil.which("npm"), "install Node: apt install nodejs npm")
    subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", AXE],
        cwd=tmp_path, check=True, capture_output=True, env={**os.environ, "CI": "1"},
    )  # fmt: skip
    axe = (tmp_path / "node_modules" / "axe-core" / "axe.min.js").read_text()
    for theme, fragment in (("light", "#unit=0.2.3.4.4"), ("dark", "#show=0,1&language=zh")):
        with Tab(browser, page, fragment, color_scheme=theme) as tab:
            tab.tab.evaluate(axe)
            found = tab.tab.evaluate("async () => (await axe.run()).violations")
        serious = [
            (each["id"], [node["html"][:150] for node in each["nodes"]])
            for each in found
            if each["impact"] in ("serious", "critical")
        ]
        assert serious == []


# ---- the same numbers ----------------------------------------------------------------------------


def test_a_page_without_test_images_has_no_card_for_them(browser, page, tmp_path):
    for path, hidden in (
        (page, False),
        (page_of(own_run(tmp_path).checkpoint(), tmp_path / "page.html"), True),
    ):
        with Tab(browser, path) as tab:
            assert tab.tab.locator("#exciting").is_hidden() is hidden
            assert tab.tab.locator("#no-examples").is_visible() is hidden


# The colours of every fifth pixel of a canvas, red, green and blue.
COLOURS = """(canvas) => {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const found = [];
  for (let k = 0; k < data.length; k += 20) found.push([data[k], data[k + 1], data[k + 2]]);
  return found;
}"""


def test_a_picture_in_colours_has_them_wherever_it_is_drawn(browser, tmp_path):
    from PIL import Image

    images = np.random.default_rng(0).integers(0, 20, (20, 28, 28, 3), np.uint8)
    images[::2, 6:20, 6:20] = 220, 30, 40
    images[1::2, 8:22, 4:24] = 30, 60, 220
    run = train_run(data=(images, np.arange(20) % 2), out=tmp_path / "run", epochs=1, batch_size=4)
    Image.fromarray(images[0]).save(tmp_path / "red.png")
    with Tab(browser, page_of(run.checkpoint(), tmp_path / "page.html"), "#unit=0.2.3.4.4") as tab:
        tab.tab.set_input_files("#file", tmp_path / "red.png")
        tab.until("lenet.page.input.kind === 'picture'")
        tab.rest()
        for canvas in ("#unit .field canvas", "#occlusion canvas"):
            colours = np.array(tab.tab.locator(canvas).first.evaluate(COLOURS), int)
            reddest = colours[np.argmax(colours[:, 0] - colours[:, 2])]
            assert reddest[0] > reddest[1:].max() + 60, canvas


@pytest.mark.thorough
def test_logits_of_the_whole_test_split_are_the_baselines_to_the_bit(
    browser, fashion_mnist, tmp_path
):
    run = train_run(data=fashion_mnist, out=tmp_path / "run", epochs=1)
    images = data.load(fashion_mnist).test.images
    model = lenet.load(run.path)
    assert model._engine.detail == "baseline"
    with Tab(browser, write_page([run.path])) as tab:
        found = logits_of(tab, images)
        alone = logits_of(tab, images[:300], each=1)
    assert found.tobytes() == model.logits(images).tobytes()
    assert alone.tobytes() == np.concatenate([model.logits(one) for one in images[:300]]).tobytes()


PICTURES = {
    "a dark digit on paper": ("digits", (90, 70), 235, 30),
    "chalk": ("digits", (64, 120), 20, 240),
    "a coat on white": ("fashion-mnist", (80, 80), 255, 90),
    "a bag on black, wide": ("fashion-mnist", (40, 100), 0, 180),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_prepared_as_the_engine_does(browser, tmp_path, digits_run, name):
    from PIL import Image, ImageDraw

    kind, (height, width), ground, ink = PICTURES[name]
    if kind == "digits":
        run = digits_run
    else:
        run = own_run(tmp_path / "own")
        checkpoint = run.checkpoint()
        object.__setattr__(checkpoint.data, "convention", data.CATALOG[kind].convention)
        run.write_checkpoint(checkpoint, lambda updates: True)
    picture = Image.new("L", (width, height), ground)
    draw = ImageDraw.Draw(picture)
    draw.line([(width * 0.3, height * 0.2), (width * 0.7, height * 0.2)], fill=ink, width=6)
    draw.line([(width * 0.7, height * 0.2), (width * 0.45, height * 0.8)], fill=ink, width=6)
    picture.save(tmp_path / "picture.png")
    checkpoint = run.checkpoint()
    wanted = read_picture(
        tmp_path / "picture.png", checkpoint.spec.input_shape, checkpoint.data.convention
    )
    with Tab(browser, page_of(checkpoint, tmp_path / "page.html")) as tab:
        tab.tab.set_input_files("#file", tmp_path / "picture.png")
        tab.until("lenet.page.input.kind === 'picture'")
        found = tab.tab.evaluate(SEEN)
    assert len(found["stages"]) == len(wanted.stages)
    for (_, values), stage in zip(found["stages"], wanted.stages, strict=True):
        assert np.array_equal(np.array(values), stage.image.ravel()), stage.name
    assert np.array_equal(np.array(found["image"]), wanted.image.ravel())
    assert np.array_equal(np.array(found["plain"]), wanted.plain.ravel())


RECIPES = {
    "sgd": {"model": "lenet5", "learning_rate": 0.2},
    "momentum, cosine": {
        "model": "lenet5-relu", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True,
        "weight_decay": 1e-4, "schedule": "cosine", "initialiser": "kaiming_uniform",
    },
    "adamw, one cycle": {
        "model": "lenet5-sigmoid", "learning_rate": 0.003, "optimizer": "adamw",
        "weight_decay": 0.01, "schedule": "one_cycle", "label_smoothing": 0.1,
        "initialiser": "lecun_uniform",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_a_training_in_the_page_ends_with_the_same_bytes(browser, tmp_path, name):
    from playwright.sync_api import expect

    changes = {"data": "digits", "batch_size": 50, "epochs": 2, "seed": 3, **RECIPES[name]}
    run = train_run(**changes, out=tmp_path / "run")
    with Tab(browser, write_page([run.path])) as tab:
        tab.train()
        rows = tab.tab.evaluate("lenet.page.trainer.rows")
        saved = tab.save(tmp_path / "page.safetensors")
        expect(tab.tab.locator("#subjects")).to_contain_text("trained here")
        expect(tab.tab.locator("#curves svg polyline")).to_have_count(3)
    assert saved.read_bytes() == run.checkpoint_paths()[0].read_bytes()
    history = run.history()
    assert len(rows) == len(history)
    for found, wanted in zip(rows, history, strict=True):
        assert found.keys() == wanted.keys()
        for key in found:
            assert found[key] == pytest.approx(wanted[key], rel=1e-9), key
    assert lenet.load(saved).class_names == run.checkpoint().data.class_names


@pytest.mark.thorough
def test_files_of_mnist_that_are_dropped_train_to_the_same_bytes(browser, mnist_folder, tmp_path):
    from playwright.sync_api import expect

    options = {"data": "mnist", "data_dir": mnist_folder, "epochs": 1, "seed": 1}
    run = train_run("lenet5", out=tmp_path / "run", **options)
    files = sorted((mnist_folder / "mnist").glob("*-ubyte.gz"))
    assert len(files) == 4
    with Tab(browser, write_page([run.path], data_dir=mnist_folder)) as tab:
        tab.tab.set_input_files("#data-files", files)
        tab.tab.wait_for_selector("[name=data] option[value=files]", state="attached")
        expect(tab.tab.locator("#training-state")).to_contain_text("60,000 images to train on")
        tab.train()
        saved = tab.save(tmp_path / "page.safetensors")
    assert saved.read_bytes() == run.checkpoint_paths()[0].read_bytes()


def test_a_recipe_that_the_page_cannot_follow_is_not_offered(tmp_path):
    run = train_run(
        "lenet5-sigmoid", "digits", out=tmp_path / "run", epochs=1, batch_size=32,
        learning_rate=0.2, order="constant",
    )  # fmt: skip
    recipes = gather([Shown("run", run.checkpoint())], fetch=False).facts["training"]["recipes"]
    assert recipes["digits"] == asdict(Recipe())


@pytest.mark.parametrize(
    ("changes", "what"),
    [({"preparation": ("deslant",)}, r"the preparation \(deslant\)"),
     ({"model": "lenet5-1998"}, r"layer S2 \(2x2 trained subsampling, scaled_tanh\)"),
     ({"reads": 300}, r"layer C5 \(")],
    ids=["preparation", "layer", "partial"],
)  # fmt: skip
def test_a_network_that_the_page_does_not_know_is_refused(changes, what, first_run):
    checkpoint = first_run.checkpoint()
    spec = zoo.build(changes.get("model", "lenet5"))
    if "preparation" in changes:
        spec = replace(spec, preparation=changes["preparation"])
    if "reads" in changes:
        layers = [
            replace(layer, reads=changes["reads"]) if layer.name == "C5" else layer
            for layer in spec.layers
        ]
        spec = replace(spec, layers=tuple(layers))
    with pytest.raises(UsageError, match=f"the page does not know {what}"):
        gather([Shown("one", replace(checkpoint, spec=spec))], fetch=False)


def test_files_that_are_none_of_mnists_are_refused(browser, page, tmp_path):
    from playwright.sync_api import expect

    (tmp_path / "notes.txt").write_text("no images")
    (tmp_path / "train-labels").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 9, 1, 2]))
    with Tab(browser, page) as tab:
        state = tab.tab.locator("#training-state")
        tab.tab.set_input_files("#data-files", tmp_path / "notes.txt")
        expect(state).to_contain_text("notes.txt: not an IDX file of bytes")
        tab.tab.set_input_files("#data-files", tmp_path / "train-labels")
        expect(state).to_contain_text("does not have the size that its head says")
        (tmp_path / "train-labels").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 1, 2]))
        tab.tab.set_input_files("#data-files", tmp_path / "train-labels")
        expect(state).to_contain_text("Give all four files")
        tab.tab.set_input_files("#file", tmp_path / "notes.txt")
        expect(tab.tab.locator("#alarm")).to_contain_text("no picture that the browser can read")


def test_a_training_that_diverges_says_so_and_one_that_is_stopped_can_be_saved(
    browser, page, tmp_path
):
    from playwright.sync_api import expect

    with Tab(browser, page) as tab:
        state = tab.tab.locator("#training-state")
        tab.tab.select_option("[name=head]", "identity")
        tab.tab.fill("[name=learning_rate]", "9")
        tab.tab.click("#train")
        expect(state).to_contain_text("the training diverged", timeout=60_000)
        tab.tab.select_option("[name=head]", "sigmoid")
        tab.tab.fill("[name=learning_rate]", "0.1")
        tab.tab.fill("[name=epochs]", "100")
        tab.tab.click("#train")
        expect(state).to_contain_text("images/s")
        tab.tab.click("#pause")
        tab.until_it_stands(state)
        before = state.inner_text()
        tab.tab.wait_for_timeout(300)
        assert state.inner_text() == before
        tab.tab.click("#pause")
        tab.tab.click("#stop")
        expect(state).to_contain_text("Stopped")
        saved = tab.save(tmp_path / "half.safetensors")
    model = lenet.load(saved)
    assert model.spec.layers[-2].activation == "sigmoid"
    assert 0 < model.checkpoint.position.updates < 100 * 45


def test_a_training_begins_again_while_one_is_under_way(browser, page):
    from playwright.sync_api import expect

    with Tab(browser, page) as tab:
        for number, head in enumerate(("sigmoid", "relu", "relu", "tanh") * 3):
            tab.tab.fill("[name=epochs]", str(80 + number))
            tab.tab.select_option("[name=head]", head)
            tab.tab.click("#train")
            state = re.compile(rf"epoch \d+ of {80 + number}\b")
            expect(tab.tab.locator("#training-state")).to_contain_text(state)
        tab.train(epochs=1)


# ---- the service ---------------------------------------------------------------------------------


def test_a_service_shows_the_page_of_its_networks(browser, service, first_run):
    from serving import serving

    with serving(first_run.path, f"again={first_run.path}") as running:
        with running.client() as client:
            answer = client.get("/?networks=again")
            policy = answer.headers["content-security-policy"]
            assert "script-src 'sha256-" in policy
            assert "unsafe-inline" not in policy
            assert client.get("/?networks=again").content == answer.content
        with Tab(browser, f"{running.address}/") as tab:
            assert tab.tab.locator("#subjects input").count() == 3
            tab.draw(ZERO)
            assert tab.answer() == "0"
            tab.train(epochs=1)
            assert tab.tab.locator("nav a").first.get_attribute("href") == "/v2/models/note"
