"""The evaluation that training itself makes: the protocol of pytorch/examples, with the run's own settings."""

from __future__ import annotations

from dataclasses import replace

from shared.text.vocabulary import Vocabulary
from word_lm.config import TrainConfig
from word_lm.measures.protocols import Evaluation, examples_perplexity, unknown_fraction
from word_lm.model.base import Ids, LanguageModel


def evaluate(
    model: LanguageModel, config: TrainConfig, ids: Ids, vocabulary: Vocabulary | None = None
) -> Evaluation:
    """Measure the perplexity of a text as training does.

    Parameters
    ----------
    model : LanguageModel
    config : TrainConfig
        Its columns, segment length, and whether the state is carried.
    ids : int array or tensor (N,)
        A text with fewer than two tokens per column gets fewer columns.
    vocabulary : Vocabulary, optional
        To tell the fraction of `<unk>`.
    """
    columns = min(config.evaluation_batch, len(ids) // 2)
    result = examples_perplexity(
        model, ids, batch=columns, segment=config.bptt, is_state_carried=config.carry
    )
    return (
        result if vocabulary is None else replace(result, unknown=unknown_fraction(ids, vocabulary))
    )
