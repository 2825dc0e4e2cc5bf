"""The verb `export`: a trained network as ONNX, checked with onnxruntime, or an encoder for `transformers`.

The ONNX file takes `ids` int64 (B, T) and `lengths` int64 (B,), with any B and T, and gives `probabilities` (B, C).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from imdb_sentiment import __version__
from imdb_sentiment.commands.options import ExportOptions
from imdb_sentiment.config import RECURRENT
from imdb_sentiment.model.trained import NetworkClassifier, load
from shared.errors import UserError
from shared.files import write_json
from shared.torch.onnx_export import (
    MODEL,
    export_module,
    largest_difference,
    require_onnx,
    write_checked,
)

PACKAGE = "dltasks-imdb-sentiment"
EXAMPLES = (
    "A brilliant film. I was moved to tears, and I never am!",
    "Boring.",
    "The first half is not bad, but then nothing happens, and nothing happens again. What were they thinking?",
)


def run(options: ExportOptions) -> int:
    """Write a run's best model (verb `export`)."""
    trained = load(options.run, device="cpu")
    classifier = trained.classifier
    if not isinstance(classifier, NetworkClassifier):
        raise UserError(
            f"{trained.path}: is a linear model, which is not exported. Its words and weights are in "
            f"{trained.path / 'checkpoints' / 'best'}, as text and as safetensors."
        )
    out = Path(options.out) if options.out else trained.path / options.format
    if options.format == "pretrained":
        from imdb_sentiment.commands.export_pretrained import export_pretrained

        line, difference = export_pretrained(trained, out)
        print(f"transformers.{line} loads it.")
        print(
            f"Its probabilities differ from ours by at most {difference:.1e}; {out / 'README.md'} is its card."
        )
        return 0
    difference = export_onnx(classifier, out)
    print(
        f"{out}: model.onnx and model.json. "
        f"onnxruntime's probabilities are torch's to {difference:.1e}."
    )
    return 0


def export_onnx(classifier: NetworkClassifier, out: Path) -> float:
    """Write `model.onnx`, the vocabulary and a description, checked with onnxruntime on batches of two shapes.

    Parameters
    ----------
    classifier : NetworkClassifier
    out : Path
        Folder, new or empty.

    Returns
    -------
    float
        The largest difference of a probability.

    Raises
    ------
    UserError
        A package is missing, the folder is not empty, or the difference is above the tolerance.
    """
    require_onnx(PACKAGE)
    is_recurrent = classifier.config.model in RECURRENT
    model = _Probabilities(with_torchs_lstm(classifier) if is_recurrent else classifier.network)

    def batch(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        return classifier.network.batch(classifier.codec.encode(texts))

    def write(folder: Path) -> None:
        export_module(
            model,
            batch(EXAMPLES),
            folder / MODEL,
            ["ids", "lengths"],
            ["probabilities"],
            {"ids": {0: "batch", 1: "time"}, "lengths": {0: "batch"}},
            has_lstm=is_recurrent,
        )
        classifier.codec.save(folder)
        write_json(folder / "model.json", _description(classifier))

    def check(session: object) -> float:
        cases = []
        for texts in (EXAMPLES, EXAMPLES[:2]):
            ids, lengths = batch(texts)
            inputs = {"ids": ids.numpy(), "lengths": lengths.numpy()}
            cases.append((inputs, [classifier.probabilities(texts)]))
        return largest_difference(session, cases)

    return write_checked(
        out,
        write,
        check,
        package=PACKAGE,
        version=__version__,
        figure="probabilities",
        facts={"family": classifier.config.model},
    )


def with_torchs_lstm(classifier: NetworkClassifier) -> nn.Module:
    """Return an LSTM classifier with torch's LSTM in place of the hand-written one: the same function and weights."""
    from dataclasses import replace

    from imdb_sentiment.data.text import WordCodec
    from imdb_sentiment.model.build import build_network
    from imdb_sentiment.model.network import Network

    own = classifier.network
    assert isinstance(own, Network)
    dimension = own.state_dict()["embedding.weight"].shape[1]
    config = replace(classifier.config, model="lstm")
    assert isinstance(classifier.codec, WordCodec)
    same = build_network(
        config,
        classifier.codec.vocabulary,
        classes=len(classifier.classes),
        dimension=dimension,
        ratios=own.ratios,
    )
    same.load_state_dict(own.state_dict())
    return same.eval()


class _Probabilities(nn.Module):
    """A network as a function from ids to probabilities."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        return self.network(ids, lengths)[0].softmax(-1)


def _description(classifier: NetworkClassifier) -> dict[str, Any]:
    config = classifier.config
    return {
        "family": config.model,
        "classes": list(classifier.classes),
        "tokenizer": config.tokenizer if config.model != "encoder" else "tokenizer.json",
        "inputs": {
            "ids": "int64 (B, T): token ids, padded with pad_id",
            "lengths": "int64 (B,): tokens of each review, padding not counted",
        },
        "outputs": {"probabilities": "float32 (B, C), in the order of classes"},
        "pad_id": classifier.codec.pad_id,
        # The encoder's codec drops words by its mask token; its tokenizer has the id of unknown ones.
        **({} if config.model == "encoder" else {"unknown_id": classifier.codec.unknown_id}),
        "max_tokens": config.max_tokens,
        "truncation": config.truncation,
        "padding": config.padding,
        "pooling": config.encoder_pooling if config.model == "encoder" else config.pooling,
    }
