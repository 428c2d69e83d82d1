import io

from lenet.display import LineDisplay, Plan, describe_row

ROW = {"epoch": 2, "train_loss": 0.2874, "train_accuracy": 0.8921, "test_accuracy": 0.8664}


def test_an_epoch_is_one_line():
    stream = io.StringIO()
    display = LineDisplay(stream)
    display.start(Plan("title", 10, 235, 1, 0))
    display.step(1, 1)
    display.point(ROW)
    display.epoch(ROW, 12345.6)
    display.stop()
    assert stream.getvalue() == (
        "epoch 2/10: loss 0.287, train acc 0.892, test acc 0.866, 12,346 examples/s\n"
    )


def test_the_metrics_are_in_the_notes_words():
    assert describe_row(ROW) == "loss 0.287, train acc 0.892, test acc 0.866"
    assert "validation acc 0.900" in describe_row({**ROW, "validation_accuracy": 0.9})
