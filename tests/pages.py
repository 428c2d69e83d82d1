"""The commands of a page, as tests run them."""

import re


def shell_commands(page):
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def shortened(words):
    """Words after `lenet`: two passes say that a training runs, two seeds that a study does."""
    if words[0] == "train" and not {"--resume", "--epochs"} & {*words}:
        return [*words, "--epochs", "2"]
    if words[:2] == ["study", "run"] and "--seeds" not in words:
        return [*words, "--seeds", "2"]
    return words
