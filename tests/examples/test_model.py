"""The network, and what the steps compute around it."""

import argparse
import io
import json
from collections.abc import Callable
from types import ModuleType

import pytest

Example = Callable[[str], ModuleType]


@pytest.fixture
def torch(example: Example) -> ModuleType:
    return example("torch")


@pytest.fixture
def model(example: Example) -> ModuleType:
    return example("model")


def test_a_batch_of_images_becomes_a_row_of_logits_each(torch: ModuleType, model: ModuleType) -> None:
    assert model.ConvNet()(torch.zeros(3, 1, 28, 28)).shape == (3, 10)
    wide = model.ConvNet(image_shape=[3, 32, 20], channels=[4, 4, 4], classes=7)
    assert wide(torch.zeros(2, 3, 32, 20)).shape == (2, 7)


def test_metadata_rebuilds_the_network(torch: ModuleType, model: ModuleType, example: Example) -> None:
    config = json.loads(json.dumps(example("initialize").MODEL_CONFIG))
    original = model.ConvNet(**config)
    file = io.BytesIO()
    torch.save(model.weights(original), file)
    file.seek(0)
    rebuilt = model.ConvNet(**config)
    rebuilt.load_state_dict(torch.load(file, weights_only=True))
    images = torch.rand(4, 1, 28, 28)
    assert torch.equal(model.predict(original, images, 4), model.predict(rebuilt, images, 4))


def test_predict_drops_nothing_out_and_covers_the_last_short_batch(torch: ModuleType, model: ModuleType) -> None:
    network = model.ConvNet(dropout=0.5).train()
    images = torch.rand(7, 1, 28, 28)
    whole = model.predict(network, images, batch_size=7)
    batched = model.predict(network, images, batch_size=3)
    assert whole.shape == (7, 10)
    torch.testing.assert_close(whole, batched)
    assert not whole.requires_grad


def test_accuracy_is_a_share_and_a_plain_float(torch: ModuleType, model: ModuleType) -> None:
    share = model.accuracy(torch.eye(4), torch.tensor([0, 1, 2, 0]))
    assert share == 0.75
    assert type(share) is float


def test_a_seed_gives_the_same_weights_and_the_same_file(
    torch: ModuleType, model: ModuleType, example: Example
) -> None:
    def saved(seed: int) -> bytes:
        example("torch_support").make_repeatable(seed)
        file = io.BytesIO()
        torch.save(model.weights(model.ConvNet()), file)
        return file.getvalue()

    try:
        assert saved(1) == saved(1)
        assert saved(1) != saved(2)
    finally:
        torch.use_deterministic_algorithms(False)


def test_preprocessing_adds_a_channel_and_scales_to_one(torch: ModuleType, example: Example) -> None:
    step = example("preprocess_data")
    raw = torch.tensor([[[0, 51], [255, 102]]], dtype=torch.uint8)
    images = step.preprocess(raw, **json.loads(json.dumps(step.STEPS)))
    assert images.dtype == torch.float32
    torch.testing.assert_close(images, torch.tensor([[[[0.0, 0.2], [1.0, 0.4]]]]))


def test_the_hardest_images_come_first_with_what_they_were_taken_for(
    torch: ModuleType, example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = example("report")
    logits = torch.tensor([[9.0, 0.0], [5.0, 0.0], [0.0, 1.0], [0.0, 9.0]])
    labels = torch.tensor([0, 1, 0, 0])
    monkeypatch.setattr(report, "predict", lambda *_: logits)
    images = torch.arange(4.0).reshape(4, 1, 1, 1)
    result = report.evaluate(None, images, labels, hardest=3)
    assert result.images.flatten().tolist() == [3.0, 1.0, 2.0]
    assert result.labels.tolist() == [0, 1, 0]
    assert result.guesses.tolist() == [1, 0, 1]
    assert result.accuracy == 0.25
    assert type(result.loss) is float
    assert report.evaluate(None, images, labels).images.shape == (4, 1, 1, 1)


def test_counts_are_at_least_one(example: Example) -> None:
    positive_int = example("options").positive_int
    assert positive_int("1") == 1
    for text, error in [("0", argparse.ArgumentTypeError), ("one", ValueError)]:
        with pytest.raises(error):
            positive_int(text)
