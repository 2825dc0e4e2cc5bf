"""Starting from a trained run: its weights, with new words and classes added."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data.reviews import Reviews
from imdb_sentiment.data.text import Codec, WordCodec
from imdb_sentiment.model.build import build_network
from imdb_sentiment.model.encoder import EncoderClassifier, EncoderCodec
from imdb_sentiment.model.log_count_ratios import count_ratios
from imdb_sentiment.model.network import TextNetwork
from imdb_sentiment.model.trained import NetworkClassifier, load
from shared.errors import UserError
from shared.runs.run_directory import start_from
from shared.text.vocabulary import Vocabulary

HEAD, RATIOS = "head.", "ratios."


def network_from_run(
    config: TrainConfig,
    reviews: Reviews,
    classes: tuple[str, ...],
    say: Callable[[str], object],
) -> tuple[TextNetwork, Codec]:
    """Return a network that starts from the run `config.init`, and its codec.

    Word vectors, layers and head are the run's. Words of the training reviews that it does not know get new vectors; a
    head for other classes is new; log-count ratios are counted anew.

    Parameters
    ----------
    config : TrainConfig
    reviews : Reviews
        For training.
    classes : tuple of str
    say : callable
        Takes a line that says what is new.

    Raises
    ------
    UserError
        The run is no such model, tokenizes in another way, or has layers of other sizes.
    """
    run = str(config.init)
    start = load(run, device="cpu")
    if not isinstance(start.classifier, NetworkClassifier) or start.config.model != config.model:
        raise UserError(
            f"--init {run}: is a {start.config.model}. Expected a run of --model {config.model}."
        )
    old, codec = start.classifier.network, start.classifier.codec
    new_words = 0
    network: TextNetwork
    if isinstance(codec, EncoderCodec):
        assert isinstance(old, EncoderClassifier)
        own = EncoderCodec(config, codec.tokenizer)
        # Its encoder as it is; a LoRA run's layers have their low-rank parts already.
        if start.config.lora_rank != config.lora_rank:
            raise UserError(
                f"--init {run}: has --lora-rank {start.config.lora_rank}, not {config.lora_rank}."
            )
        network = old.with_head(config, own, len(classes))
        new_codec: Codec = own
    else:
        assert isinstance(codec, WordCodec)
        if start.config.tokenizer != config.tokenizer:
            raise UserError(
                f"--init {run}: has --tokenizer {start.config.tokenizer}, not {config.tokenizer}."
            )
        # With other prefixes the rows of its table would mean other words.
        # With other n-grams or classes the log-count ratios, one for each, would be inputs of other sizes.
        for name in ("prefix_letters", "log_count_ratios"):
            has, wanted = getattr(start.config, name), getattr(config, name)
            if has != wanted:
                flag = "--" + name.replace("_", "-")
                raise UserError(f"--init {run}: has {flag} {has}, not {wanted}.")
        if config.log_count_ratios and len(start.classes) != len(classes):
            raise UserError(
                f"--init {run}: has --log-count-ratios of {len(start.classes)} classes, not of {len(classes)}. "
                "Train anew."
            )
        vocabulary, new_words = _extended(codec.vocabulary, config, reviews.texts)
        new_codec = own_codec = WordCodec(config, vocabulary)
        size = old.state_dict()["embedding.weight"].shape[1]
        ratios = count_ratios(config, vocabulary, reviews, own_codec.whole(reviews.texts))
        network = build_network(
            config, vocabulary, classes=len(classes), dimension=size, ratios=ratios
        )
    has_new_head = start.classes != classes
    _copy(old, network, run, has_new_head)
    head = f"a new head for {', '.join(classes)}" if has_new_head else "its head"
    words = f", {new_words:,} new words" if isinstance(new_codec, WordCodec) else ""
    say(f"Starting from {run}: its weights{words}, {head}.")
    return network, new_codec


def _extended(old: Vocabulary, config: TrainConfig, texts: Sequence[str]) -> tuple[Vocabulary, int]:
    """Return a vocabulary with the old words first, then the new ones of the training reviews."""
    own = WordCodec.build(config, texts).vocabulary
    new = [token for token in own.tokens if token not in old]
    counts = [own.counts[own.id(token)] for token in new]
    return Vocabulary([*old.tokens, *new], [*old.counts, *counts]), len(new)


@torch.no_grad()
def _copy(old: TextNetwork, network: TextNetwork, run: str, has_new_head: bool) -> None:
    target = network.state_dict()
    new = HEAD if has_new_head else f"{HEAD}ratings"
    missing = [
        n for n in target.keys() - old.state_dict().keys() if not n.startswith((new, RATIOS))
    ]
    if missing:
        raise UserError(
            f"--init {run}: lacks layers of this model ({min(missing)}). Take its settings: {start_from(run)}."
        )
    for name, weight in old.state_dict().items():
        if name.startswith(RATIOS) or (has_new_head and name.startswith(HEAD)):
            continue
        if name.startswith("head.ratings") and name not in target:
            continue  # an auxiliary loss that is not trained any more
        own = target.get(name)
        is_table = name in ("embedding.weight", "prefixes.weight")
        if (
            own is None
            or own.shape[1:] != weight.shape[1:]
            or len(own) < len(weight)
            or (len(own) > len(weight) and not is_table)
        ):
            raise UserError(
                f"--init {run}: its layers have other sizes ({name}). Take its settings: {start_from(run)}."
            )
        own[: len(weight)] = weight
