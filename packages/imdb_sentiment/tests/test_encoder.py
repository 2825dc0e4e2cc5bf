from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra `encoder`")

from imdb_sentiment.commands.export_pretrained import export_pretrained
from imdb_sentiment.config import TrainConfig
from imdb_sentiment.model import hub
from imdb_sentiment.model.encoder import (
    EncoderClassifier,
    EncoderCodec,
    longest_input,
    pretrained_encoder,
)
from imdb_sentiment.model.low_rank import LowRankLinear, merge_low_rank
from imdb_sentiment.model.trained import (
    NetworkClassifier,
    TrainedModel,
    load,
    network_probabilities,
)
from imdb_sentiment.train_network import make_optimizers
from shared.errors import UserError
from shared.torch.torchvision_guard import make_torchvision_importable

Caller = Callable[..., tuple[int, str, str]]
WORDS = ["film", "good", "bad", "the", "is", "not", "bor", "##ing", "a", "superb", "story", "."]


@pytest.fixture(scope="session")
def small_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a BERT of one small layer, whose tokenizer file truncates and pads at 8 by itself, as some do."""
    make_torchvision_importable()
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, BertTokenizerFast

    vocabulary = {
        w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])
    }
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    folder = tmp_path_factory.mktemp("encoder")
    special = {f"{n}_token": f"[{n.upper()}]" for n in ("pad", "unk", "cls", "sep", "mask")}
    BertTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=40,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


def read(folder: Path, **settings: object) -> tuple[EncoderClassifier, EncoderCodec]:
    config = TrainConfig(
        **{"model": "encoder", "encoder": str(folder), "max_tokens": 20, "dropout": 0.0, **settings}  # type: ignore[arg-type]
    )
    network, codec = pretrained_encoder(config, 2)
    return network.eval(), codec


def test_review_is_between_special_tokens_and_truncated_at_max_tokens(small_encoder: Path) -> None:
    _, codec = read(small_encoder, max_tokens=6, truncation="tail")
    short, long = codec.encode(["Good film<br />.", "the film is not boring . a superb story"])
    cls, sep = 2, 3
    assert short.tolist() == [
        cls,
        *codec.tokenizer.convert_tokens_to_ids(["good", "film", "."]),
        sep,
    ]
    words = codec.tokenizer.convert_tokens_to_ids([".", "a", "superb", "story"])
    assert long.tolist() == [cls, *words, sep]
    _, roomy = read(small_encoder)
    assert (
        len(roomy.encode(["the film is not boring . a superb story"])[0]) == 12
    )  # not the file's own 8


def test_empty_review_is_its_two_special_tokens(small_encoder: Path) -> None:
    network, codec = read(small_encoder)
    assert [ids.tolist() for ids in codec.encode([""])] == [[2, 3]]
    assert np.isfinite(network_probabilities(network, codec.encode([""]))).all()


def test_spans_are_the_positions_of_the_subwords(small_encoder: Path) -> None:
    _, codec = read(small_encoder)
    text = "The film<br />is boring."
    spans = codec.spans(text)
    assert spans is not None
    assert [text[a:b] for a, b in spans] == ["", "The", "film", "is", "bor", "ing", ".", ""]
    assert len(spans) == len(codec.encode([text])[0])


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_padding_is_neither_attended_to_nor_pooled(small_encoder: Path, pooling: str) -> None:
    network, codec = read(small_encoder, encoder_pooling=pooling)
    ids, lengths = network.batch(
        codec.encode(["good film", "the film is not boring . a superb story"])
    )
    noisy = torch.cat([ids, torch.full((2, 5), 7)], 1)
    noisy[0, int(lengths[0]) :] = 9
    assert torch.allclose(network(ids, lengths)[0], network(noisy, lengths)[0], atol=1e-5)


def test_cls_is_the_first_position(small_encoder: Path) -> None:
    network, codec = read(small_encoder, encoder_pooling="cls")
    ids, lengths = network.batch(codec.encode(["good film", "a superb story ."]))
    mask = torch.arange(ids.shape[1]) < lengths[:, None]
    states = network.encoder(input_ids=ids, attention_mask=mask.long())[0]
    assert torch.allclose(network(ids, lengths)[0], network.head(states[:, 0])[0], atol=1e-5)


def test_low_rank_starts_as_the_encoder_and_is_all_that_is_trained(small_encoder: Path) -> None:
    plain, codec = read(small_encoder)
    network, _ = read(small_encoder, lora_rank=2)
    network.head.load_state_dict(plain.head.state_dict())
    ids, lengths = plain.batch(codec.encode(["good film", "a superb story ."]))
    assert torch.allclose(plain(ids, lengths)[0], network(ids, lengths)[0], atol=1e-6)
    learned = {name for name, weight in network.named_parameters() if weight.requires_grad}
    assert all("low_rank" in name or name.startswith("head.") for name in learned)
    # A and B for query and value of the one layer.
    assert sum("low_rank" in name for name in learned) == 4


def test_merged_low_rank_computes_the_same(small_encoder: Path) -> None:
    network, codec = read(small_encoder, lora_rank=2)
    for module in network.modules():
        if isinstance(module, LowRankLinear):
            torch.nn.init.normal_(module.low_rank_b)
    ids, lengths = network.batch(codec.encode(["good film", "a superb story ."]))
    before = network(ids, lengths)[0]
    merge_low_rank(network.encoder)
    assert not any(isinstance(module, LowRankLinear) for module in network.modules())
    assert torch.allclose(before, network(ids, lengths)[0], atol=1e-5)


def test_head_has_its_own_learning_rate(small_encoder: Path) -> None:
    network, _ = read(small_encoder, learning_rate=1e-4, head_rate=10.0, weight_decay=0.1)
    (optimizer,) = make_optimizers(network.config, network)
    groups = {(g["lr"], g["weight_decay"]) for g in optimizer.param_groups}
    assert groups == {(1e-4, 0.1), (1e-4, 0.0), (1e-3, 0.1), (1e-3, 0.0)}


@pytest.mark.parametrize("lora", [0, 2])
def test_run_needs_nothing_but_its_own_folder(
    small_encoder: Path, lora: int, imdb: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    import shutil

    borrowed = tmp_path / "borrowed"
    shutil.copytree(small_encoder, borrowed)
    code, _, error = imdb(
        "train", "--recipe", "encoder", "--encoder", borrowed, "--data", sample_folder, "--limit", 40, "--steps", 3,
        "--max-tokens", 16, "--device", "cpu", "--precision", "float32", "--lora-rank", lora, "--out", "run", "--quiet",
    )  # fmt: skip
    assert (code, error) == (0, "")
    shutil.rmtree(borrowed)
    classifier = load(tmp_path / "run").classifier
    chances = classifier.probabilities(["good film", "", "bad " * 50])
    assert np.allclose(chances.sum(1), 1)
    assert imdb("explain", "run", "not a good film", "--method", "gradient")[0] == 0
    assert imdb("explain", "run", "not a good film")[0] == 0
    code, printed, error = imdb("export", "run", "--format", "pretrained", "--out", "pre")
    assert (code, error) == (0, "")
    assert "trust_remote_code=True" in printed  # no model of the library reads the mean


@pytest.mark.parametrize(
    "settings, is_plain",
    [
        ({"encoder_pooling": "mean"}, False),
        ({"encoder_pooling": "cls"}, True),
        ({"encoder_pooling": "cls", "head_size": 5}, True),
        ({"encoder_pooling": "cls", "head_size": 5, "head_activation": "relu"}, False),
    ],
    ids=["mean", "cls", "tanh", "relu"],
)
def test_transformers_loads_an_export_with_the_same_probabilities(
    settings: dict, is_plain: bool, small_encoder: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    torch.manual_seed(1)
    network, codec = read(small_encoder, **settings)
    for weight in network.head.parameters():
        torch.nn.init.normal_(weight)
    config = network.config
    classifier = NetworkClassifier(config, ("bad", "fair", "good")[:2], network, codec)
    out = tmp_path / "exported"
    line, difference = export_pretrained(TrainedModel(classifier, config, tmp_path), out)
    assert difference < 1e-5
    assert ("trust_remote_code" not in line) == is_plain
    options: dict = {} if is_plain else {"trust_remote_code": True}
    model = AutoModelForSequenceClassification.from_pretrained(out, **options)
    assert model.config.id2label == {0: "bad", 1: "fair"}
    tokenizer = AutoTokenizer.from_pretrained(out, **options)
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None)
    text = "good film<br /><br />the story is superb"
    scores = {one["label"]: one["score"] for one in classify([text])[0]}
    expected = dict(zip(classifier.classes, classifier.probabilities([text])[0], strict=True))
    assert scores == pytest.approx(expected, abs=1e-5)
    card = (out / "README.md").read_text()
    assert line in card and "bad, fair" in card


def test_state_at_the_last_position_is_not_exported(small_encoder: Path, tmp_path: Path) -> None:
    network, codec = read(small_encoder, encoder_pooling="last")
    classifier = NetworkClassifier(network.config, ("a", "b"), network, codec)
    with pytest.raises(UserError, match="reads the last position"):
        export_pretrained(TrainedModel(classifier, network.config, tmp_path), tmp_path / "out")


def test_coursework_reads_padding_and_its_head_has_relu(small_encoder: Path) -> None:
    network, codec = read(
        small_encoder, encoder_pooling="last", head_size=6, head_activation="relu"
    )
    ids, lengths = network.batch(codec.encode(["good film", "a superb story . not boring"]))
    mask = torch.arange(ids.shape[1]) < lengths[:, None]
    states = network.encoder(input_ids=ids, attention_mask=mask.long())[0]
    assert int(lengths[0]) < ids.shape[1]  # so the last position of the first one is padding
    hidden = torch.relu(network.head.inner(states[:, -1]))
    assert torch.allclose(network(ids, lengths)[0], network.head.classes(hidden), atol=1e-5)


def test_breaks_are_spaces_to_the_tokenizer_itself(small_encoder: Path) -> None:
    _, codec = read(small_encoder)
    (ids,) = codec.encode(["good<br />film < BR/>."])
    words = codec.tokenizer.convert_tokens_to_ids(["good", "film", "."])
    assert ids.tolist() == [2, *words, 3]
    plain = codec.tokenizer("good film .", truncation=False, padding=False)["input_ids"]
    assert plain == ids.tolist()


def other_encoder(folder: Path, source: Path, template: str, model: object) -> Path:
    """Write an encoder of another family with the small tokenizer and another template of special tokens."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    special = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = TemplateProcessing(
        single=template, special_tokens=[s for s in special if s[0] in template]
    )
    names = {f"{n}_token": f"[{n.upper()}]" for n in ("pad", "unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    model.save_pretrained(folder)  # type: ignore[attr-defined]
    return folder


@pytest.mark.parametrize("family", ["t5", "bart", "xlnet"])
def test_families_with_decoders_or_without_positions_train(
    family: str, small_encoder: Path, tmp_path: Path, imdb: Caller, sample_folder: Path
) -> None:
    import transformers as hf

    torch.manual_seed(0)
    if family == "t5":
        model: object = hf.T5Model(
            hf.T5Config(vocab_size=17, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
        )
    elif family == "bart":
        sizes = {f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in
                 (("layers", 1), ("attention_heads", 2), ("ffn_dim", 32))}  # fmt: skip
        model = hf.BartModel(
            hf.BartConfig(vocab_size=17, d_model=16, max_position_embeddings=40, pad_token_id=0,
                          bos_token_id=2, eos_token_id=3, decoder_start_token_id=3, **sizes)
        )  # fmt: skip
    else:
        model = hf.XLNetModel(
            hf.XLNetConfig(vocab_size=17, d_model=16, n_layer=1, n_head=2, d_inner=32)
        )
    template = {"t5": "$A [SEP]", "bart": "[CLS] $A [SEP]", "xlnet": "$A [SEP] [CLS]"}[family]
    folder = other_encoder(tmp_path / family, small_encoder, template, model)
    network, codec = read(folder, encoder_pooling="mean")
    texts = ["good film", "a superb story . not boring"]
    ids, lengths = network.batch(codec.encode(texts))
    wider = torch.cat([ids, torch.zeros((2, 4), dtype=torch.int64)], 1)
    assert torch.allclose(network(ids, lengths)[0], network(wider, lengths)[0], atol=1e-5)
    code, _, error = imdb(
        "train", "--recipe", "encoder", "--encoder", folder, "--data", sample_folder, "--limit", 20, "--steps", 1,
        "--max-tokens", 16, "--device", "cpu", "--out", "run", "--quiet",
    )  # fmt: skip
    assert (code, error) == (0, "")
    assert np.allclose(load(tmp_path / "run").probabilities(texts).sum(1), 1)


@pytest.mark.parametrize(
    "template, before, after, cls",
    [
        ("[CLS] $A", [2], [], 0),
        ("$A [SEP]", [], [3], None),
        ("$A [SEP] [CLS]", [], [3, 2], -1),
        ("[CLS] $A [SEP] [SEP]", [2], [3, 3], 0),
    ],
)
def test_special_tokens_stay_on_their_side(
    template: str, before: list, after: list, cls: int | None, small_encoder: Path, tmp_path: Path
) -> None:
    from transformers import BertModel

    model = BertModel.from_pretrained(small_encoder)
    folder = other_encoder(tmp_path / "own", small_encoder, template, model)
    _, codec = read(folder, max_tokens=8)
    assert (codec.before, codec.after, codec.cls_index) == (before, after, cls)
    (ids,) = codec.encode(["good film"])
    words = codec.tokenizer.convert_tokens_to_ids(["good", "film"])
    assert ids.tolist() == [*before, *words, *after]
    if cls is None:
        with pytest.raises(UserError, match="has no classification token"):
            read(folder, encoder_pooling="cls")


def test_sharded_weights_in_the_cache_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    names = {"config.json": "{}", "a.safetensors": "", "b.safetensors": ""}
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    names["model.safetensors.index.json"] = json.dumps(index)
    for name, content in names.items():
        (tmp_path / name).write_text(content)

    def cached(repo: str, file: str) -> str | None:
        return str(tmp_path / file) if (tmp_path / file).exists() else None

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cached)
    assert hub.is_cached("some/model")
    (tmp_path / "b.safetensors").unlink()
    assert not hub.is_cached("some/model")


SETTINGS = {
    "encoder_pooling": ({}, "cls"),
    "lora_rank": ({}, 2),
    "head_rate": ({"learning_rate": 1e-3}, 10.0),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_setting_of_an_encoder_changes_what_is_trained(name: str, small_encoder: Path) -> None:
    base, value = SETTINGS[name]

    def trained(**settings: object) -> list[float]:
        torch.manual_seed(0)
        network, codec = read(small_encoder, **base, **settings)
        (optimizer,) = make_optimizers(network.config, network)
        batch = network.batch(codec.encode(["good film", "not a superb story"]))
        for _ in range(2):
            optimizer.zero_grad()
            network(*batch)[0].square().sum().backward()
            optimizer.step()
        return [weight.sum().item() for weight in network.state_dict().values()]

    assert trained() == trained()
    assert trained() != trained(**{name: value})


def test_onnx_of_an_encoder_is_torchs(
    small_encoder: Path, imdb: Caller, sample_folder: Path
) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    assert imdb(
        "train", "--recipe", "encoder", "--encoder", small_encoder, "--data", sample_folder, "--limit", 40,
        "--steps", 1, "--max-tokens", 30, "--device", "cpu", "--out", "run", "--quiet",
    )[0] == 0  # fmt: skip
    code, printed, error = imdb("export", "run", "--out", "onnx")
    assert (code, error) == (0, "")
    assert "probabilities are torch's to" in printed


def test_reviews_longer_than_the_encoder_reads_are_refused(
    small_encoder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="--max-tokens is 41, but .* reads at most 40"):
        read(small_encoder, max_tokens=41)
    import shutil

    from transformers import LEDConfig, LEDModel, RobertaConfig, RobertaModel

    for file in small_encoder.glob("*token*"):
        shutil.copy(file, tmp_path)
    config = RobertaConfig(
        vocab_size=17, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=42, pad_token_id=1,
    )  # fmt: skip
    RobertaModel(config).save_pretrained(tmp_path)
    led = LEDConfig(
        vocab_size=17, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_encoder_position_embeddings=40,
        max_decoder_position_embeddings=20, attention_window=4,
    )  # fmt: skip
    assert longest_input(LEDModel(led)) == 40
    with pytest.raises(UserError, match="--max-tokens is 41, but .* reads at most 40"):
        read(tmp_path, max_tokens=41)
    network, codec = read(tmp_path, max_tokens=40)
    assert np.isfinite(network_probabilities(network, codec.encode(["film " * 99]))).all()


@pytest.mark.parametrize(
    "files, message",
    [((), "has no config.json"), (("config.json",), "has no .safetensors file")],
)
def test_folder_that_is_no_encoder_is_named(tmp_path: Path, files: tuple, message: str) -> None:
    for name in files:
        (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match=message):
        hub.require_encoder(str(tmp_path))


def test_path_that_is_not_there_is_not_looked_for_on_the_hub(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub, "_network_problem", lambda name: pytest.fail("asked the network"))
    for name in ("./nothing", "/no/such/folder", "a/b/c"):
        with pytest.raises(UserError, match="no such folder"):
            hub.require_encoder(name)


def test_without_weights_and_network_one_message_comes_soon() -> None:
    """The hub's address answers nothing here: a port of this machine that nobody listens on."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "imdb_sentiment", "train", "--recipe", "encoder", "--encoder", "nobody/nothing"],
        env={**__import__("os").environ, "HF_ENDPOINT": "http://127.0.0.1:9"},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    assert done.returncode == 2
    assert "nobody/nothing: is not on this machine" in done.stderr
    assert "nbsvm, tfidf, cnn, bilstm and handwritten work without one" in done.stderr
    assert done.stderr.count("\n") == 1
    assert seconds < 15  # of which the start of Python takes most on a busy machine


def test_silent_network_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "SECONDS", 0.2)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)

    def silent(*request: object, **options: object) -> None:
        time.sleep(1)
        raise OSError

    monkeypatch.setattr(hub.urllib.request, "urlopen", silent)
    hub.is_cached("nobody/nothing")  # its import is not what is timed
    began = time.perf_counter()
    with pytest.raises(UserError, match="does not answer"):
        hub.require_encoder("nobody/nothing")
    assert time.perf_counter() - began < 0.9
    time.sleep(1)  # the thread must end before the next test begins
