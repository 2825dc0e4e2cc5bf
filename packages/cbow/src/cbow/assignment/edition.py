# %% [markdown] lang="en"
# # word2vec from scratch: CBOW in numpy
#
# You write the heart of word2vec's continuous bag of words (CBOW): the model that predicts a word from the words around
# it. Fill in every `TODO`; all other code is given. 15 points.
#
# | part | points |
# |---|---|
# | `one_hot` | 1 |
# | `softmax` | 2 |
# | `CBOW.train_one_step`: inputs and target | 3 |
# | forward pass | 3 |
# | loss | 3 |
# | update | 3 |
#
# Check your work at any time with `cbow check FILE`, or by running the cells marked *test*.
# %% [markdown] lang="zh"
# # 从零实现 word2vec：用 numpy 写 CBOW
#
# 本次作业实现 word2vec 的连续词袋模型（CBOW）：用一个词周围的词来预测它。请完成所有 `TODO`，其余代码已经给出。满分 15 分。
#
# | 部分 | 分值 |
# |---|---|
# | `one_hot` | 1 |
# | `softmax` | 2 |
# | `CBOW.train_one_step`：输入与目标 | 3 |
# | 前向计算 | 3 |
# | 损失 | 3 |
# | 参数更新 | 3 |
#
# 随时可以用 `cbow check 文件名` 检查，也可以运行标有“测试”的单元格。
# %%
import json
import re
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

DATA = Path("data")


# %% [markdown] lang="en"
# ## Text
#
# A tokenizer, the samples of a corpus, and the vocabulary.
# %% [markdown] lang="zh"
# ## 文本
#
# 分词、语料中的样本，以及词表。
# %%
def tokenizer(line):
    # en: Lower-case words of a line: "It's  useful. " -> ["it", "s", "useful"].
    # zh: 一行文本的小写单词："It's  useful. " -> ["it", "s", "useful"]。
    return [token for token in re.split(r"\W", line.lower()) if token]


class Dataset:
    # en: Samples (context, target) of a corpus: up to `window_size` words on each side. Windows never cross lines.
    # zh: 语料中的样本 (context, target)：目标词左右各至多 `window_size` 个词，窗口不跨行。
    def __init__(self, corpus, window_size):
        self.window_size = window_size
        self.lines = [tokens for tokens in map(tokenizer, corpus) if len(tokens) > 1]

    def __len__(self):
        return sum(map(len, self.lines))

    def __iter__(self):
        for tokens in self.lines:
            for i, target in enumerate(tokens):
                left = tokens[max(0, i - self.window_size) : i]
                yield left + tokens[i + 1 : i + 1 + self.window_size], target


class Vocab:
    # en: Words by falling count; ties in the order in which they are first seen. `<unk>` is index 0.
    # zh: 按词频从高到低排列的词表；词频相同时按首次出现的顺序。`<unk>` 的下标为 0。
    UNK = "<unk>"

    def __init__(self, corpus=None, max_vocab_size=-1):
        self._idx = {self.UNK: 0}
        self._tokens = [(self.UNK, 1)]
        if corpus is not None:
            self.build_vocab(corpus, max_vocab_size)

    def build_vocab(self, corpus, max_vocab_size=-1):
        counts = Counter(token for line in corpus for token in tokenizer(line))
        self._tokens = [(self.UNK, 1), *counts.most_common()]
        if max_vocab_size > 0:
            self._tokens = self._tokens[:max_vocab_size]
        self._idx = {token: idx for idx, (token, _) in enumerate(self._tokens)}

    def __len__(self):
        return len(self._tokens)

    def __contains__(self, token):
        return token in self._idx

    def token_to_idx(self, token, warn=False):
        if token not in self._idx and warn:
            warnings.warn(f"{token!r} is not in the vocabulary", stacklevel=2)
        return self._idx.get(token, 0)

    def idx_to_token(self, idx):
        return self._tokens[idx][0]

    def token_freq(self, token):
        return self._tokens[self.token_to_idx(token)][1]

    def save_vocab(self, path):
        lines = [f"{token} {count}" for token, count in self._tokens]
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")

    @classmethod
    def load_vocab(cls, path):
        vocab = cls()
        pairs = [line.split() for line in Path(path).read_text(encoding="utf-8").splitlines()]
        vocab._tokens = [(token, int(count)) for token, count in pairs]
        vocab._idx = {token: idx for idx, (token, _) in enumerate(vocab._tokens)}
        return vocab


# %% tags="tests"
# en: test: run it, it must pass before you go on
# zh: 测试：运行通过后再继续
assert tokenizer("It's  useful. ") == ["it", "s", "useful"]
assert len(list(Dataset(["a b c d e", "f"], 2))) == 5
assert Vocab(["b a a", "c b a"]).token_to_idx("a") == 1


# %% [markdown] lang="en"
# ## `one_hot` and `softmax`
#
# `softmax` must not overflow: subtract the largest score first. It must leave its argument as it is.
# %% [markdown] lang="zh"
# ## `one_hot` 与 `softmax`
#
# `softmax` 不能溢出：先减去最大的得分。不要修改传入的数组。
# %%
def one_hot(dim, idx):
    # en: TODO one_hot (1 point): a vector (dim,) of zeros with a one at `idx`.
    # zh: TODO one_hot（1 分）：长度为 dim 的向量，下标 `idx` 处为 1，其余为 0。
    ### BEGIN SOLUTION one_hot 1
    vector = np.zeros(dim)
    vector[idx] = 1
    return vector
    ### END SOLUTION


def softmax(x):
    # en: TODO softmax (2 points): probabilities (n,) of scores (n,).
    # zh: TODO softmax（2 分）：由得分 (n,) 计算概率 (n,)。
    ### BEGIN SOLUTION softmax 2
    exponentials = np.exp(x - np.max(x))
    return exponentials / np.sum(exponentials)
    ### END SOLUTION


# %% tags="tests"
# en: test
# zh: 测试
assert np.allclose(one_hot(4, 2), [0, 0, 1, 0])
assert np.allclose(softmax(np.array([0.0, np.log(3.0)])), [0.25, 0.75])


# %% [markdown] lang="en"
# ## The model
#
# Two matrices: `U` (V, D) holds a row for each word as context, `V` (D, V) a column for each word as target. One step:
#
# $$h = \frac1C \sum_{c} U_{c}, \quad p = \mathrm{softmax}(hV), \quad L = -\ln p_t$$
#
# All gradients are computed before anything is updated. A word that occurs twice in the context counts twice.
# %% [markdown] lang="zh"
# ## 模型
#
# 两个矩阵：`U` (V, D) 的每一行是一个词作为上下文时的向量，`V` (D, V) 的每一列是一个词作为目标时的向量。一步训练：
#
# $$h = \frac1C \sum_{c} U_{c}, \quad p = \mathrm{softmax}(hV), \quad L = -\ln p_t$$
#
# 先算完所有梯度，再更新参数。一个词在上下文中出现几次就计算几次。
# %%
class CBOW:
    def __init__(self, vocab, vector_dim):
        self.vocab = vocab
        self.vector_dim = vector_dim
        self.U = np.random.uniform(-1, 1, (len(vocab), vector_dim))
        self.V = np.random.uniform(-1, 1, (vector_dim, len(vocab)))

    def train(self, corpus, window_size, train_epoch, learning_rate, save_path=None):
        dataset = Dataset(corpus, window_size)
        losses = []
        for epoch in range(1, train_epoch + 1):
            losses.append(self.train_one_epoch(epoch, dataset, learning_rate))
            if save_path is not None:
                self.save_model(save_path)
        return losses

    def train_one_epoch(self, epoch, dataset, learning_rate):
        steps, total = 0, 0.0
        for context_tokens, target_token in dataset:
            total += self.train_one_step(context_tokens, target_token, learning_rate)
            steps += 1
        print(f"Epoch {epoch}: loss {total / steps:.2f}")
        return total / steps

    def train_one_step(self, context_tokens, target_token, learning_rate):
        # en: One step of SGD on one sample; returns the loss (nats) from before the update.
        # zh: 在一个样本上做一步 SGD；返回更新之前的损失（自然对数）。

        # en: TODO inputs (3 points): the context words and the target word as numbers or one-hot vectors.
        # zh: TODO inputs（3 分）：把上下文词和目标词表示为下标或 one-hot 向量。
        ### BEGIN SOLUTION inputs 3
        context = [self.vocab.token_to_idx(token) for token in context_tokens]
        target = one_hot(len(self.vocab), self.vocab.token_to_idx(target_token))
        ### END SOLUTION

        # en: TODO forward (3 points): the hidden layer and the probabilities of all words.
        # zh: TODO forward（3 分）：隐藏层，以及所有词的概率。
        ### BEGIN SOLUTION forward 3
        hidden = np.mean(self.U[context], axis=0)
        scores = hidden @ self.V
        probabilities = softmax(scores)
        ### END SOLUTION

        # en: TODO loss (3 points): the cross entropy of the target word.
        # zh: TODO loss（3 分）：目标词的交叉熵。
        ### BEGIN SOLUTION loss 3
        loss = -np.log(np.dot(probabilities, target) + 1e-300)
        ### END SOLUTION

        # en: TODO update (3 points): both gradients, then both updates.
        # zh: TODO update（3 分）：先求两个梯度，再更新两个矩阵。
        ### BEGIN SOLUTION update 3
        error = probabilities - target
        gradient_V = np.outer(hidden, error)
        gradient_U = self.V @ error / len(context)
        self.V -= learning_rate * gradient_V
        for idx in context:
            self.U[idx] -= learning_rate * gradient_U
        ### END SOLUTION
        return loss

    def similarity(self, token1, token2):
        v1 = self.U[self.vocab.token_to_idx(token1)]
        v2 = self.U[self.vocab.token_to_idx(token2)]
        return v1 @ v2 / (np.linalg.norm(v1) * np.linalg.norm(v2))

    def most_similar_tokens(self, token, n):
        # en: The n nearest words, the word itself among them.
        # zh: 最相近的 n 个词，包括该词自己。
        rows = self.U / np.linalg.norm(self.U, axis=1, keepdims=True)
        order = np.argsort(-(rows @ rows[self.vocab.token_to_idx(token)]), kind="stable")
        return [self.vocab.idx_to_token(idx) for idx in order[:n]]

    def save_model(self, path):
        Path(path).mkdir(parents=True, exist_ok=True)
        self.vocab.save_vocab(Path(path) / "vocab.txt")
        np.savez(Path(path) / "wv.npz", U=self.U, V=self.V)

    @classmethod
    def load_model(cls, path):
        vocab = Vocab.load_vocab(Path(path) / "vocab.txt")
        with np.load(Path(path) / "wv.npz", allow_pickle=False) as arrays:
            model = cls(vocab, arrays["U"].shape[1])
            model.U, model.V = arrays["U"], arrays["V"]
        return model


# %% tags="tests"
# en: test: the loss of one sample falls when it is trained again and again
# zh: 测试：反复训练同一个样本时，损失应当下降
np.random.seed(1)
model = CBOW(Vocab(["a b c d e"]), 4)
losses = [model.train_one_step(["a", "b", "d"], "c", 0.5) for _ in range(20)]
assert losses[-1] < losses[0] / 2


# %% [markdown] lang="en"
# ## Test 1: a toy corpus
#
# The last loss is about 0.50; "i", "he" and "she" are near each other.
# %% [markdown] lang="zh"
# ## 测试 1：小语料
#
# 最后的损失约为 0.50；"i"、"he"、"she" 彼此相近。
# %%
def read_lines(name):
    return (DATA / name).read_text(encoding="utf-8").splitlines()


def test1():
    np.random.seed(42)
    corpus = read_lines("debug.txt")
    model = CBOW(Vocab(corpus), vector_dim=8)
    model.train(corpus, window_size=3, train_epoch=10, learning_rate=1.0)
    for token in ("i", "he", "she"):
        print(token, model.most_similar_tokens(token, 5))


# %%
test1()


# %% [markdown] lang="en"
# ## Test 2: recall of synonyms
#
# The share of the listed synonyms that are among a word's nearest words. `test2` takes a while: pure numpy trains about
# 10,000 samples in a second. With the assignment's corpus the last loss is about 5.05 and the recall about 20 %.
# %% [markdown] lang="zh"
# ## 测试 2：同义词召回率
#
# 一个词的同义词中，有多少出现在与它最相近的词里。`test2` 需要一些时间：纯 numpy 每秒大约训练一万个样本。
# 用作业的语料训练后，损失约为 5.05，召回率约为 20 %。
# %%
def calculate_recall_rate(model, word_synonyms, topn):
    hits = listed = 0
    for word, synonyms in word_synonyms:
        nearest = set(model.most_similar_tokens(word, topn)) if word in model.vocab else set()
        hits += sum(synonym in nearest for synonym in synonyms)
        listed += len(synonyms)
    return hits / listed


def test2(train_epoch=10, lines=None):
    np.random.seed(42)
    corpus = read_lines("treebank.txt")[:lines]
    synonyms = json.loads((DATA / "synonyms.json").read_text(encoding="utf-8"))
    model = CBOW(Vocab(corpus, max_vocab_size=4000), vector_dim=20)
    for epoch in range(train_epoch):
        model.train(corpus, window_size=4, train_epoch=1, learning_rate=0.1)
        print(f"Recall rate: {100 * calculate_recall_rate(model, synonyms, topn=40):.2f} %")
    return model


# %%
test2(train_epoch=2, lines=500)
# %% [markdown] lang="en"
# ## Report
#
# Fill in `report.en.md`.
# %% [markdown] lang="zh"
# ## 报告
#
# 请填写 `report.zh.md`。
