"""The verb `explain`: one training step, every vector with its shape and numbers, in the order of computation."""

from __future__ import annotations

from typing import Any

import numpy as np

from cbow.commands.options import ExplainOptions
from cbow.model import reference
from cbow.model.weights import initial_weights
from shared.errors import UserError
from shared.text.tokenizers import word_tokens
from shared.text.vocabulary import Vocabulary


def run(options: ExplainOptions) -> int:
    """Print one step of CBOW with the full softmax (verb `explain`)."""
    print("\n".join(explain(options)))
    return 0


def explain(options: ExplainOptions) -> list[str]:
    """Return one step of `reference.step` in its parts.

    Returns
    -------
    list of str
        Lines of text.

    Raises
    ------
    UserError
        The line has fewer than two tokens, or no token at `position`.
    """
    tokens = word_tokens(options.line)
    if len(tokens) < 2:
        raise UserError(f"--line {options.line!r} has {len(tokens)} tokens, expected two or more.")
    if not 0 <= options.position < len(tokens):
        raise UserError(
            f"--position is {options.position}, expected 0 to {len(tokens) - 1}: the positions of the line's tokens."
        )
    vocabulary = Vocabulary.build(tokens)
    samples = list(reference.windows(vocabulary.ids(tokens), options.window))
    context, target = samples[options.position]
    U, V = initial_weights(len(vocabulary), options.dimension, options.seed)

    hidden, scores = reference.forward(U, V, context)
    probabilities = reference.softmax(scores)
    error = probabilities - reference.one_hot(len(vocabulary), target)
    loss, d_U, d_V = reference.gradients(U, V, context, target)
    after_U, after_V = U.copy(), V.copy()
    reference.update(after_U, after_V, d_U, d_V, options.learning_rate)
    _, after_scores = reference.forward(after_U, after_V, context)
    after_loss = reference.loss(after_scores, target)

    words = vocabulary.tokens
    size, dimension, count = len(vocabulary), options.dimension, len(context)
    rows = sorted(set(context))
    lines = [
        f"line        {' '.join(tokens)}",
        f"vocabulary  {', '.join(f'{i} {word}' for i, word in enumerate(words))}   (V = {size})",
        f"target      {words[target]} ({target}), {options.window} words each side: "
        f"{', '.join(f'{words[i]} ({i})' for i in context)}   (C = {count})",
        "",
        f"weights     U ({size}, {dimension}), a row per input word; V ({dimension}, {size}), a column per output word",
    ]
    lines += [f"  U[{words[i]}] = {_numbers(U[i])}" for i in rows]
    lines += [
        "",
        "forward",
        *_named("h = mean of the context's rows", hidden, "(D,)"),
        *_named("scores = h V", scores, "(V,)"),
        *_named("p = softmax(scores)", probabilities, "(V,)"),
        f"  loss = -log p[{words[target]}] = -log {probabilities[target]:.4f} = {loss:.4f}",
        "",
        "backward, all of it before any weight changes",
        *_named(f"e = p - one_hot({words[target]})", error, "(V,)"),
        f"  dV = h x e, outer product   {d_V.shape}, largest entry {np.abs(d_V).max():.4f}",
        *_named("dh = V e", V @ error, "(D,)"),
        f"  dU: each of the {count} context words gets dh / {count}; one that occurs twice gets it twice",
    ]
    lines += [f"    dU[{words[i]}] = {_numbers(d_U[i])}   ({context.count(i)} x)" for i in rows]
    lines += [
        "",
        f"update with learning rate {options.learning_rate:g}: U -= lr dU, V -= lr dV",
    ]
    lines += [f"  U[{words[i]}] = {_numbers(after_U[i])}" for i in rows]
    lines += ["", f"loss of the same sample: {loss:.4f} before, {after_loss:.4f} after"]
    return lines


def _named(name: str, vector: Any, shape: str) -> list[str]:
    return [f"  {name}   {shape}", f"    {_numbers(vector)}"]


def _numbers(vector: Any) -> str:
    return "[" + "  ".join(f"{value: .4f}" for value in vector) + "]"
