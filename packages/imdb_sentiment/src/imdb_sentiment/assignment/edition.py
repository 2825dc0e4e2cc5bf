# %% [markdown] lang="en"
# # Is this film review good or bad?
#
# You build a sentiment classifier from the ground up: text to padded ids, word vectors, an LSTM from its equations, a head,
# a training loop, and what a pretrained encoder (BERT) needs of data and head. Fill in every `TODO`. 25 points.
#
# | part | points | part | points |
# |---|---|---|---|
# | `rating` | 1 | `lstm` | 3 |
# | `tokens` | 1 | `head` | 2 |
# | `length_limit` | 1 | `train_epoch` | 3 |
# | `pad` | 2 | `encode` | 2 |
# | `load_vectors` | 3 | `bert_head` | 2 |
# | `lstm_cell` | 4 | report | 1 |
#
# Check your work at any time with `imdb-sentiment check FILE`.
#
# Shapes: B batch, T time in tokens, D size of a word vector, H hidden size, V vocabulary size.
# %% [markdown] lang="zh"
# # 影评情感分类：好评还是差评？
#
# 本次作业从头搭建情感分类器：把文本变成填充好的下标、词向量、按公式实现的 LSTM、分类头、训练循环，以及预训练编码器（BERT）
# 所需的数据与分类头。请完成所有 `TODO`。满分 25 分。
#
# | 部分 | 分值 | 部分 | 分值 |
# |---|---|---|---|
# | `rating` | 1 | `lstm` | 3 |
# | `tokens` | 1 | `head` | 2 |
# | `length_limit` | 1 | `train_epoch` | 3 |
# | `pad` | 2 | `encode` | 2 |
# | `load_vectors` | 3 | `bert_head` | 2 |
# | `lstm_cell` | 4 | 报告 | 1 |
#
# 随时可以用 `imdb-sentiment check 文件名` 检查。
#
# 记号：B 批大小，T 词数（时间步），D 词向量维数，H 隐藏层大小，V 词表大小。
# %%
import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import nn

DATA = Path("data")
# %% [markdown] lang="en"
# ## Text
# %% [markdown] lang="zh"
# ## 文本
# %%
def rating(name):
    # en: TODO rating (1 point): the stars in a file name: "127_10.txt" -> 10, "3_4.txt" -> 4.
    # zh: TODO rating（1 分）：文件名中的评分："127_10.txt" -> 10，"3_4.txt" -> 4。
    ### BEGIN SOLUTION rating 1
    return int(name.rsplit("_", 1)[1].split(".")[0])
    ### END SOLUTION


def tokens(text):
    # en: TODO tokens (1 point): lower-case words; everything but letters, digits and `_` separates:
    # en: "Great!<br />Don't miss" -> ["great", "br", "don", "t", "miss"].
    # zh: TODO tokens（1 分）：小写单词；除字母、数字和 `_` 之外的字符都是分隔符：
    # zh: "Great!<br />Don't miss" -> ["great", "br", "don", "t", "miss"]。
    ### BEGIN SOLUTION tokens 1
    return re.sub(r"\W", " ", text.lower()).split()
    ### END SOLUTION


def length_limit(lengths):
    # en: TODO length_limit (1 point): mean + 2 standard deviations (of the lengths themselves), rounded down.
    # zh: TODO length_limit（1 分）：平均值加两倍标准差（总体标准差），向下取整。
    ### BEGIN SOLUTION length_limit 1
    return int(np.mean(lengths) + 2 * np.std(lengths))
    ### END SOLUTION


def pad(ids, limit):
    # en: TODO pad (2 points): exactly `limit` ids: the first `limit` of a longer list; zeros IN FRONT of a shorter one.
    # en: `ids` stays as it is.
    # zh: TODO pad（2 分）：恰好 `limit` 个下标：较长的取前 `limit` 个；较短的在前面补 0。不要修改 `ids`。
    ### BEGIN SOLUTION pad 2
    kept = list(ids[:limit])
    return [0] * (limit - len(kept)) + kept
    ### END SOLUTION
# %% tags="tests"
# en: test
# zh: 测试
assert rating("127_7.txt") == 7
assert tokens("A good film.") == ["a", "good", "film"]
assert length_limit([1, 1, 1]) == 1
assert pad([5, 6], 4) == [0, 0, 5, 6]
# %% [markdown] lang="en"
# ## Word vectors
#
# A line of GloVe's file is a word and its numbers, separated by single spaces. A word may hold spaces itself: ". . . 0.1 0.2".
# %% [markdown] lang="zh"
# ## 词向量
#
# GloVe 文件的一行是一个词和它的数值，以单个空格分隔。词本身也可能含有空格：". . . 0.1 0.2"。
# %%
def load_vectors(lines, words, size):
    # en: TODO load_vectors (3 points): matrix (V, size), float32: row i is the vector of words[i], zeros where there is
    # en: none. Row 0 is the padding's and stays zero, whatever the file says. Only lines of these words are turned into numbers.
    # zh: TODO load_vectors（3 分）：float32 矩阵 (V, size)：第 i 行是 words[i] 的向量，没有则为零。第 0 行属于填充，
    # zh: 无论文件里有什么都保持为零。
    ### BEGIN SOLUTION load_vectors 3
    rows = {word: row for row, word in enumerate(words)}
    matrix = np.zeros((len(words), size), dtype=np.float32)
    for line in lines:
        parts = line.rstrip("\n").split(" ")
        row = rows.get(" ".join(parts[:-size]), 0)
        if row > 0:
            matrix[row] = [float(number) for number in parts[-size:]]
    return matrix
    ### END SOLUTION
# %% tags="tests"
# en: test
# zh: 测试
assert np.allclose(load_vectors(["good 1 2", "bad -1 0.5"], ["<pad>", "good"], 2), [[0, 0], [1, 2]])
# %% [markdown] lang="en"
# ## The LSTM
#
# $$i = \sigma(W_i x + U_i h + b_i),\quad f = \sigma(W_f x + U_f h + b_f),\quad g = \tanh(W_g x + U_g h + b_g),\quad
# o = \sigma(W_o x + U_o h + b_o)$$
# $$c' = f \odot c + i \odot g,\quad h' = o \odot \tanh(c')$$
#
# `W` (4H, D), `U` (4H, H) and `b` (4H,) hold the four gates below each other in the order i, f, g, o.
# %% [markdown] lang="zh"
# ## LSTM
#
# $$i = \sigma(W_i x + U_i h + b_i),\quad f = \sigma(W_f x + U_f h + b_f),\quad g = \tanh(W_g x + U_g h + b_g),\quad
# o = \sigma(W_o x + U_o h + b_o)$$
# $$c' = f \odot c + i \odot g,\quad h' = o \odot \tanh(c')$$
#
# `W` (4H, D)、`U` (4H, H)、`b` (4H,) 按 i、f、g、o 的顺序上下堆叠四个门。
# %%
def lstm_cell(x, h, c, W, U, b):
    # en: TODO lstm_cell (4 points): one step for a batch: x (B, D), h and c (B, H) -> new h and c (B, H).
    # zh: TODO lstm_cell（4 分）：一批数据的一步：x (B, D)，h、c (B, H) -> 新的 h、c (B, H)。
    ### BEGIN SOLUTION lstm_cell 4
    gates = x @ W.T + h @ U.T + b
    i, f, g, o = gates.chunk(4, dim=1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(c)
    return h, c
    ### END SOLUTION


def lstm(x, lengths, layers):
    # en: TODO lstm (3 points): several layers in both directions. x (B, T, D) with the real tokens first, lengths (B,);
    # en: layers: a list of (forward, backward), each (W, U, b). Returns the last layer's final states (B, 2H): forward after
    # en: the last real token, backward after the first. Padding must not change anything. Use `lstm_cell`, starting from zeros.
    # zh: TODO lstm（3 分）：多层双向。x (B, T, D)，真实词在前，lengths (B,)；layers 是 (前向, 后向) 的列表，各为 (W, U, b)。
    # zh: 返回最后一层的末状态 (B, 2H)：前向在最后一个真实词之后，后向在第一个词之后。填充不能影响结果。请调用 `lstm_cell`，
    # zh: 初始状态为零。
    ### BEGIN SOLUTION lstm 3
    B, T = x.shape[:2]
    for directions in layers:
        outputs, finals = [], []
        for direction, (W, U, b) in enumerate(directions):
            h = c = x.new_zeros(B, U.shape[1])
            states = [None] * T
            for t in range(T) if direction == 0 else reversed(range(T)):
                is_real = (t < lengths).unsqueeze(1)
                new_h, new_c = lstm_cell(x[:, t], h, c, W, U, b)
                h, c = torch.where(is_real, new_h, h), torch.where(is_real, new_c, c)
                states[t] = h
            outputs.append(torch.stack(states, dim=1))
            finals.append(h)
        x = torch.cat(outputs, dim=2)
    return torch.cat(finals, dim=1)
    ### END SOLUTION


def head(states, W1, b1, W2, b2):
    # en: TODO head (2 points): states (B, 2H) -> scores (B, classes): linear, tanh, linear. W1 (K, 2H), W2 (classes, K).
    # en: The loss is `cross_entropy`, which takes scores.
    # zh: TODO head（2 分）：states (B, 2H) -> 得分 (B, 类别数)：线性层、tanh、线性层。W1 (K, 2H)，W2 (类别数, K)。
    # zh: 损失函数是 `cross_entropy`，它接收得分。
    ### BEGIN SOLUTION head 2
    return torch.tanh(states @ W1.T + b1) @ W2.T + b2
    ### END SOLUTION
# %% tags="tests"
# en: test: shapes, and equality with torch's own LSTM cell
# zh: 测试：形状，以及与 torch 自带的 LSTM 单元一致
torch.manual_seed(1)
cell = nn.LSTMCell(3, 5)
x, h, c = torch.randn(2, 3), torch.randn(2, 5), torch.randn(2, 5)
own = lstm_cell(x, h, c, cell.weight_ih, cell.weight_hh, cell.bias_ih + cell.bias_hh)
assert torch.allclose(own[0], cell(x, (h, c))[0], atol=1e-6)
# %% [markdown] lang="en"
# ## Training
# %% [markdown] lang="zh"
# ## 训练
# %%
class Classifier(nn.Module):
    def __init__(self, matrix, hidden, classes=2):
        super().__init__()
        self.vectors = nn.Embedding.from_pretrained(torch.as_tensor(matrix), freeze=False, padding_idx=0)
        size = matrix.shape[1]

        def gates(inputs):
            bound = hidden**-0.5
            shapes = ((4 * hidden, inputs), (4 * hidden, hidden), (4 * hidden,))
            return nn.ParameterList([nn.Parameter(torch.empty(s).uniform_(-bound, bound)) for s in shapes])

        self.layers = nn.ModuleList([nn.ModuleList([gates(size), gates(size)])])
        self.first, self.second = nn.Linear(2 * hidden, 32), nn.Linear(32, classes)

    def forward(self, ids, lengths):
        states = lstm(self.vectors(ids), lengths, self.layers)
        return head(states, self.first.weight, self.first.bias, self.second.weight, self.second.bias)


def train_epoch(model, batches, optimizer):
    # en: TODO train_epoch (3 points): one pass. A batch is (ids, lengths, labels), model(ids, lengths) gives scores. Returns the
    # en: mean loss of a review and the accuracy, over all reviews; batches may differ in size.
    # zh: TODO train_epoch（3 分）：训练一轮。每批为 (ids, lengths, labels)，model(ids, lengths) 给出得分。返回所有评论的平均损失
    # zh: 与准确率；各批大小可能不同。
    ### BEGIN SOLUTION train_epoch 3
    model.train()
    total, hits, count = 0.0, 0, 0
    for ids, lengths, labels in batches:
        optimizer.zero_grad()
        scores = model(ids, lengths)
        loss = nn.functional.cross_entropy(scores, labels)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(labels)
        hits += (scores.argmax(dim=1) == labels).sum().item()
        count += len(labels)
    return total / count, hits / count
    ### END SOLUTION
# %% [markdown] lang="en"
# The reviews of `data/`: a vocabulary, batches of like length, three epochs.
# %% [markdown] lang="zh"
# 读取 `data/` 中的评论：建词表，按长度分批，训练三轮。
# %%
def read_reviews(split):
    for label, folder in enumerate(("neg", "pos")):
        for path in sorted((DATA / split / folder).glob("*.txt")):
            yield tokens(path.read_text(encoding="utf-8")), label


def make_batches(reviews, rows, size=32):
    reviews = sorted(reviews, key=lambda review: len(review[0]))
    batches = []
    for start in range(0, len(reviews), size):
        part = reviews[start : start + size]
        lists = [[rows.get(word, 1) for word in words[:100]] or [1] for words, _ in part]
        width = max(map(len, lists))
        ids = torch.tensor([ids + [0] * (width - len(ids)) for ids in lists])
        batches.append((ids, torch.tensor([len(ids) for ids in lists]), torch.tensor([y for _, y in part])))
    return batches


def main(epochs=3):
    torch.manual_seed(1)
    random.seed(1)
    reviews = list(read_reviews("train"))[:: 2]
    counts = Counter(word for words, _ in reviews for word in words)
    words = ["<pad>", "<unk>", *(word for word, _ in counts.most_common(5000))]
    rows = dict(zip(words, range(len(words))))
    print("length limit:", length_limit([len(words) for words, _ in reviews]))
    model = Classifier(np.random.default_rng(1).normal(0, 0.1, (len(words), 25)).astype(np.float32), 24)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    batches = make_batches(reviews, rows)
    for epoch in range(1, epochs + 1):
        random.shuffle(batches)
        loss, accuracy = train_epoch(model, batches, optimizer)
        print(f"epoch {epoch}: loss {loss:.3f}, accuracy {accuracy:.1%}")
# %%
main()
# %% [markdown] lang="en"
# ## A pretrained encoder
#
# BERT reads `[CLS] text [SEP]`, and the state of `[CLS]` (the first position) stands for the text. `piece_ids(text)` gives the
# ids of a text's word pieces.
# %% [markdown] lang="zh"
# ## 预训练编码器
#
# BERT 读入 `[CLS] 文本 [SEP]`，用 `[CLS]`（第一个位置）的状态代表整段文本。`piece_ids(text)` 给出文本的子词下标。
# %%
CLS, SEP = 101, 102


def piece_ids(text):
    return [200 + sum(map(ord, word)) % 5000 for word in text.split()]


def encode(texts, labels, limit):
    # en: TODO encode (2 points): ids (N, T) and mask (N, T) as lists of lists, and the labels: [CLS], at most limit - 2 pieces,
    # en: [SEP]; zeros behind, up to the longest of these texts. The mask is 1 for real positions. Every text keeps its label.
    # zh: TODO encode（2 分）：ids (N, T) 与 mask (N, T)（列表的列表），以及标签：[CLS]，至多 limit - 2 个子词，[SEP]；
    # zh: 后面补 0，补到这些文本中最长的长度。真实位置的 mask 为 1。每段文本都要保留自己的标签。
    ### BEGIN SOLUTION encode 2
    lists = [[CLS, *piece_ids(text)[: limit - 2], SEP] for text in texts]
    longest = max(map(len, lists))
    ids = [pieces + [0] * (longest - len(pieces)) for pieces in lists]
    mask = [[1] * len(pieces) + [0] * (longest - len(pieces)) for pieces in lists]
    return ids, mask, list(labels)
    ### END SOLUTION


def bert_head(hidden, mask, W1, b1, W2, b2):
    # en: TODO bert_head (2 points): hidden (B, T, H) of the encoder, mask (B, T) -> scores (B, classes): the state of [CLS],
    # en: linear, ReLU, linear.
    # zh: TODO bert_head（2 分）：编码器输出 hidden (B, T, H)、mask (B, T) -> 得分 (B, 类别数)：取 [CLS] 的状态，
    # zh: 线性层、ReLU、线性层。
    ### BEGIN SOLUTION bert_head 2
    return torch.relu(hidden[:, 0] @ W1.T + b1) @ W2.T + b2
    ### END SOLUTION
# %% tags="tests"
# en: test
# zh: 测试
ids, mask, kept = encode(["a good film", "bad"], [1, 0], 10)
assert len(ids[0]) == len(ids[1]) == 5
assert sum(mask[1]) == 3
# %% [markdown] lang="en"
# ## Report
#
# TODO report (1 point): fill in `report.en.md`.
# %% [markdown] lang="zh"
# ## 报告
#
# TODO report（1 分）：请填写 `report.zh.md`。
