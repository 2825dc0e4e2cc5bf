"""Where data sets are and where they are downloaded from.

Every data set has a folder in its publisher's own layout, `<data root>/<name>`. Nothing is
downloaded unless `fetch_dataset` is called. Sizes and checksums were each seen in at least two
independent public programs, or measured on the file; a size that nobody states reliably is None,
and the checksum decides alone.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from shared.command.options import FetchOptions
from shared.data.archives import extract
from shared.data.fetch import Source, fetch
from shared.errors import UserError
from shared.files import shell_quoted

_COURSE = (
    "https://raw.githubusercontent.com/norsheep/ai-classes/978d53f077670639c9d5ece9f04cd1928109a556/"
    + quote("自然语言处理/HW2/data/")
)
_EXAMPLES = (
    "https://raw.githubusercontent.com/pytorch/examples/77f55b912142e11fcfdf5b530231fb9c52f181e8/"
    "word_language_model/data/wikitext-2/"
)
_WIKITEXT_BY_HAND = "Or unzip wikitext-2-v1.zip and name its files train.txt, valid.txt, test.txt."

SOURCES: dict[str, tuple[Source, ...]] = {
    "cbow": (
        Source(
            "CBOW course corpus", "treebank.txt", (_COURSE + "treebank.txt",),
            "7316ec27d131acf8d7251b8477e8365a154c98470c104adcc64ac173a53a3666", 1_195_613,
            "It is original_rt_snippets.txt in stanfordSentimentTreebank.zip (Stanford NLP).",
        ),
        Source(
            "CBOW course synonyms", "synonyms.json", (_COURSE + "synonyms.json",),
            "4ea97947f566cb08279ee70329cfd401404dfd736d8df81aa333a24ab93b32ae", 5_817, "",
        ),
        Source(
            "CBOW course debug text", "debug.txt", (_COURSE + "debug2.txt",),
            "c007e06507bcf9cd8a17d0219b8686676dc7e56d276b9d2697fdb96d2a95af67", 207, "",
        ),
    ),
    "snli": (
        Source(
            "SNLI 1.0", "snli_1.0.zip", ("https://nlp.stanford.edu/projects/snli/snli_1.0.zip",),
            "afb3d70a5af5d8de0d9d81e2637e0fb8c22d1235c2749d83125ca43dab0dbd3e", 94_550_081,
            "Its pairs are also on Hugging Face as stanfordnlp/snli.",
        ),
    ),
    "tiny-imagenet-200": (
        Source(
            "Tiny ImageNet", "tiny-imagenet-200.zip",
            (
                "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
                "https://cs231n.stanford.edu/tiny-imagenet-200.zip",
                "https://image-net.org/data/tiny-imagenet-200.zip",
            ),
            "6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821", 248_100_043, "",
        ),
    ),
    "wikitext-2": (
        Source(
            "WikiText-2", "train.txt", (_EXAMPLES + "train.txt",),
            "9e9fa1ad55b1c2c95b08e37dd8e653f638fac2c6de904b79e813611eefbc985f", 10_797_148,
            _WIKITEXT_BY_HAND,
        ),
        Source(
            "WikiText-2", "valid.txt", (_EXAMPLES + "valid.txt",),
            "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8", 1_121_681,
            _WIKITEXT_BY_HAND,
        ),
        Source(
            "WikiText-2", "test.txt", (_EXAMPLES + "test.txt",),
            "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0", 1_256_449,
            _WIKITEXT_BY_HAND,
        ),
    ),
    # The publisher's archive of the same text; tried when the three files cannot be had.
    "wikitext-2-v1": (
        Source(
            "WikiText-2", "wikitext-2-v1.zip", ("https://wikitext.smerity.com/wikitext-2-v1.zip",),
            "92675f1d63015c1c8b51f1656a52d5bdbc33aafa60cc47a218a66e7ee817488c", None,
            "Its text is also on Hugging Face as Salesforce/wikitext.",
        ),
    ),
    "aclImdb": (
        Source(
            "Large Movie Review Dataset", "aclImdb_v1.tar.gz",
            (
                "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
                "https://d2l-data.s3-accelerate.amazonaws.com/aclImdb_v1.tar.gz",
                "https://bj.bcebos.com/dataset/imdb%2FaclImdb_v1.tar.gz",
            ),
            "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe", 84_125_825,
            "Its reviews are also on Hugging Face as stanfordnlp/imdb.",
        ),
    ),
    "glove.6B": (
        Source(
            "GloVe 6B", "glove.6B.zip",
            (
                "https://nlp.stanford.edu/data/glove.6B.zip",
                "https://downloads.cs.stanford.edu/nlp/data/glove.6B.zip",
                "https://huggingface.co/stanfordnlp/glove/resolve/main/glove.6B.zip",
            ),
            "617afb2fe6cbd085c235baf7a465b96f4112bd7f7ccb2b2cbd649fed9cbcf2fb", 862_182_613, "",
        ),
    ),
    "glove.840B.300d": (
        Source(
            "GloVe 840B", "glove.840B.300d.zip",
            (
                "https://nlp.stanford.edu/data/glove.840B.300d.zip",
                "https://downloads.cs.stanford.edu/nlp/data/glove.840B.300d.zip",
                "https://huggingface.co/stanfordnlp/glove/resolve/main/glove.840B.300d.zip",
            ),
            "c06db255e65095393609f19a4cfca20bf3a71e20cc53e892aafa490347e3849f", None, "",
        ),
    ),
    "text8": (
        Source(
            "text8", "text8.zip", ("http://mattmahoney.net/dc/text8.zip",),
            "a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7a38e5232", 31_344_016, "",
        ),
    ),
}  # fmt: skip


def data_root() -> Path:
    """Return the folder of all data sets: `$DLTASKS_DATA`, else `dltasks` in the user's cache folder."""
    return _chosen_root() or cache_root()


def _chosen_root() -> Path | None:
    chosen = os.environ.get("DLTASKS_DATA", "").strip()
    return Path(chosen).expanduser() if chosen else None


def cache_root() -> Path:
    """Return `dltasks` in the user's cache folder."""
    cache: str | Path
    if sys.platform == "win32":
        cache = os.environ.get("LOCALAPPDATA", "") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches"
    else:
        cache = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(cache):  # the XDG standard: a relative one is to be ignored
            cache = Path.home() / ".cache"
    return Path(cache) / "dltasks"


def find_data(name: str, given: str | None) -> Path | None:
    """Return the data to use: what the user named, else the data root's, else None.

    None means that the task uses its built-in sample.

    Parameters
    ----------
    name : str
        Name of the data set, a folder in the data root.
    given : str or None
        Value of `--data`. What is not a file or a folder, such as a pipe, is copied into a temporary file first.

    Raises
    ------
    UserError
        `given` does not exist or is empty, or `DLTASKS_DATA` is set and the data set is not there.
    """
    if given == "":  # a variable that is not set; its path would be the working folder
        raise UserError("--data is empty. Expected a file or folder that exists, or no --data.")
    if given is not None:
        path = Path(given).expanduser()
        if not path.exists():
            raise UserError(f"--data {given}: not found. Expected a file or folder that exists.")
        return path if path.is_file() or path.is_dir() else _copy_of_stream(path)
    path = data_root() / name
    if path.is_dir() and any(_is_data(entry) for entry in path.iterdir()):
        return path
    if _chosen_root() is not None:
        raise UserError(
            f"DLTASKS_DATA is set, but there is no data in {path}. Put the data set there, download it with `fetch`, "
            "name other data with --data, or unset DLTASKS_DATA to use the built-in sample."
        )
    return None


def _is_data(entry: Path) -> bool:
    """Whether an entry is not merely what a `fetch` without network leaves: locks and parts."""
    return not entry.name.startswith(".") and entry.suffix != ".part"


def _copy_of_stream(path: Path) -> Path:
    """Copy a pipe, which can be read only once, into a file that is removed when the process ends."""
    holder = tempfile.TemporaryDirectory(prefix="dltasks-data-")
    copy = Path(holder.name) / "data.txt"
    _COPIES.append((holder, str(copy), str(path)))
    with path.open("rb") as stream, copy.open("wb") as file:
        shutil.copyfileobj(stream, file)
    return copy


def as_given(message: str) -> str:
    """Return a message in which the copy of a pipe is called what the user named."""
    for _, copy, given in _COPIES:
        message = message.replace(copy, given)
    return message


def fetch_dataset(name: str, folder: str | Path | None = None, *, quiet: bool = False) -> Path:
    """Download a data set and lay it out as its publisher does.

    Parameters
    ----------
    name : str
        A key of `SOURCES`.
    folder : path, optional
        Where the data goes; `<data root>/<name>` if left out. Archives are kept beside it, in
        `downloads/`.
    quiet : bool
        No progress bars.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UserError
        The name is unknown, no mirror worked, or an archive is not what it should be.
    """
    if name not in SOURCES:
        raise UserError(f"data set {name!r} is not known. Known: {', '.join(SOURCES)}.")
    folder = data_root() / name if folder is None else Path(folder).expanduser()
    if name != "wikitext-2":
        return _fetch_into(name, folder, quiet)
    try:
        return _fetch_into(name, folder, quiet)
    except UserError as first:
        try:
            return _wikitext_from_archive(folder, quiet)
        except UserError as second:
            raise UserError(f"{first} The publisher's archive failed too: {second}") from second


def fetch_and_say(name: str, command: str, options: FetchOptions) -> int:
    """Download a data set and say how to use it (verb `fetch` of every command).

    Parameters
    ----------
    name : str
        A key of `SOURCES`.
    command : str
        What trains on it, for example `cbow train --recipe baseline`.
    options : FetchOptions
    """
    folder = fetch_dataset(name, options.out, quiet=options.quiet)
    print(f"The data is in {folder}. `{command} --data {shell_quoted(folder)}` trains on it.")
    if folder == data_root() / name:
        print("This is the default folder, so --data may be left out.")
    return 0


def _fetch_into(name: str, folder: Path, quiet: bool) -> Path:
    downloads = folder.parent / "downloads"
    for source in SOURCES[name]:
        if not source.file.endswith((".zip", ".gz", ".xz")):
            fetch(source, folder, quiet=quiet)
        elif not folder.is_dir() or not any(_is_data(entry) for entry in folder.iterdir()):
            archive = fetch(source, downloads, quiet=quiet)
            extract(archive, folder, strip_top=True, quiet=quiet)
    return folder


def _wikitext_from_archive(folder: Path, quiet: bool) -> Path:
    """Take the three files out of the publisher's zip: same bytes, other names."""
    (source,) = SOURCES["wikitext-2-v1"]
    archive = fetch(source, folder.parent / "downloads", quiet=quiet)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".wikitext-2.", dir=folder.parent) as workplace:
        unpacked = extract(archive, Path(workplace, "unpacked"), strip_top=True, quiet=quiet)
        for split in ("train", "valid", "test"):
            os.replace(unpacked / f"wiki.{split}.tokens", folder / f"{split}.txt")
    return folder


_COPIES: list[tuple[tempfile.TemporaryDirectory, str, str]] = []
