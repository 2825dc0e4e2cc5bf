"""Pretrained encoders of the Hugging Face library, as a classifier.

Shapes: B batch, T time in the encoder's own subwords, D size of a vector, C classes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data.text import BREAK, Codec, Ids, Span, truncate
from imdb_sentiment.model.hub import require_encoder
from imdb_sentiment.model.low_rank import add_low_rank
from imdb_sentiment.model.network import Head, TextNetwork
from shared.errors import UserError
from shared.torch.masking import mask_from_lengths, masked_mean
from shared.torch.torchvision_guard import make_torchvision_importable


class EncoderCodec(Codec):
    """Token ids of an encoder's own tokenizer, between its special tokens.

    Parameters
    ----------
    config : TrainConfig
    tokenizer : transformers tokenizer
        A fast one.

    Attributes
    ----------
    before, after : list of int
        Special tokens that the tokenizer's template puts around a text.
    cls_index : int or None
        Position of the classification token, from the end of a sequence if negative (XLNet); None if there is none.
    """

    def __init__(self, config: TrainConfig, tokenizer: Any) -> None:
        self.config, self.tokenizer = config, tokenizer
        _replace_breaks(tokenizer)
        self.size = len(tokenizer)
        self.pad_id = tokenizer.pad_token_id or 0
        mask = tokenizer.mask_token_id
        self.unknown_id = mask if mask is not None else tokenizer.unk_token_id or 0
        self.before, self.after = _special_tokens(tokenizer)
        self.cls_index = _cls_index(self.before, self.after, tokenizer.cls_token_id)
        self._room = config.max_tokens - len(self.before) - len(self.after)

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Return the ids of each review, truncated between the special tokens."""
        # truncation=False: the tokenizer.json of some folders truncates at 128 tokens by itself.
        subwords = self._subwords(list(texts))["input_ids"]
        kept = [
            truncate(np.array(ids, np.int32), self._room, self.config.truncation)
            for ids in subwords
        ]
        before, after = (np.array(ids, np.int32) for ids in (self.before, self.after))
        return [np.concatenate([before, ids, after]) for ids in kept]

    def spans(self, text: str) -> list[Span] | None:
        """Return (start, end) of each id; those of special tokens are empty."""
        options = {"return_offsets_mapping": True}
        spans = self._subwords([text], **options)["offset_mapping"][0]
        keep = truncate(np.arange(len(spans), dtype=np.int32), self._room, self.config.truncation)
        own = [(int(spans[i][0]), int(spans[i][1])) for i in keep.tolist()]
        return [*[(0, 0)] * len(self.before), *own, *[(0, 0)] * len(self.after)]

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files."""
        self.tokenizer.save_pretrained(folder)

    def _subwords(self, texts: list[str], **more: Any) -> Any:
        if not texts:
            return {"input_ids": [], "offset_mapping": []}
        return self.tokenizer(
            texts, add_special_tokens=False, truncation=False, padding=False, verbose=False, **more
        )


def _replace_breaks(tokenizer: Any) -> None:
    """Make a tokenizer read HTML breaks as spaces, itself: then an exported one does so too."""
    from tokenizers import Regex, normalizers

    backend = tokenizer.backend_tokenizer
    if "<\\s*[bB]" in str(backend.normalizer):  # a run's own tokenizer
        return
    breaks = normalizers.Replace(Regex(BREAK), " ")
    own = [] if backend.normalizer is None else [backend.normalizer]
    backend.normalizer = normalizers.Sequence([breaks, *own])


def _special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the ids that a tokenizer's template puts before and after a text."""
    plain = list(tokenizer("good", add_special_tokens=False)["input_ids"])
    whole = list(tokenizer("good")["input_ids"])
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return whole[:start], whole[start + len(plain) :]
    raise UserError(
        f"--encoder: the template of {type(tokenizer).__name__} changes the text itself. "
        "Expected one that adds special tokens around it."
    )


def _cls_index(before: list[int], after: list[int], cls: int | None) -> int | None:
    if cls in before:
        return before.index(cls)
    return after.index(cls) - len(after) if cls in after else None


class EncoderClassifier(TextNetwork):
    """An encoder, pooling, classes.

    Parameters
    ----------
    config : TrainConfig
    encoder : transformers model
    codec : EncoderCodec
    classes : int
        C.

    Raises
    ------
    UserError
        `encoder_pooling` or `lora_rank` asks for something that this encoder does not have.

    References
    ----------
    Devlin et al. 2019, arXiv 1810.04805, section 4.1 (cls); Sun et al. 2019, arXiv 1905.05583.
    """

    def __init__(
        self, config: TrainConfig, encoder: Any, codec: EncoderCodec, classes: int
    ) -> None:
        super().__init__()
        self.config, self.pad_id, self.class_count = config, codec.pad_id, classes
        self.cls_index = codec.cls_index
        if config.encoder_pooling == "cls" and self.cls_index is None:
            raise UserError(
                f"--encoder-pooling is cls, but {type(encoder).__name__} has no classification token. Expected mean."
            )
        if hasattr(encoder, "encoder") and hasattr(encoder, "decoder"):  # T5, BART
            encoder = encoder.encoder
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None  # not used here; DDP waits for weights without a gradient
        self.encoder = encoder
        if config.lora_rank and not add_low_rank(encoder, config.lora_rank):
            raise UserError(
                f"--lora-rank: {type(encoder).__name__} has no query and value layers by a name known here. "
                "Leave it out to train all weights."
            )
        self.head = Head(config, encoder.config.hidden_size, classes)

    def with_head(
        self, config: TrainConfig, codec: EncoderCodec, classes: int
    ) -> EncoderClassifier:
        """Return a classifier with this encoder, LoRA included, and a new head."""
        plain = replace(config, lora_rank=0)  # its layers are there already
        other = EncoderClassifier(plain, self.encoder, codec, classes)
        other.config = config
        return other

    def vectors(self, ids: Tensor, folds: Tensor | None = None) -> Tensor:
        """Return the vectors (B, T, D) of subwords, before positions are added."""
        return self.encoder.get_input_embeddings()(ids)

    def from_vectors(self, vectors: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return logits (B, C), and (B, 8) or None; attention does not see padding."""
        is_real = mask_from_lengths(lengths, vectors.shape[1])
        states = self.encoder(inputs_embeds=vectors, attention_mask=is_real.long())[0]  # (B, T, D)
        if self.config.encoder_pooling == "last":
            return self.head(states[:, -1])  # the coursework's: padding of all but the longest
        if self.config.encoder_pooling == "mean":
            return self.head(masked_mean(states, lengths))
        index = self.cls_index or 0
        if index >= 0:
            return self.head(states[:, index])
        rows = torch.arange(len(states), device=states.device)
        return self.head(states[rows, lengths.to(states.device) + index])


def pretrained_encoder(config: TrainConfig, classes: int) -> tuple[EncoderClassifier, EncoderCodec]:
    """Read a pretrained encoder from a folder, the hub's cache or the hub.

    Raises
    ------
    UserError
        It is not available, is damaged, or reads fewer tokens than `max_tokens`.
    """
    name = str(config.encoder)
    require_encoder(name)
    transformers = _transformers()
    source = str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, use_fast=True)
        # Pickled weights are refused.
        encoder = transformers.AutoModel.from_pretrained(source, use_safetensors=True)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        detail = " ".join(str(error).split())[:200]
        raise UserError(
            f"--encoder {name}: cannot be read ({detail}). Expected a folder as save_pretrained writes it."
        ) from None
    most = longest_input(encoder)
    if most is not None and config.max_tokens > most:
        raise UserError(f"--max-tokens is {config.max_tokens}, but {name} reads at most {most}.")
    codec = EncoderCodec(config, tokenizer)
    # float32, whatever the file has: optimizers keep small changes.
    return EncoderClassifier(config, encoder.float(), codec, classes), codec


def longest_input(encoder: Any) -> int | None:
    """Return how many tokens an encoder can read at once; None where nothing limits them."""
    settings = vars(encoder.config)
    # LED and ProphetNet have one for each half.
    names = [
        name for name in settings if name.endswith("position_embeddings") and "decoder" not in name
    ]
    limits = [settings[name] for name in names if type(settings[name]) is int]
    most = min((limit for limit in limits if limit > 0), default=None)  # XLNet says -1
    if most is None:
        return None
    tables = [m for name, m in encoder.named_modules() if name.endswith("position_embeddings")]
    before = getattr(tables[0], "padding_idx", None) if tables else None
    # RoBERTa's positions begin behind the one of padding, so of its 514 it can use 512.
    return most if before is None else most - before - 1


def read_encoder(
    config: TrainConfig, folder: Path, classes: int
) -> tuple[EncoderClassifier, EncoderCodec]:
    """Return the encoder that a checkpoint describes, with weights still to be read, and its codec."""
    transformers = _transformers()
    settings = transformers.AutoConfig.from_pretrained(folder)
    codec = EncoderCodec(config, transformers.AutoTokenizer.from_pretrained(folder, use_fast=True))
    encoder = transformers.AutoModel.from_config(settings)
    return EncoderClassifier(config, encoder.float(), codec, classes), codec


def _transformers() -> Any:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    make_torchvision_importable()
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers
