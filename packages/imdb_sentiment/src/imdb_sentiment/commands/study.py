"""The verb `study`: the tuning that the coursework did by hand, in one command.

`--part lstm`: optimizer, halving of the learning rate, dropout and L2 of the BiLSTM.
`--part encoder`: learning rates of BERT on 200 and 2,000 reviews.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imdb_sentiment.commands.options import StudyOptions
from imdb_sentiment.commands.trials import finish, run_trials

_SGD = {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.1, "weight_decay": 0.0}
_HALVED = {"schedule": "decay", "decay_factor": 0.5}
LSTM: dict[str, dict[str, Any]] = {
    "Adam": {"weight_decay": 0.0},
    "Adam, dropout 0.5": {"weight_decay": 0.0, "dropout": 0.5},
    "Adam, L2 1e-4": {"weight_decay": 2e-4},
    "Adam, L2 2e-4": {},
    "Adam, L2 2e-4, dropout 0.5": {"dropout": 0.5},
    "Adam, gradient clipped to 1": {"weight_decay": 0.0, "clip_norm": 1.0},
    "SGD": _SGD,
    "SGD, halved every 5 epochs": {**_SGD, **_HALVED, "decay_epochs": 5},
    "SGD, halved every 8 epochs": {**_SGD, **_HALVED, "decay_epochs": 8},
    "SGD, halved every 10 epochs": {**_SGD, **_HALVED, "decay_epochs": 10},
    "SGD, halved every 20 epochs": {**_SGD, **_HALVED, "decay_epochs": 20},
    "SGD, one direction": {**_SGD, "bidirectional": False},
}
"""The coursework's L2 is a factor of the sum of squares; weight decay, its gradient, is twice that."""
ENCODER: dict[str, dict[str, Any]] = {
    "200 reviews, 1e-3": {"limit": 200, "learning_rate": 1e-3},
    "200 reviews, 5e-5": {"limit": 200, "learning_rate": 5e-5},
    "200 reviews, 1e-5": {"limit": 200, "learning_rate": 1e-5},
    "200 reviews, 1e-6": {"limit": 200, "learning_rate": 1e-6},
    "200 reviews, 1e-6, dropout 0.3": {"limit": 200, "learning_rate": 1e-6, "dropout": 0.3},
    "2,000 reviews, 1e-5": {"learning_rate": 1e-5, "schedule": "constant"},
    "2,000 reviews, 1e-5, halved every 5 epochs": {},
    "2,000 reviews, 1e-5, halved, [CLS] read": {"encoder_pooling": "cls"},
}
RECIPES = {"lstm": ("baseline", LSTM), "encoder": ("coursework_encoder", ENCODER)}


def run(options: StudyOptions) -> int:
    """Train the variants that are not trained yet, print a table, write the page (verb `study`)."""
    out = Path(options.out or f"runs/imdb_sentiment/study-{options.part}")
    recipe, variants = RECIPES[options.part]
    trials = run_trials(recipe, variants, options, out)
    title = "The coursework's tuning"
    return finish(title, f"recipe {recipe}", trials, options, out / "study.html")
