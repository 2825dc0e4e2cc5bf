"""A fine-tuned encoder as `transformers` loads it: encoder, pooling and head in one model.

This file is copied into exports whose pooling or head no model of the library has, and is then imported by
`AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)`. So it uses torch and transformers
alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class PooledEncoderConfig(PretrainedConfig):
    """Configuration of `PooledEncoderForSequenceClassification`.

    Parameters
    ----------
    encoder : dict
        Configuration of the encoder, with its `model_type`.
    pooling : {"mean", "cls"}
    cls_index : int
        Position of the classification token, from the end if negative.
    head_size : int or None
        Size of the hidden layer of the head.
    head_activation : {"tanh", "relu"}
    """

    model_type = "pooled_encoder"

    def __init__(
        self,
        encoder: dict[str, Any] | None = None,
        pooling: str = "mean",
        cls_index: int = 0,
        head_size: int | None = None,
        head_activation: str = "tanh",
        **others: Any,
    ) -> None:
        self.encoder = encoder or {}
        self.pooling, self.cls_index = pooling, cls_index
        self.head_size, self.head_activation = head_size, head_activation
        super().__init__(**others)


class PooledEncoderForSequenceClassification(PreTrainedModel):
    """An encoder, mean or classification token, an optional hidden layer, classes."""

    config_class = PooledEncoderConfig

    def __init__(self, config: PooledEncoderConfig) -> None:
        super().__init__(config)
        encoder = AutoModel.from_config(AutoConfig.for_model(**config.encoder))
        if hasattr(encoder, "encoder") and hasattr(encoder, "decoder"):  # T5, BART
            encoder = encoder.encoder
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None
        self.encoder = encoder
        size = encoder.config.hidden_size
        hidden = config.head_size
        labels: Any = config.num_labels
        self.inner = nn.Linear(size, hidden) if hidden else None
        self.classes = nn.Linear(hidden or size, labels)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **others: Any,
    ) -> SequenceClassifierOutput:
        """Return logits (B, C), and the loss if labels (B,) are given."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask)[0]  # (B, T, D)
        if self.config.pooling == "mean":
            is_real = attention_mask[:, :, None].to(states.dtype)
            pooled = (states * is_real).sum(1) / is_real.sum(1).clamp(min=1)
        else:
            index = self.config.cls_index
            last = (
                attention_mask.sum(1) + index
                if index < 0
                else torch.full_like(attention_mask[:, 0], index)
            )
            pooled = states[torch.arange(len(states), device=states.device), last]
        if self.inner is not None:
            pooled = self.inner(pooled)
            pooled = pooled.relu() if self.config.head_activation == "relu" else pooled.tanh()
        logits = self.classes(pooled)
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)
