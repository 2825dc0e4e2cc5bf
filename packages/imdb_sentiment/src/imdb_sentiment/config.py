"""Options of every verb. What stands here in docstrings is what `--help` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.command.config import Problems
from shared.torch.config import MAY_CHANGE, LoopConfig

Family = Literal["lstm", "handwritten_lstm", "cnn", "encoder", "nbsvm", "tfidf"]
Task = Literal["polarity", "rating"]
Split = Literal["train", "valid", "test"]

LINEAR = ("nbsvm", "tfidf")
RECURRENT = ("lstm", "handwritten_lstm")
RECIPES = ("nbsvm", "tfidf", "cnn", "bilstm", "handwritten", "baseline", "encoder")
"""In the order in which `compare` trains them: the quick ones first."""
MAY_CHANGE_ON_RESUME = ("data", *MAY_CHANGE)
"""Settings that do not change what is trained: the data may have moved, its content is compared by itself."""


@dataclass(frozen=True)
class TrainConfig(LoopConfig):
    """Settings of a training run; the defaults are a small BiLSTM."""

    data: str | None = None
    """Folder with {train,test}/{pos,neg}/<id>_<rating>.txt; default: $DLTASKS_DATA/aclImdb, else a small made-up
    sample."""
    task: Task = "polarity"
    """polarity: good or bad; rating: which of 1, 2, 3, 4, 7, 8, 9, 10."""
    limit: int | None = None
    """Training reviews to use, half of each class, >= 2; null: all."""
    valid_share: float = 0.1
    """Part of the training reviews, by whole films, on which settings and epochs are chosen; above 0 and below 1."""

    model: Family = "lstm"
    """Kind of model: lstm is torch's, handwritten_lstm ours, nbsvm and tfidf are linear."""
    tokenizer: Literal["marks", "review", "word", "nltk", "nltk_lower", "space"] = "marks"
    """How a review becomes words; marks: words and punctuation marks, review: words alone."""
    min_count: int = 2
    """Rarer words become `<unk>`, >= 1."""
    max_vocab_size: int | None = 30000
    """Words kept, `<pad>` and `<unk>` included, >= 3; null: all."""
    stem_letters: int | None = None
    """Beginnings of words, of this many letters, have features (nbsvm, tfidf: alone and in pairs) or vectors (lstm,
    handwritten_lstm, cnn) beside the words' own, >= 1; null: no."""
    max_tokens: int = 400
    """Longer reviews lose tokens, >= 1 (an encoder: its own two marks included, >= 3)."""
    truncation: Literal["head", "tail", "head_tail"] = "head_tail"
    """What is kept of a longer review; head_tail: a quarter from its beginning, the rest from its end."""
    padding: Literal["batch", "front"] = "batch"
    """batch: up to the batch's longest review, and masked; front: the coursework's, every review filled up to
    --max-tokens in front, and read as if it were words."""
    vectors: str | None = None
    """Word vectors to start from: GloVe text, word2vec text or binary; glove: 6B 100d from the data root, random ones
    where it is not there; reviews: made of the training reviews, by which words stand near which; null: random ones."""

    embedding_size: int = 100
    """Numbers in a word vector, >= 1; given vectors have their own."""
    hidden_size: int = 128
    """Size of the hidden state of each direction, or filters of each width (cnn), >= 1."""
    layers: int = 1
    """LSTM layers, >= 1."""
    bidirectional: bool = True
    """Read from both ends (lstm, handwritten_lstm)."""
    widths: tuple[int, ...] = (2, 3, 4)
    """Words that filters see (cnn), each >= 1."""
    pooling: Literal["max_mean", "max", "mean", "last", "last_place"] = "max_mean"
    """What of a review's states the head reads; last: the final state of each direction; last_place: the coursework's,
    whatever stands at the last place; an encoder takes cls or mean by --encoder-pooling."""
    head_size: int | None = None
    """Size of a layer with tanh before the classes, >= 1; null: none."""

    encoder: str | None = None
    """Folder or Hugging Face name of a pretrained encoder (encoder)."""
    encoder_pooling: Literal["cls", "mean"] = "mean"
    """What of an encoder's states the head reads: the first, or the mean."""
    lora_rank: int = 0
    """Train low-rank changes of an encoder's weights instead of the weights, >= 0; 0: the weights themselves."""
    head_rate: float = 1.0
    """Learning rate of an encoder's head and of LoRA over that of its weights, > 0."""

    dropout: float = 0.5
    """Share of pooled features dropped, 0 to below 1."""
    input_dropout: float = 0.0
    """Share of a word vector's features dropped, the same ones for a whole review, 0 to below 1."""
    word_dropout: float = 0.0
    """Share of words that are read as `<unk>` in training, 0 to below 1."""
    crop: int | None = None
    """Read a random stretch of this many tokens of each review in training, >= 1; null: all that is kept."""
    adversarial: float = 0.0
    """Also learn from word vectors moved by this much, relative to their norm, where it hurts most; >= 0; 0: no."""
    rating_weight: float = 0.0
    """Weight of a second loss, the review's rating (polarity only), >= 0."""
    label_smoothing: float = 0.0
    """Share of the target given to all classes alike, 0 to below 1."""

    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    """How weights follow gradients; sgd has momentum."""
    learning_rate: float = 2e-3
    """Step size, > 0."""
    vector_rate: float = 1.0
    """Learning rate of word vectors over that of the rest (lstm, handwritten_lstm, cnn), > 0: rare words are met a few
    times only, and with the full rate are learned by heart."""
    momentum: float = 0.9
    """Of sgd, 0 to below 1."""
    weight_decay: float = 0.0
    """Pull towards zero, >= 0 (adam, sgd: L2 in the gradient; adamw: decoupled)."""
    batch_size: int = 32
    """Reviews in an update, >= 1."""
    least_steps: int = 0
    """Updates to make at least: --epochs becomes more where there are few reviews, >= 0."""
    bucket: bool = True
    """Reviews of like length share a batch; it saves padding."""

    ngrams: int = 3
    """Longest run of words that is a feature (nbsvm, tfidf), 1 to 4."""
    min_reviews: int = 2
    """Reviews of the training data that a feature must be in (nbsvm, tfidf), >= 1."""
    penalty_inverse: float = 10.0
    """C of scikit-learn's logistic regression (nbsvm, tfidf), > 0."""
    smoothing: float = 1.0
    """Added to counts before their log ratio (nbsvm), > 0."""
    refit: bool = True
    """After measuring on valid, train again on train and valid together (nbsvm, tfidf)."""

    def check(self, problem: Problems) -> None:
        """Note every setting that is out of range."""
        super().check(problem)
        for name in (
            "min_count", "max_tokens", "embedding_size", "hidden_size", "layers", "batch_size", "min_reviews",
        ):  # fmt: skip
            problem(getattr(self, name) < 1, name, getattr(self, name), ">= 1")
        for name in ("head_size", "crop", "stem_letters"):
            value = getattr(self, name)
            problem(value is not None and value < 1, name, value, ">= 1 or null")
        for name in ("lora_rank", "least_steps"):
            problem(getattr(self, name) < 0, name, getattr(self, name), ">= 0")
        limit, size = self.limit, self.max_vocab_size
        problem(limit is not None and limit < 2, "limit", limit, ">= 2 or null")
        problem(size is not None and size < 3, "max_vocab_size", size, ">= 3 or null")
        share = self.valid_share
        problem(not 0 < share < 1, "valid_share", share, "above 0 and below 1")
        for name in ("dropout", "input_dropout", "word_dropout", "label_smoothing", "momentum"):
            value = getattr(self, name)
            problem(not 0 <= value < 1, name, value, "0 to below 1")
        for name in ("adversarial", "rating_weight", "weight_decay"):
            value = getattr(self, name)
            problem(not 0 <= value < float("inf"), name, value, ">= 0")
        for name in ("learning_rate", "vector_rate", "head_rate", "penalty_inverse", "smoothing"):
            value = getattr(self, name)
            problem(not 0 < value < float("inf"), name, value, "a number > 0")
        problem(not 1 <= self.ngrams <= 4, "ngrams", self.ngrams, "1 to 4")
        problem(min(self.widths, default=0) < 1, "widths", list(self.widths), "numbers >= 1")
        self._check_together(problem)

    def _check_together(self, problem: Problems) -> None:
        is_encoder, is_recurrent = self.model == "encoder", self.model in RECURRENT
        wanted = "a folder or a name on the Hugging Face hub"
        problem(is_encoder and self.encoder is None, "encoder", "missing", wanted)
        problem(is_encoder and self.max_tokens < 3, "max_tokens", self.max_tokens, ">= 3")
        is_odd = self.model == "cnn" and self.pooling in ("last", "last_place")
        problem(is_odd, "pooling", self.pooling, "max_mean, max or mean, since a cnn has no state")
        # In a batch padded behind, the last place is padding for all but the longest review.
        is_odd = is_recurrent and self.pooling == "last_place" and self.padding == "batch"
        problem(is_odd, "pooling", self.pooling, "last, unless --padding is front")
        is_odd = self.padding == "front" and (not is_recurrent or self.pooling != "last_place")
        problem(is_odd, "padding", self.padding, "batch, unless an LSTM has --pooling last_place")
        is_odd = self.rating_weight > 0 and self.task == "rating"
        problem(is_odd, "rating_weight", self.rating_weight, "0 with --task rating")
        is_odd = self.padding == "front" and self.crop is not None
        problem(is_odd, "crop", self.crop, "null with --padding front")


@dataclass(frozen=True)
class StudyOptions:
    """What `compare` and `learning-curve`, which train several recipes, have in common."""

    data: str | None = None
    """Data as in `train`."""
    recipes: tuple[str, ...] = ()
    """Recipes to train, in this order."""
    encoder: str | None = None
    """Folder or hub name for the recipe encoder; default: the recipe's, whose row `compare` leaves out if it cannot be
    had."""
    minutes: float | None = None
    """Most minutes for each network, which is then planned to end in them, > 0; null: as the recipes say."""
    epochs: int | None = None
    """Passes of each network over its reviews, >= 1; null: as the recipes say."""
    threads: int = 0
    """CPU threads, >= 0; 0: as torch chooses."""
    out: str | None = None
    """Folder for the runs and the page; finished runs in it are not trained again; default:
    runs/imdb_sentiment/<verb>."""
    json: bool = False
    """Print one JSON object instead of lines."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            self.check(problem)

    def check(self, problem: Problems) -> None:
        """Note every setting that is out of range; a study adds its own after `super().check(problem)`."""
        problem(not self.recipes, "recipes", list(self.recipes), "one or more")
        minutes, epochs = self.minutes, self.epochs
        problem(minutes is not None and not minutes > 0, "minutes", minutes, "> 0")
        problem(epochs is not None and epochs < 1, "epochs", epochs, ">= 1")
        problem(self.threads < 0, "threads", self.threads, ">= 0")
