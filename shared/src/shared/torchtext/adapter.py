"""From torchtext 0.6's `Field`, `Vocab` and `Vectors` to ours, and back.

Shapes: V tokens of a vocabulary, N tokens, D numbers in a word vector, B examples in a batch, T time in tokens.

torchtext is archived, and of its releases only 0.6.0, which is pure Python, still imports beside a current torch. The
functions `from_...` read an object that a notebook holds and need nothing installed; the functions `to_...` make one
and need the `torchtext` extra, or end with a UserError that says so. The result gives the same ids, vectors and
batches as torchtext does. Nothing here opens a file: those that torchtext writes are pickles.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import UserError
from shared.extras import install_command
from shared.text.tokenizers import space_tokens
from shared.text.vocabulary import Vocabulary
from shared.torchtext.rules import TextField, basic_english_tokens

VERSION = "0.6.0"


def from_vocab(vocab: Any) -> Vocabulary:
    """Move a `Vocab`: the same tokens have the same ids.

    The unknown token is `<unk>` if `Vocab` was made with it, else there is none. Counts are those of `Vocab.freqs`, 0
    for specials that the text does not have; the counts of tokens left out of the vocabulary are lost.

    Raises
    ------
    UserError
        It is a file or of another kind, or a token is no text, empty, holds a line feed or is repeated.
    """
    _require(vocab, "Vocab", ("itos", "freqs", "unk_index"))
    # `stoi` will not do: it grows by every unknown token that is looked up in it.
    tokens = list(vocab.itos)
    firsts: dict[Any, int] = {}
    for index, token in enumerate(tokens):
        first = firsts.setdefault(token, index)
        if not isinstance(token, str) or token == "" or "\n" in token or first != index:
            again = f" and token {first}" if first != index else ""
            raise UserError(
                f"Token {index}{again} of the Vocab is {token!r}. Expected text, not empty, without line feeds, each "
                "token once. Change tokenize or preprocessing in the notebook and build the Vocab again."
            )
    unknown = None if vocab.unk_index is None else tokens[vocab.unk_index]
    return Vocabulary(tokens, [vocab.freqs.get(token, 0) for token in tokens], unknown=unknown)


def to_vocab(vocabulary: Vocabulary, matrix: NDArray[np.floating[Any]] | None = None) -> Any:
    """Make a `Vocab` with the same ids.

    Parameters
    ----------
    vocabulary : Vocabulary
        If its unknown token is not `<unk>`, look ids up with `Vocab.stoi` (as `Field` does): `Vocab.__getitem__` knows
        no other.
    matrix : float array (V, D) or None
        For `Vocab.vectors`.

    Raises
    ------
    ValueError
        The matrix does not have a row for every token.
    """
    counts = dict(zip(vocabulary.tokens, vocabulary.counts.tolist(), strict=True))
    torchtext = _torchtext()
    # All tokens are special, which keeps their order, and no others are wanted.
    freqs = Counter({token: count for token, count in counts.items() if count})
    vocab = torchtext.vocab.Vocab(freqs, max_size=0, specials=list(counts))
    # It has looked for `<unk>`, by this very name, and found it even where it is a token like others.
    vocab.unk_index = vocabulary.unknown_id
    vocab.stoi.default_factory = None if vocabulary.unknown_id is None else vocab._default_unk_index
    if matrix is not None:
        vocab.vectors = _tensor(torchtext, matrix, len(vocabulary))
    return vocab


def from_vectors(vectors: Any) -> tuple[list[str], NDArray[np.float32]]:
    """Move the word vectors of a `Vectors` (`GloVe`, `FastText`), or of a `Vocab` that has loaded some.

    Parameters
    ----------
    vectors : torchtext.vocab.Vectors or torchtext.vocab.Vocab

    Returns
    -------
    tokens : list of str (N,)
        For a `Vocab` in the order of its ids. A repeated token keeps its first position and, as torchtext looks
        it up, its last row.
    matrix : float32 array (N, D)
        A copy.

    Raises
    ------
    UserError
        It is a file or of another kind, or has no vectors.
    """
    _require(vectors, "Vectors", ("itos", "vectors"))
    if vectors.vectors is None:
        raise UserError(
            "The Vocab has no vectors. Expected one built with vectors=..., or a Vectors object."
        )
    rows = {token: row for row, token in enumerate(vectors.itos)}
    matrix = np.asarray(vectors.vectors.detach().cpu(), dtype=np.float32)
    return list(rows), matrix[list(rows.values())]


def to_vectors(tokens: Sequence[str], matrix: NDArray[np.floating[Any]]) -> Any:
    """Make a `Vectors` without a file: for `Field.build_vocab(vectors=...)` and lookups.

    Parameters
    ----------
    tokens : sequence of str (N,)
    matrix : float array (N, D)

    Returns
    -------
    torchtext.vocab.Vectors
        A token that is not there has zeros, unless `unk_init` is set.

    Raises
    ------
    ValueError
        There is not a row for every token, or a token is repeated.
    """
    torchtext = _torchtext()
    rows = {token: row for row, token in enumerate(tokens)}
    if len(rows) != len(tokens):
        raise ValueError("a token is repeated")
    # Its __init__ reads a file, writes a pickle beside it and ends the checking of certificates in this process.
    vectors = torchtext.vocab.Vectors.__new__(torchtext.vocab.Vectors)
    vectors.itos = list(tokens)
    vectors.stoi = rows
    vectors.vectors = _tensor(torchtext, matrix, len(tokens))
    vectors.dim = matrix.shape[1]
    vectors.unk_init = torchtext.vocab.torch.Tensor.zero_
    return vectors


def from_field(field: Any) -> TextField:
    """Move a sequential `Field` whose vocabulary is built.

    Ids are equal to the field's wherever it gives any. An unknown token with another name than `<unk>` works here;
    torchtext ends with a KeyError at the first token that it does not know.

    Parameters
    ----------
    field : torchtext.data.Field
        torchtext's own tokenizers for white space and "basic_english" become ours. Any other function is kept.

    Returns
    -------
    TextField
        It has no `batch_first` and `include_lengths`: batches are (B, T) and come with lengths.

    Raises
    ------
    UserError
        It is a file or a kind of field that cannot be moved, it has methods of its own, or its vocabulary is not built
        or cannot be moved.
    """
    _require(field, "Field", ("sequential", "use_vocab", "tokenize", "stop_words"))
    _refuse_what_has_no_counterpart(field)
    vocabulary = from_vocab(field.vocab)
    if vocabulary.unknown is None and field.unk_token in vocabulary:
        vocabulary = Vocabulary(
            vocabulary.tokens, vocabulary.counts.tolist(), unknown=field.unk_token
        )
    return TextField(
        vocabulary=vocabulary,
        tokenize=_tokenizer_of(field),
        lower=field.lower,
        init_token=field.init_token,
        eos_token=field.eos_token,
        pad_token=field.pad_token,
        fix_length=field.fix_length,
        pad_first=field.pad_first,
        truncate_first=field.truncate_first,
        stop_words=frozenset(field.stop_words or ()),
        preprocessing=field.preprocessing,
    )


def to_field(field: TextField, *, batch_first: bool = False, include_lengths: bool = False) -> Any:
    """Make a `Field` with its vocabulary.

    Parameters
    ----------
    field : TextField
    batch_first, include_lengths : bool
        As for `Field`: batches are (B, T) instead of (T, B), and come with lengths.
    """
    made = _torchtext().data.Field(
        tokenize=field.tokenize,
        lower=field.lower,
        init_token=field.init_token,
        eos_token=field.eos_token,
        pad_token=field.pad_token,
        unk_token=field.vocabulary.unknown,
        fix_length=field.fix_length,
        pad_first=field.pad_first,
        truncate_first=field.truncate_first,
        stop_words=field.stop_words or None,
        preprocessing=field.preprocessing,
        batch_first=batch_first,
        include_lengths=include_lengths,
    )
    made.vocab = to_vocab(field.vocabulary)
    return made


def _torchtext() -> Any:
    """Import torchtext, or say what to install."""
    try:
        import torchtext  # type: ignore[import-not-found,import-untyped,unused-ignore]

        version = getattr(torchtext, "__version__", None)  # an empty folder of this name has none
    except (ImportError, OSError):  # later ones have a library that current torch cannot load
        version = None
    if version != VERSION:
        raise UserError(
            f"This needs torchtext {VERSION}, the last that imports beside a current torch; "
            f"here is {version or 'none'}. Run: {install_command('dltasks-shared', 'torchtext')}"
        )
    return torchtext


def _tensor(torchtext: Any, matrix: NDArray[np.floating[Any]], rows: int) -> Any:
    """Copy a matrix into a float32 tensor (rows, D) of the torch that torchtext has imported: this file imports none.

    Raises
    ------
    ValueError
        The matrix has another number of rows.
    """
    if matrix.ndim != 2 or len(matrix) != rows:
        raise ValueError(f"{rows} tokens, but a matrix of shape {matrix.shape}")
    return torchtext.vocab.torch.from_numpy(np.array(matrix, dtype=np.float32))


def _require(thing: Any, kind: str, attributes: Sequence[str]) -> None:
    """Refuse files, and objects that do not have what a torchtext object of this kind has."""
    if isinstance(thing, (str, bytes, os.PathLike)):
        raise UserError(
            f"{os.fsdecode(thing)}: expected a {kind} object of torchtext, got the name of a file. Such files are "
            "pickles, which can run any code when they are read, so they are not read here. Move the object in the "
            "notebook that made it, then save the vocabulary (vocab.txt) or the vectors (word2vec)."
        )
    if not all(hasattr(thing, name) for name in attributes):
        name = f"{type(thing).__module__}.{type(thing).__qualname__}"
        raise UserError(f"Expected a {kind} object of torchtext {VERSION}, got a {name}.")


def _refuse_what_has_no_counterpart(field: Any) -> None:
    if hasattr(field, "nesting_field"):
        problem = "A NestedField has two levels of tokens. Move its vocabulary with from_vocab."
    elif not field.use_vocab:
        problem = "A field with use_vocab=False holds numbers already. Use them as they are."
    elif not hasattr(field, "vocab"):
        problem = "The field has no vocabulary. Call its build_vocab first."
    elif not field.sequential:
        problem = "A LabelField is its vocabulary. Move that: from_vocab(field.vocab).ids(labels)."
    elif field.postprocessing is not None:
        problem = "postprocessing cannot be moved. Apply it to the batches, and set it to None."
    elif own := _own_methods(field):
        problem = (
            f"The field has a {' and a '.join(own)} of its own, which cannot be moved. Move its vocabulary with "
            "from_vocab, and apply the function to the texts or the batches."
        )
    elif field.pad_token is None:
        problem = "pad_token is None, so batches have no padding. Move the vocabulary: from_vocab."
    else:
        return
    raise UserError(problem)


def _own_methods(field: Any) -> list[str]:
    """Return the names of methods that are not those of torchtext's `Field`, in a subclass or set on the object."""
    methods = ("preprocess", "pad", "numericalize", "process")
    # By its name, since torchtext is not imported here.
    classes = [c for c in type(field).__mro__ if c.__module__.startswith("torchtext.")]
    return [
        name
        for name in methods
        if name in vars(field)
        or not any(getattr(type(field), name, None) is vars(c).get(name) for c in classes)
    ]


def _tokenizer_of(field: Any) -> Callable[[str], Iterable[str]]:
    ours = {"_split_tokenizer": space_tokens, "_basic_english_normalize": basic_english_tokens}
    given: Callable[[str], Iterable[str]] = field.tokenize
    if getattr(given, "__module__", None) != "torchtext.data.utils":
        return given
    return ours.get(getattr(given, "__name__", ""), given)
