"""A fine-tuned encoder as a folder for the Hugging Face library: one model with its head, tokenizer, model card.

BERT and RoBERTa read by their classification token become the library's own `...ForSequenceClassification`. Other
poolings and heads are no model of the library: `model/hub_model.py` goes along, and loading says
`trust_remote_code=True`.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from imdb_sentiment.model.encoder import (
    EncoderClassifier,
    EncoderCodec,
    make_torchvision_importable,
)
from imdb_sentiment.model.low_rank import merge_low_rank
from imdb_sentiment.model.trained import NetworkClassifier, TrainedModel
from shared.errors import UserError
from shared.files import require_empty, whole_folder
from shared.runs.run_directory import RunDirectory

TOLERANCE = 1e-4
"""Largest difference between a probability of the exported model and of ours."""
SMALL = 1e-3
"""Where the library's head has a tanh that ours has not: tanh(SMALL x) / SMALL is x to (SMALL x)^2 / 3."""
EXAMPLES = (
    "A brilliant film.<br /><br />I was moved to tears, and I never am!",
    "Boring.",
    "Not bad at first, but then nothing happens.",
)


def export_pretrained(model: TrainedModel, out: Path) -> tuple[str, float]:
    """Write the folder; return the line that loads it, and the largest difference of a probability.

    Raises
    ------
    UserError
        It is no encoder, the folder is not empty, or the exported model's probabilities are others.
    """
    classifier = model.classifier
    config = model.config
    if not isinstance(classifier, NetworkClassifier) or config.model != "encoder":
        raise UserError(
            f"--format pretrained is for encoders, this run is a {config.model}. Use --format onnx."
        )
    if config.encoder_pooling == "last":
        raise UserError(
            "--format pretrained: this run reads the last position of its batch, padding or not, which depends on the "
            "batch. Train with --encoder-pooling mean or cls."
        )
    require_empty(out)
    make_torchvision_importable()
    network, codec = classifier.network, classifier.codec
    assert isinstance(network, EncoderClassifier)
    assert isinstance(codec, EncoderCodec)
    # Longer ones are truncated: by us as the run says, by the library at the head.
    sizes = [len(ids) for ids in codec.encode(EXAMPLES)]
    texts = [t for t, size in zip(EXAMPLES, sizes, strict=True) if size < config.max_tokens] or [""]
    expected = classifier.probabilities(texts)
    merge_low_rank(network.encoder)
    labels = dict(enumerate(model.classes))
    names: dict[str, Any] = {
        "num_labels": len(labels),
        "id2label": labels,
        "label2id": {name: number for number, name in labels.items()},
    }
    plain = _library_model(network, names)
    with whole_folder(out) as folder:
        exported: Any = plain if plain is not None else _own_model(network, names, folder)
        exported.eval().save_pretrained(folder)
        _save_tokenizer(codec, config.max_tokens, folder)
        line = f'AutoModelForSequenceClassification.from_pretrained("{out}"'
        line += ")" if plain is not None else ", trust_remote_code=True)"
        (folder / "README.md").write_text(_card(model, line), encoding="utf-8")
        difference = _difference(folder, texts, expected, is_plain=plain is not None)
        if not difference <= TOLERANCE:
            raise UserError(
                f"The exported model's probabilities differ by {difference:.1e}, more than {TOLERANCE:.0e}. "
                "Nothing was written; report the version of transformers."
            )
    return line, difference


def _library_model(network: EncoderClassifier, names: dict[str, Any]) -> Any | None:
    """Return the library's own classifier with these weights; None if it has none with this pooling and head."""
    import transformers

    encoder, head, config = network.encoder, network.head, network.config
    family = {
        "BertModel": transformers.BertForSequenceClassification,
        "RobertaModel": transformers.RobertaForSequenceClassification,
    }.get(type(encoder).__name__)
    size = encoder.config.hidden_size
    has_relu = config.head_size is not None and config.head_activation == "relu"
    is_other = config.encoder_pooling != "cls" or network.cls_index != 0
    if family is None or is_other or has_relu or (config.head_size or 0) > size:
        return None
    settings = type(encoder.config)(**{**encoder.config.to_dict(), **names})
    model: Any = family(settings).float()
    base = model.bert if hasattr(model, "bert") else model.roberta
    base.load_state_dict(encoder.state_dict(), strict=False)
    dense, last = (
        (model.bert.pooler.dense, model.classifier)
        if hasattr(model, "bert")
        else (model.classifier.dense, model.classifier.out_proj)
    )
    with torch.no_grad():
        for layer in (dense, last):
            layer.weight.zero_()
            layer.bias.zero_()
        if head.inner is None:
            dense.weight.copy_(SMALL * torch.eye(size))
            last.weight.copy_(head.classes.weight / SMALL)
        else:
            inner = head.inner.weight
            dense.weight[: len(inner)] = inner
            dense.bias[: len(inner)] = head.inner.bias
            last.weight[:, : len(inner)] = head.classes.weight
        last.bias.copy_(head.classes.bias)
    return model


def _own_model(network: EncoderClassifier, names: dict[str, Any], folder: Path) -> nn.Module:
    from imdb_sentiment.model import hub_model

    settings = hub_model.PooledEncoderConfig(
        encoder=network.encoder.config.to_dict(),
        pooling=network.config.encoder_pooling,
        cls_index=network.cls_index or 0,
        head_size=network.config.head_size,
        head_activation=network.config.head_activation,
        auto_map={
            "AutoConfig": "hub_model.PooledEncoderConfig",
            "AutoModelForSequenceClassification": "hub_model.PooledEncoderForSequenceClassification",
        },
        **names,
    )
    model = hub_model.PooledEncoderForSequenceClassification(settings)
    weights: dict[str, Tensor] = {
        **{f"encoder.{name}": value for name, value in network.encoder.state_dict().items()},
        **{
            name: value
            for name, value in network.head.state_dict().items()
            if not name.startswith("ratings")
        },
    }
    model.load_state_dict(weights)
    shutil.copyfile(str(hub_model.__file__), folder / "hub_model.py")
    return model


def _save_tokenizer(codec: EncoderCodec, max_tokens: int, folder: Path) -> None:
    """Write the tokenizer as it is, HTML breaks read as spaces: a class of its own would build another normalizer."""
    import transformers

    own = codec.tokenizer
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=own.backend_tokenizer,
        model_max_length=max_tokens,
        padding_side=own.padding_side,
        model_input_names=["input_ids", "attention_mask"],
        **{
            name: str(token)
            for name, token in own.special_tokens_map.items()
            if isinstance(token, str)
        },
    )
    tokenizer.save_pretrained(folder)


def _difference(folder: Path, texts: list[str], expected: Any, *, is_plain: bool) -> float:
    """Return how far the folder's model is from ours, loaded as a user loads it."""
    import transformers

    options: dict[str, Any] = {} if is_plain else {"trust_remote_code": True}
    load = transformers.AutoModelForSequenceClassification.from_pretrained
    model = load(folder, use_safetensors=True, **options).float().eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return float((logits.double().softmax(-1) - torch.from_numpy(expected)).abs().max())


def _card(model: TrainedModel, line: str) -> str:
    """Return the model card: what it is, how it was trained, what it reaches, how to use it."""
    config, path = model.config, model.path
    rows: Sequence[str] = ()
    data = "unknown data"
    if (path / "summary.json").exists():
        summary = RunDirectory.read(path, task="imdb-sentiment").summary()
        metrics = summary["metrics"]
        facts = summary["data"]
        made_up = ", a made-up sample" if facts["is_sample"] else ""
        data = f"{facts['name']} ({facts['reviews']['train']:,} training reviews{made_up})"
        rows = [
            f"| {name} | {100 * metrics[f'{name}_accuracy']:.2f} % | {metrics[f'{name}_loss']:.4f} | "
            f"{metrics[f'{name}_reviews']:,} |"
            for name in ("valid", "test")
        ]
    # A folder's last two parts tell enough; the rest is this machine's.
    name = "/".join(str(config.encoder).replace("\\", "/").strip("/").split("/")[-2:])
    code = line.replace("AutoModelFor", "transformers.AutoModelFor")
    remote = ", trust_remote_code=True" if "trust_remote_code" in line else ""
    folder = line.split('"')[1]
    return "\n".join(
        [
            "---",
            "library_name: transformers",
            "pipeline_tag: text-classification",
            "---",
            f"# Text classification: {', '.join(model.classes)}",
            "",
            f"{name} fine-tuned on {data}, seed {config.seed}, by `imdb-sentiment train`.",
            "",
            "```python",
            "import transformers",
            "",
            f"model = {code}",
            f'classify = transformers.pipeline("text-classification", "{folder}"{remote})',
            'classify("A moving film.", truncation=True, top_k=None)',
            "```",
            "",
            f"- Pooling: {config.encoder_pooling}. HTML breaks are replaced by the tokenizer itself.",
            f"- Texts of up to {config.max_tokens} tokens. Of longer ones training kept `{config.truncation}`, the "
            "library's truncation keeps the head.",
            "",
            "| split | accuracy | loss, nats | reviews |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )
