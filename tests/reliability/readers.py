"""The readers of files of others, each as a function of a path, with files that are valid.

Where a run would write what was read (a vocabulary, settings), it is written here too, and has to come back the same.
"""

from __future__ import annotations

import gzip
import importlib
import io
import json
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from trainings import TASKS

from cbow.config import TrainConfig as CbowConfig
from cbow.data.dataset import count_words, encode, find_corpus
from cbow.data.evaluation_sets import load_analogies, load_word_pairs
from cbow.data.synonyms import load_synonyms
from cbow.model.vectors import WordVectors
from esim.data.pairs import find_sources
from esim.data.tokens import token_pairs
from resnet_tiny.data.layout import read_classes, train_images, val_images
from shared.command import config as configuration
from shared.data.tables import Table
from shared.text.vectors import load_pretrained, read_vectors
from shared.text.vocabulary import Vocabulary
from word_lm.config import TrainConfig as LanguageConfig
from word_lm.data.dataset import load_text

WORDS = Vocabulary(["<unk>", "<pad>", "the", "Man", "cat"], [1, 1, 50, 20, 10])


def keep(vocabulary: Vocabulary, folder: Path) -> None:
    """Write a vocabulary as a checkpoint would, and see that it comes back."""
    vocabulary.save(folder / "kept.txt")
    assert Vocabulary.load(folder / "kept.txt") == vocabulary


def glove(path: Path, on_bad_line: Any = "error") -> None:
    load_pretrained(path, WORDS, on_bad_line=on_bad_line)


def pairs(path: Path, on_bad_line: str = "error", tokenizer: str = "space") -> None:
    (source,) = find_sources(path).values()
    read = token_pairs(source, tokenizer, on_bad_line=on_bad_line, is_cached=False)
    sentences = [*read.premises, *read.hypotheses]
    keep(Vocabulary.build([word for sentence in sentences for word in sentence]), path.parent)


def wikitext(path: Path) -> None:
    for name in ("valid", "test"):
        (path.parent / f"{name}.txt").write_text("a b\n")
    one_text(path.parent)


def one_text(path: Path) -> None:
    text = load_text(LanguageConfig(data=str(path)))
    keep(text.vocabulary, path if path.is_dir() else path.parent)


def corpus(path: Path) -> None:
    config = CbowConfig(data=str(path))
    files = find_corpus(config)
    words = count_words(files, config, quiet=True)
    keep(words, path.parent)
    encoded = encode(files, words, path.parent / "ids", quiet=True)
    assert encoded.counts.sum() == encoded.tokens


def images(path: Path) -> None:
    """Read a data set of which one of the lists is the file."""
    root = path.parents[{"val_annotations.txt": 1, "n1_boxes.txt": 2}.get(path.name, 0)]
    shown = (
        "val/images/val_0.JPEG",
        "val/images/val_1.JPEG",
        "train/n1/images/n1_0.JPEG",
        "train/n2/images/x.png",
    )
    for name, content in {**dict.fromkeys(shown, "picture"), **LISTS}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if root / name != path:
            (root / name).write_text(content)
    classes = read_classes(root)
    train_images(root, classes)
    val_images(root, classes)  # fmt: skip


def table(path: Path) -> None:
    for _, values in Table.open(path).rows(["review", "label"]):
        assert len(values) == 2


def settings_of(task: str) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        config_class = importlib.import_module(f"{task}.config").TrainConfig
        config = configuration.load(config_class, path)
        path.with_name("again.yaml").write_text(configuration.dump(config))
        assert configuration.load(config_class, path.with_name("again.yaml")) == config

    return read


def zipped(**members: bytes) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name.replace("__", ".")), content)
    return raw.getvalue()


def npz(**arrays: Any) -> bytes:
    raw = io.BytesIO()
    np.savez(raw, **arrays)
    return raw.getvalue()


ROWS = [("the", 1.0, 2.0, -0.5), ("man", 0.25, 4.0, 1e-3), ("caf\u00e9", 7.0, 8.0, 9.0)]
TEXT = "".join(f"{word} {' '.join(map(str, numbers))}\n" for word, *numbers in ROWS).encode()
BINARY = b"3 3\n" + b"".join(w.encode() + b" " + struct.pack("<3f", *n) + b"\n" for w, *n in ROWS)
NPZ = npz(
    format=np.array("dltasks-vectors-1"),
    tokens=np.frombuffer(b'["a", "b"]', dtype=np.uint8),
    matrix=np.arange(6, dtype=np.float32).reshape(2, 3),
    counts=np.array([2, 1]),
)
PAIR = {
    "sentence1": "A man sleeps.",
    "sentence2": "Somebody is awake.",
    "sentence1_binary_parse": "( ( A man ) sleeps )",
    "sentence2_parse": "(ROOT (NN Somebody) (VBZ is) (JJ awake))",
}
LABELS = ("entailment", "neutral", "-", "contradiction")
PAIRS = "".join(f"{json.dumps({'gold_label': label, **PAIR})}\n" for label in LABELS).encode()
TABLE = b"gold_label\tsentence1\tsentence2\nneutral\tA man.\tA cat.\nentailment\tIt is.\tIs it?\n"
CSV = (
    b'id,review,label\n1,"Great, really great",1\n2,"He said ""no""\nand left",0\n3,caf\xc3\xa9,1\n'
)
PROSE = ("The man is here .\n\n = The man = \n \n He <unk> a caf\u00e9 @-@ cat .\n" * 4).encode()
LISTS = {
    "wnids.txt": "n2\nn1\n",
    "words.txt": "n1\tcat, tom\nn2\tdog\n",
    "val/val_annotations.txt": "val_0.JPEG\tn1\t0\t0\t9\t9\nval_1.JPEG\tn2\t0\t0\t9\t9\n",
    "train/n1/n1_boxes.txt": "n1_0.JPEG\t0\t0\t9\t9\n",
}
CONFIG = b"seed: 3\nlearning_rate: 6e-4\nepochs: 2\nrecipe: null\ndata: some/where\n"


@dataclass(frozen=True)
class Reader:
    """A reader of one file, the file's name below a folder, and valid contents."""

    read: Callable[[Path], Any]
    file: str
    valid: tuple[bytes, ...]
    examples: int = 100

    def put(self, folder: Path, content: bytes) -> Path:
        """Write the file."""
        path = folder / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path


READERS = {
    "word2vec text": Reader(read_vectors, "v.txt", (b"3 3\n" + TEXT,)),
    "word2vec binary": Reader(read_vectors, "v.bin", (BINARY, BINARY.replace(b"3 3", b"1000000000000 3"))),
    "GloVe": Reader(glove, "glove.txt", (TEXT, b"3 3\n" + TEXT, BINARY)),
    "GloVe, bad lines skipped": Reader(lambda path: glove(path, "skip"), "glove.txt", (TEXT, BINARY)),
    "GloVe, gzipped": Reader(glove, "glove.txt.gz", (gzip.compress(TEXT * 20, mtime=0),)),
    "GloVe, zipped": Reader(glove, "glove.zip", (zipped(glove__txt=TEXT * 20),)),
    "vectors, npz": Reader(WordVectors.load, "v.npz", (NPZ,)),
    "vocabulary": Reader(lambda path: keep(Vocabulary.load(path), path.parent), "vocab.txt", (b"<unk> 1\na b 0\n",)),
    "SNLI": Reader(pairs, "dev.jsonl", (PAIRS,)),
    "SNLI, bad lines skipped": Reader(lambda path: pairs(path, "skip"), "dev.jsonl", (PAIRS,)),
    "SNLI, parses": Reader(lambda path: pairs(path, tokenizer="parse_lower"), "dev.jsonl", (PAIRS,)),
    "SNLI, table": Reader(pairs, "dev.txt", (TABLE, b"0\ta b\tc d\n1\te\tf\n")),
    "SNLI, zipped": Reader(pairs, "snli.zip", (zipped(dev__jsonl=PAIRS),)),
    "WikiText": Reader(wikitext, "train.txt", (PROSE,)),
    "text file": Reader(one_text, "text.txt", (PROSE * 3,)),
    "corpus": Reader(corpus, "treebank.txt", (PROSE,)),
    "corpus, gzipped": Reader(corpus, "treebank.txt.gz", (gzip.compress(PROSE, mtime=0),)),
    "CSV": Reader(table, "d.csv", (CSV,)),
    "TSV": Reader(table, "d.tsv", (b"label\treview\n0\tDull.\n1\tFine, or better.\n",)),
    "JSONL": Reader(table, "d.jsonl", (b'{"review": "Fine.", "label": 1}\n{"label": 0, "review": "Dull."}\n',)),
    "synonyms": Reader(load_synonyms, "synonyms.json", (b'[["a", ["b", "c"]], ["d", []]]', b'{"a": ["b"]}')),
    "analogies": Reader(load_analogies, "questions.txt", (b": capitals\nA b c d\n\n: other\ne f g h\n",)),
    "rated pairs": Reader(load_word_pairs, "pairs.tsv", (b"w1\tw2\tscore\na\tb\t1.5\n", b"a,b,3\nc,d,4\n")),
    **{name: Reader(images, name, (text.encode(),)) for name, text in LISTS.items()},
    **{f"settings, {task}": Reader(settings_of(task), "config.yaml", (CONFIG,), 15) for task in TASKS},
}  # fmt: skip
