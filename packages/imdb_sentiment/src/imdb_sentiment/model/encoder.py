"""Pretrained encoders of the Hugging Face library, as a classifier.

Shapes: B batch, T time in the encoder's own pieces of words, D size of a vector, C classes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data.text import Codec, Ids, blank_breaks, truncate
from imdb_sentiment.model.hub import require_encoder
from imdb_sentiment.model.low_rank import add_low_rank
from imdb_sentiment.model.network import Head, TextNetwork
from shared.errors import UserError
from shared.torch.masking import mask_from_lengths, masked_mean
from shared.torch.torchvision_guard import make_torchvision_importable


class EncoderCodec(Codec):
    """Ids of an encoder's own tokenizer, between its own marks.

    Parameters
    ----------
    config : TrainConfig
    tokenizer : transformers tokenizer
        A fast one.
    """

    def __init__(self, config: TrainConfig, tokenizer: Any) -> None:
        self.config, self.tokenizer = config, tokenizer
        self.size = len(tokenizer)
        self.pad_id = tokenizer.pad_token_id or 0
        mask = tokenizer.mask_token_id
        self.unknown_id = mask if mask is not None else tokenizer.unk_token_id or 0
        marks = list(tokenizer("")["input_ids"])
        self.before, self.after = marks[: len(marks) // 2], marks[len(marks) // 2 :]
        self._room = config.max_tokens - len(marks)

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Return the ids of each review, truncated between the marks."""
        # truncation=False: some folders' tokenizer.json cuts at 128 pieces by itself.
        pieces = self._pieces([blank_breaks(text) for text in texts])["input_ids"]
        cut = [
            truncate(np.array(ids, np.int32), self._room, self.config.truncation) for ids in pieces
        ]
        before, after = (np.array(ids, np.int32) for ids in (self.before, self.after))
        return [np.concatenate([before, ids, after]) for ids in cut]

    def places(self, text: str) -> list[tuple[int, int]] | None:
        """Return (start, end) of each id; the marks are nowhere."""
        spans = self._pieces([blank_breaks(text)], return_offsets_mapping=True)["offset_mapping"][0]
        keep = truncate(np.arange(len(spans), dtype=np.int32), self._room, self.config.truncation)
        own = [(int(spans[i][0]), int(spans[i][1])) for i in keep.tolist()]
        return [*[(0, 0)] * len(self.before), *own, *[(0, 0)] * len(self.after)]

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files."""
        self.tokenizer.save_pretrained(folder)

    def _pieces(self, texts: list[str], **more: Any) -> Any:
        if not texts:
            return {"input_ids": [], "offset_mapping": []}
        return self.tokenizer(
            texts, add_special_tokens=False, truncation=False, padding=False, verbose=False, **more
        )


class EncoderClassifier(TextNetwork):
    """An encoder, pooling, classes.

    Parameters
    ----------
    config : TrainConfig
    encoder : transformers model
    pad_id : int
    """

    def __init__(self, config: TrainConfig, encoder: Any, pad_id: int) -> None:
        super().__init__()
        self.config, self.pad_id = config, pad_id
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None  # read by nothing here; DDP waits for weights without a gradient
        self.encoder = encoder
        if config.lora_rank and not add_low_rank(encoder, config.lora_rank):
            raise UserError(
                f"--lora-rank: {type(encoder).__name__} has no query and value layers by a name known here. "
                "Leave it out to train all weights."
            )
        self.head = Head(config, encoder.config.hidden_size)

    def vectors(self, ids: Tensor) -> Tensor:
        """Return the vectors (B, T, D) of pieces of words, before positions are added."""
        return self.encoder.get_input_embeddings()(ids)

    def from_vectors(self, vectors: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return scores (B, C), and (B, 8) or None; padding is neither attended to nor pooled."""
        is_real = mask_from_lengths(lengths, vectors.shape[1])
        states = self.encoder(inputs_embeds=vectors, attention_mask=is_real.long())[0]  # (B, T, D)
        if self.config.encoder_pooling == "cls":
            return self.head(states[:, 0])
        return self.head(masked_mean(states, lengths))


def pretrained_encoder(config: TrainConfig) -> tuple[EncoderClassifier, EncoderCodec]:
    """Read a pretrained encoder from a folder, the hub's cache or the hub.

    Raises
    ------
    UserError
        It cannot be had, is damaged, or reads fewer pieces than `max_tokens`.
    """
    name = str(config.encoder)
    require_encoder(name)
    transformers = _transformers()
    source = str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, use_fast=True)
        # Pickled weights are refused; float32, since optimizers keep small changes.
        encoder = transformers.AutoModel.from_pretrained(
            source, use_safetensors=True, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        detail = " ".join(str(error).split())[:200]
        raise UserError(
            f"--encoder {name}: cannot be read ({detail}). Expected a folder as save_pretrained writes it."
        ) from None
    most = longest_input(encoder)
    if most is not None and config.max_tokens > most:
        raise UserError(f"--max-tokens is {config.max_tokens}, but {name} reads at most {most}.")
    codec = EncoderCodec(config, tokenizer)
    return EncoderClassifier(config, encoder, codec.pad_id), codec


def longest_input(encoder: Any) -> int | None:
    """Return how many pieces an encoder can read at once; None where nothing limits them."""
    most = getattr(encoder.config, "max_position_embeddings", None)
    tables = [m for name, m in encoder.named_modules() if name.endswith("position_embeddings")]
    before = getattr(tables[0], "padding_idx", None) if tables else None
    # RoBERTa's positions begin behind the one of padding, so of its 514 it can use 512.
    return most if most is None or before is None else most - before - 1


def read_encoder(config: TrainConfig, folder: Path) -> tuple[EncoderClassifier, EncoderCodec]:
    """Return the encoder that a checkpoint describes, with weights still to be read, and its codec."""
    transformers = _transformers()
    settings = transformers.AutoConfig.from_pretrained(folder)
    codec = EncoderCodec(config, transformers.AutoTokenizer.from_pretrained(folder, use_fast=True))
    return EncoderClassifier(
        config, transformers.AutoModel.from_config(settings), codec.pad_id
    ), codec


def _transformers() -> Any:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    make_torchvision_importable()
    try:
        import transformers
    except ImportError:
        raise UserError(
            'Encoders need transformers. Run: pip install "dltasks-imdb-sentiment[encoder]"'
        ) from None
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers
