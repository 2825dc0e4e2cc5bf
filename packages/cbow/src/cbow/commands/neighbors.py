"""The verb `neighbors`."""

from __future__ import annotations

from cbow.commands.answers import as_block, as_rows, print_answer
from cbow.commands.options import NeighborsOptions
from cbow.model.trained import load


def run(options: NeighborsOptions) -> int:
    """List the words nearest to each word (verb `neighbors`)."""
    vectors = load(options.run)
    nearest = {word: vectors.neighbors(word, options.count) for word in options.words}
    answer = {"neighbors": {word: as_rows(words) for word, words in nearest.items()}}
    text = "\n\n".join(as_block(word, words) for word, words in nearest.items())
    return print_answer(answer, text, as_json=options.json)
