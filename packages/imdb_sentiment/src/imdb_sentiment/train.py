"""Training: data, model, optimizer and loss, up to `summary.json`.

`train_linear` fits scikit-learn's models, `train_network` hands the others to `shared.torch.loop`.
"""

from __future__ import annotations

import os
from pathlib import Path

from imdb_sentiment.config import LINEAR, TrainConfig
from shared.command.options import RunOptions
from shared.errors import UserError
from shared.torch.config import TrainOptions


def train(config: TrainConfig, options: RunOptions) -> Path | None:
    """Train a model into a run folder.

    Returns
    -------
    Path or None
        The folder; None in all processes but the first, and with --find-learning-rate.

    Raises
    ------
    UserError
        The data, the folder or a setting is of no use; an encoder is not available; the loss is no longer finite.
    Interrupted
        After Ctrl-C or SIGTERM, when all is saved.
    """
    # Here, because a linear model needs no torch and a network no scikit-learn.
    if config.model in LINEAR:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # set by torchrun
            raise UserError(
                f"--model {config.model} trains in one process. Start it without torchrun."
            )
        if isinstance(options, TrainOptions) and options.find_learning_rate:
            raise UserError(
                f"--find-learning-rate: {config.model} has no learning rate. Choose a network with --model."
            )
        from imdb_sentiment.train_linear import train_linear

        return train_linear(config, options)
    if config.model == "encoder" and config.init is None:
        from imdb_sentiment.model.hub import require_encoder

        require_encoder(str(config.encoder))  # before the seconds that torch and the data take
    from imdb_sentiment.train_network import train_network

    return train_network(config, options)
