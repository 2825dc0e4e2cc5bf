"""The settings of `train`. The docstrings of the fields are what `--help` prints."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from shared.command.config import OnlyWith, Problems
from shared.torch.config import MAY_CHANGE, LoopConfig

Family = Literal["lstm", "handwritten_lstm", "cnn", "encoder", "nbsvm", "tfidf"]
Task = Literal["polarity", "rating"]

LINEAR = ("nbsvm", "tfidf")
RECURRENT = ("lstm", "handwritten_lstm")
WORD_NETWORKS = (*RECURRENT, "cnn")
NETWORKS = (*WORD_NETWORKS, "encoder")
MAY_CHANGE_ON_RESUME = ("data", "test_data", *MAY_CHANGE)
"""Settings that do not change what is trained: the data may have moved, its content is compared by itself."""


_OF_MODELS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("ngrams", "min_reviews", "word_clusters", "penalty_inverse", "refit"), LINEAR
    ),
    "term_frequency": ("tfidf",),
    **dict.fromkeys(("smoothing", "shared_weights"), ("nbsvm",)),
    **dict.fromkeys(
        ("min_count", "max_vocab_size", "vectors", "embedding_size", "hidden_size", "pooling", "input_dropout",
         "vector_rate"),
        WORD_NETWORKS,
    ),
    **dict.fromkeys(("tokenizer", "prefix_letters"), (*LINEAR, *WORD_NETWORKS)),
    "log_count_ratios": WORD_NETWORKS,
    **dict.fromkeys(
        ("layers", "bidirectional", "padding", "carry_state", "muon_learning_rate"), RECURRENT
    ),
    "widths": ("cnn",),
    **dict.fromkeys(("encoder", "encoder_pooling", "lora_rank", "head_rate"), ("encoder",)),
    **dict.fromkeys(
        ("init", "max_tokens", "truncation", "head_size", "head_activation", "dropout", "word_dropout", "crop",
         "adversarial", "rating_weight", "label_smoothing", "softmax_first", "optimizer", "learning_rate",
         "momentum", "weight_decay", "batch_size", "min_steps", "bucket"),
        NETWORKS,
    ),
    **dict.fromkeys(
        {field.name for field in fields(LoopConfig)} - {"recipe", "seed", "device", "threads"}, NETWORKS
    ),
}  # fmt: skip
"""Models that use a setting; the others refuse it on the command line."""
_OF_SETTINGS: dict[str, dict[str, Any]] = {
    "momentum": {"optimizer": ("sgd",)},
    "muon_learning_rate": {"optimizer": ("muon",)},
    "head_activation": {"head_size": ...},
    "rating_weight": {"task": ("polarity",)},
    "embedding_size": {"vectors": (None, "reviews", "glove")},
    "test_fraction": {"test_data": (None,)},
}
_OF_THE_LOOP: OnlyWith = getattr(LoopConfig, "ONLY_WITH", {})


@dataclass(frozen=True)
class TrainConfig(LoopConfig):
    """Settings of a training run; the defaults are a small BiLSTM."""

    RENAMED: ClassVar[dict[str, str]] = {
        "valid_share": "valid_fraction",
        "stem_letters": "prefix_letters",
        "least_steps": "min_steps",
        "pooling=last_place": "last_position",
    }
    COMMON: ClassVar[tuple[str, ...]] = (
        *(
            "recipe",
            "data",
            "text_column",
            "label_column",
            "init",
            "limit",
            "model",
            "encoder",
            "vectors",
        ),
        *(
            "epochs",
            "minutes",
            "batch_size",
            "learning_rate",
            "seed",
            "device",
            "out",
            "resume",
            "quiet",
        ),
    )
    GROUPS: ClassVar[dict[str, tuple[str, ...]]] = {
        "data": (
            *(
                "data",
                "text_column",
                "label_column",
                "separator",
                "encoding",
                "test_data",
                "test_fraction",
            ),
            *("task", "limit", "test_limit", "valid_fraction"),
        ),
        "text": (
            *(
                "tokenizer",
                "min_count",
                "max_vocab_size",
                "prefix_letters",
                "log_count_ratios",
                "max_tokens",
                "truncation",
            ),
            *("padding", "vectors"),
        ),
        "networks": (
            *(
                "init",
                "model",
                "embedding_size",
                "hidden_size",
                "layers",
                "bidirectional",
                "widths",
                "pooling",
            ),
            *("carry_state", "head_size", "head_activation"),
        ),
        "encoders": ("encoder", "encoder_pooling", "lora_rank", "head_rate"),
        "regularization and loss": (
            *("dropout", "input_dropout", "word_dropout", "crop", "adversarial", "rating_weight"),
            *("label_smoothing", "softmax_first"),
        ),
        "optimization": (
            *(
                "optimizer",
                "learning_rate",
                "muon_learning_rate",
                "vector_rate",
                "momentum",
                "weight_decay",
                "batch_size",
            ),
            *("min_steps", "bucket"),
        ),
        "linear models": (
            *("ngrams", "min_reviews", "word_clusters", "term_frequency", "penalty_inverse"),
            *("smoothing", "shared_weights", "refit"),
        ),
    }
    RESETS: ClassVar[dict[str, str]] = {"epochs": "min_steps"}
    ONLY_WITH: ClassVar[OnlyWith] = {
        **_OF_SETTINGS,
        **{
            name: {**_OF_THE_LOOP.get(name, {}), **_OF_SETTINGS.get(name, {}), "model": models}
            for name, models in _OF_MODELS.items()
        },
    }

    epochs: int = 10
    """Passes over the training data, >= 1; --steps and --minutes take precedence. On the command line it also
    takes precedence over a recipe's `min_steps`."""
    data: str | None = None
    """Folder with {train,test}/{pos,neg}/<id>_<rating>.txt, or your own: a CSV, TSV or JSONL file, or a folder of text
    files for each class; default: $DLTASKS_DATA/aclImdb, else a small made-up sample."""
    text_column: str = "text"
    """Column of a table that has the texts, or its number where there is no header."""
    label_column: str = "label"
    """Column of a table that has the classes, or its number."""
    separator: str | None = None
    """Separator of a table's columns, `tab` for a tab; null: by the file's name."""
    encoding: str = "utf-8"
    """Encoding of a table."""
    init: str | None = None
    """Run folder of a trained model of the same kind to start from; new words and classes are added."""
    test_data: str | None = None
    """Test set: table or folder; null: the one in --data, else --test-fraction of it."""
    test_fraction: float = 0.1
    """Fraction of each class that becomes the test set where the data has none, above 0 and below 1."""
    task: Task = "polarity"
    """polarity: negative or positive, or your own classes; rating: which of 1, 2, 3, 4, 7, 8, 9, 10 stars."""
    limit: int | None = None
    """Training reviews to use, as many of each class, >= 2, beside those for validation (which --refit adds); null:
    all."""
    test_limit: int | None = None
    """Test reviews to measure on, as many of each class, >= 2; null: all."""
    valid_fraction: float = 0.1
    """Fraction of the training reviews, by whole films or of each class, that chooses settings and epochs; above 0 and
    below 1."""

    model: Family = "lstm"
    """Kind of model: lstm is torch's, handwritten_lstm ours, nbsvm and tfidf are linear."""
    tokenizer: Literal["marks", "review", "word", "unicode", "nltk", "nltk_lower", "space"] = (
        "marks"
    )
    """How a review becomes words; marks: words and punctuation marks, Chinese and Japanese as characters; review: words
    alone."""
    min_count: int = 2
    """Rarer words become `<unk>`, >= 1."""
    max_vocab_size: int | None = 30000
    """Vocabulary size, `<pad>` and `<unk>` included, >= 3; null: all words."""
    prefix_letters: int | None = None
    """Prefixes of words, of this many letters, have features (nbsvm, tfidf: unigrams and bigrams) or vectors (lstm,
    handwritten_lstm, cnn) beside the words' own, >= 1; null: no."""
    log_count_ratios: int | None = None
    """Longest n-gram that has inputs beside the vector of its first word: how much more frequent it is in reviews of
    a class than in the rest (much as NB-SVM's r; in training, in reviews of other films), 1 to 4; null: no."""
    max_tokens: int = 400
    """Longer reviews are truncated, >= 1 (an encoder: special tokens included, >= 3)."""
    truncation: Literal["head", "tail", "head_tail"] = "head_tail"
    """Which tokens of a longer review are kept; head_tail: a quarter from its beginning, the rest from its end."""
    padding: Literal["batch", "front"] = "batch"
    """batch: to the longest review of the batch, and masked; front: DEFECT of the coursework, every review is padded in
    front to --max-tokens, and the LSTM reads the padding as if it were words."""
    vectors: str | None = None
    """Pretrained word vectors: GloVe text, word2vec text or binary; glove: 6B 100d from the data root, random ones if
    it is not there; reviews: PPMI and SVD of the training reviews; null: random ones."""

    embedding_size: int = 100
    """Dimension of a word vector, >= 1; pretrained vectors have their own."""
    hidden_size: int = 128
    """Size of the hidden state of each direction, or filters of each width (cnn), >= 1."""
    layers: int = 1
    """LSTM layers, >= 1."""
    bidirectional: bool = True
    """Read in both directions (lstm, handwritten_lstm)."""
    widths: tuple[int, ...] = (2, 3, 4)
    """Widths of the filters in words (cnn), each >= 1."""
    pooling: Literal["max_mean", "max", "mean", "last", "last_position"] = "max_mean"
    """How the hidden states become one vector; last: the final state of each direction; last_position: DEFECT of the
    coursework, `out[:, -1]`, where the backward direction has read one word. An encoder has --encoder-pooling."""
    carry_state: bool = False
    """DEFECT of the coursework: in training, an LSTM starts each batch from the final state of the batch before, which
    read other reviews. Evaluation starts from zeros. Needs --padding front."""
    head_size: int | None = None
    """Size of a hidden layer before the classes, >= 1; null: none."""
    head_activation: Literal["tanh", "relu"] = "tanh"
    """Activation of that hidden layer."""

    encoder: str | None = None
    """Folder or Hugging Face name of a pretrained encoder (encoder)."""
    encoder_pooling: Literal["cls", "mean", "last"] = "mean"
    """How an encoder's states become one vector: the first, the mean, or last: DEFECT of the coursework,
    `last_hidden_state[:, -1]`, which is padding for all but the longest review of a batch."""
    lora_rank: int = 0
    """Rank of LoRA, which trains low-rank changes of an encoder's weights, >= 0; 0: full fine-tuning."""
    head_rate: float = 1.0
    """Learning rate of an encoder's head and of LoRA over that of its weights, > 0."""

    dropout: float = 0.5
    """Dropout probability of the pooled features, 0 to below 1."""
    input_dropout: float = 0.0
    """Dropout probability of the features of word vectors, with one mask a review, 0 to below 1."""
    word_dropout: float = 0.0
    """Probability that a word is read as `<unk>` in training, 0 to below 1."""
    crop: int | None = None
    """Train on a random crop of this many tokens of each review, >= 1; null: all that is kept."""
    adversarial: float = 0.0
    """Size of adversarial perturbations of the word vectors, relative to their norm, >= 0; 0: none."""
    rating_weight: float = 0.0
    """Weight of an auxiliary loss, the review's rating (polarity only), >= 0."""
    label_smoothing: float = 0.0
    """Probability mass of the target that is spread evenly over the classes, 0 to below 1."""
    softmax_first: bool = False
    """DEFECT of the coursework: softmax before the cross entropy, which applies softmax itself, so that the loss of a
    review cannot fall below 0.3133 (two classes)."""

    optimizer: Literal["adam", "adamw", "sgd", "muon"] = "adamw"
    """Optimizer; sgd has momentum; muon: orthogonalized momentum for the matrices of the LSTM, each gate one, and AdamW
    for all else (lstm, handwritten_lstm)."""
    learning_rate: float = 2e-3
    """Learning rate, > 0; with muon that of AdamW's part."""
    muon_learning_rate: float = 0.006
    """Learning rate of muon, > 0; its steps are as long as AdamW's of the same rate."""
    vector_rate: float = 1.0
    """Learning rate of word vectors over that of the other weights (lstm, handwritten_lstm, cnn), >= 0; 0: frozen."""
    momentum: float = 0.9
    """Momentum of sgd, 0 to below 1."""
    weight_decay: float = 0.0
    """Weight decay, >= 0 (adam, sgd: L2 in the gradient; adamw: decoupled)."""
    batch_size: int = 32
    """Reviews in a batch, >= 1."""
    min_steps: int = 0
    """Least number of updates, >= 0: where there are few reviews, a recipe's epochs are raised, and a line says so.
    --epochs on the command line sets it to 0; --steps and --minutes take precedence."""
    bucket: bool = True
    """Batches of reviews of similar length, which saves padding."""

    ngrams: int = 3
    """Longest n-gram that is a feature (nbsvm, tfidf), 1 to 4."""
    min_reviews: int = 2
    """Training reviews that a feature must occur in (nbsvm, tfidf), >= 1."""
    word_clusters: int | None = None
    """Clusters of words with similar neighbors; their n-grams, up to one longer than --ngrams, are features beside
    those of words (nbsvm, tfidf), >= 1; null: none."""
    term_frequency: Literal["binary", "raw", "log"] = "binary"
    """What counts of a feature in a review (tfidf); binary: that it occurs; raw: how often; log: 1 + log of how often.
    NB-SVM is binary."""
    penalty_inverse: float = 10.0
    """C of scikit-learn's logistic regression (nbsvm, tfidf), > 0."""
    smoothing: float = 1.0
    """Added to counts before their log ratio (nbsvm), > 0."""
    shared_weights: bool = False
    """Add to a feature's weight one that all features share that are of its kind (words, prefixes, clusters) and in
    about as many reviews, learned with ratios of reviews in other folds (nbsvm)."""
    refit: bool = True
    """After validation, fit again on train and valid together (nbsvm, tfidf)."""

    def check(self, problem: Problems) -> None:
        """Note every setting that is out of range."""
        super().check(problem)
        is_gpu = self.model in LINEAR and self.device not in ("auto", "cpu")
        problem(is_gpu, "device", self.device, f"auto or cpu for --model {self.model}")
        for name in (
            "min_count", "max_tokens", "embedding_size", "hidden_size", "layers", "batch_size", "min_reviews",
        ):  # fmt: skip
            problem(getattr(self, name) < 1, name, getattr(self, name), ">= 1")
        for name in ("head_size", "crop", "prefix_letters", "word_clusters"):
            value = getattr(self, name)
            problem(value is not None and value < 1, name, value, ">= 1 or null")
        for name in ("lora_rank", "min_steps"):
            problem(getattr(self, name) < 0, name, getattr(self, name), ">= 0")
        for name in ("limit", "test_limit"):
            value = getattr(self, name)
            problem(value is not None and value < 2, name, value, ">= 2, or null for all")
        size = self.max_vocab_size
        problem(size is not None and size < 3, "max_vocab_size", size, ">= 3, or null for all")
        for name in ("valid_fraction", "test_fraction"):
            value = getattr(self, name)
            problem(not 0 < value < 1, name, value, "above 0 and below 1")
        for name in ("dropout", "input_dropout", "word_dropout", "label_smoothing", "momentum"):
            value = getattr(self, name)
            problem(not 0 <= value < 1, name, value, "0 to below 1")
        for name in ("adversarial", "rating_weight", "weight_decay", "vector_rate"):
            value = getattr(self, name)
            problem(not 0 <= value < float("inf"), name, value, ">= 0")
        without_lstm = self.optimizer == "muon" and self.model not in RECURRENT
        problem(without_lstm, "optimizer", "muon", f"another for --model {self.model}")
        for name in (
            "learning_rate", "muon_learning_rate", "head_rate", "penalty_inverse", "smoothing",
        ):  # fmt: skip
            value = getattr(self, name)
            problem(not 0 < value < float("inf"), name, value, "a number > 0")
        problem(not 1 <= self.ngrams <= 4, "ngrams", self.ngrams, "1 to 4")
        longest = self.log_count_ratios
        problem(longest not in (None, 1, 2, 3, 4), "log_count_ratios", longest, "1 to 4 or null")
        problem(min(self.widths, default=0) < 1, "widths", list(self.widths), "numbers >= 1")
        self._check_together(problem)

    def _check_together(self, problem: Problems) -> None:
        is_encoder, is_recurrent = self.model == "encoder", self.model in RECURRENT
        wanted = "a folder or a name on the Hugging Face hub"
        problem(is_encoder and self.encoder is None, "encoder", "missing", wanted)
        problem(is_encoder and self.max_tokens < 3, "max_tokens", self.max_tokens, ">= 3")
        is_odd = self.model == "cnn" and self.pooling in ("last", "last_position")
        problem(is_odd, "pooling", self.pooling, "max_mean, max or mean, since a cnn has no state")
        # In a batch padded behind, the last position is padding for all but the longest review.
        is_odd = is_recurrent and self.pooling == "last_position" and self.padding == "batch"
        problem(is_odd, "pooling", self.pooling, "last, unless --padding is front")
        is_front = self.padding == "front"
        problem(
            is_front and not is_recurrent,
            "padding",
            self.padding,
            "batch, unless --model is an LSTM",
        )
        is_odd = is_front and self.pooling not in ("last", "last_position")
        problem(is_odd, "pooling", self.pooling, "last or last_position with --padding front")
        problem(
            is_front and self.crop is not None,
            "crop",
            self.crop,
            "null (not set) with --padding front",
        )
        problem(
            self.carry_state and not is_front,
            "carry_state",
            True,
            "false, unless --padding is front",
        )
        is_odd = self.carry_state and self.adversarial > 0
        problem(is_odd, "adversarial", self.adversarial, "0 with --carry-state")
        is_odd = self.model == "nbsvm" and self.term_frequency != "binary"
        problem(is_odd, "term_frequency", self.term_frequency, "binary with --model nbsvm")
        is_odd = self.rating_weight > 0 and self.task == "rating"
        problem(is_odd, "rating_weight", self.rating_weight, "0 with --task rating")
        is_odd = self.softmax_first and self.label_smoothing > 0
        problem(is_odd, "label_smoothing", self.label_smoothing, "0 with --softmax-first")
