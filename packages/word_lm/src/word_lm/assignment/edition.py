# %% [markdown] lang="en"
# # A Transformer that predicts the next word
#
# You build a word-level language model: batches of a long text, positions, a causal mask, the forward pass, a training step,
# perplexity, and text written by the model. Fill in every `TODO`. 20 points.
#
# | part | points | part | points |
# |---|---|---|---|
# | `batchify` | 2 | `train_step` | 3 |
# | `get_batch` | 2 | `evaluate` | 2 |
# | `positions` | 3 | `generate` | 2 |
# | `causal_mask` | 3 | essay | 1 |
# | `forward` | 2 | | |
#
# Check your work at any time with `word-lm check FILE`.
#
# Shapes: N tokens, B batch, T time in tokens, D size of a vector, V vocabulary size.
# %% [markdown] lang="zh"
# # 预测下一个词的 Transformer
#
# 本次作业实现词级语言模型：把长文本切成批、位置编码、因果掩码、前向计算、一步训练、困惑度，以及由模型生成文本。请完成所有
# `TODO`。满分 20 分。
#
# | 部分 | 分值 | 部分 | 分值 |
# |---|---|---|---|
# | `batchify` | 2 | `train_step` | 3 |
# | `get_batch` | 2 | `evaluate` | 2 |
# | `positions` | 3 | `generate` | 2 |
# | `causal_mask` | 3 | 短文 | 1 |
# | `forward` | 2 | | |
#
# 随时可以用 `word-lm check 文件名` 检查。
#
# 记号：N 总词数，B 批大小，T 词数（时间步），D 向量维数，V 词表大小。
# %%
import math
from collections import Counter
from pathlib import Path

import torch
from torch import nn

DATA = Path("data")
# %% [markdown] lang="en"
# ## A long text in batches
#
# The text is cut into B pieces of equal length, which stand side by side as columns; what is left over is dropped:
#
#     a b c d e f g h i j k   with B = 2:   a f
#                                           b g
#                                           c h
#                                           d i
#                                           e j
# %% [markdown] lang="zh"
# ## 把长文本切成批
#
# 把文本切成等长的 B 段，每段作为一列并排放置；多余的部分丢弃：
#
#     a b c d e f g h i j k   B = 2：   a f
#                                       b g
#                                       c h
#                                       d i
#                                       e j
# %%
def batchify(ids, batch_size):
    # en: TODO batchify (2 points): ids (N,) -> (N // batch_size, batch_size), as in the drawing.
    # zh: TODO batchify（2 分）：ids (N,) -> (N // batch_size, batch_size)，如上图。
    ### BEGIN SOLUTION batchify 2
    rows = len(ids) // batch_size
    return ids[: rows * batch_size].reshape(batch_size, rows).T.contiguous()
    ### END SOLUTION


def get_batch(source, i, bptt):
    # en: TODO get_batch (2 points): up to bptt rows from row i as inputs (T, B), and as targets the rows one further on, (T * B,).
    # en: The last batch may be shorter.
    # zh: TODO get_batch（2 分）：从第 i 行起至多 bptt 行作为输入 (T, B)，各自的下一行作为目标，展平为 (T * B,)。最后一批可能较短。
    ### BEGIN SOLUTION get_batch 2
    length = min(bptt, len(source) - 1 - i)
    return source[i : i + length], source[i + 1 : i + 1 + length].reshape(-1)
    ### END SOLUTION
# %% tags="tests"
# en: test
# zh: 测试
assert batchify(torch.arange(11), 2).tolist() == [[0, 5], [1, 6], [2, 7], [3, 8], [4, 9]]
assert get_batch(batchify(torch.arange(11), 2), 0, 2)[1].tolist() == [1, 6, 2, 7]
# %% [markdown] lang="en"
# ## Positions and mask
#
# $$PE_{t,2k} = \sin(t / 10000^{2k/D}),\qquad PE_{t,2k+1} = \cos(t / 10000^{2k/D})$$
#
# The mask is added to the attention scores: 0 where a position may look, $-\infty$ at later positions.
# %% [markdown] lang="zh"
# ## 位置编码与掩码
#
# $$PE_{t,2k} = \sin(t / 10000^{2k/D}),\qquad PE_{t,2k+1} = \cos(t / 10000^{2k/D})$$
#
# 掩码会加到注意力得分上：允许看到的位置为 0，之后的位置为 $-\infty$。
# %%
def positions(length, size):
    # en: TODO positions (3 points): the table (length, size) of the formula; size is even.
    # zh: TODO positions（3 分）：按公式给出 (length, size) 的表；size 为偶数。
    ### BEGIN SOLUTION positions 3
    table = torch.zeros(length, size)
    time = torch.arange(length).unsqueeze(1)
    rates = torch.exp(torch.arange(0, size, 2) * (-math.log(10000.0) / size))
    table[:, 0::2] = torch.sin(time * rates)
    table[:, 1::2] = torch.cos(time * rates)
    return table
    ### END SOLUTION


def causal_mask(length):
    # en: TODO causal_mask (3 points): (length, length): row t is what position t may look at.
    # zh: TODO causal_mask（3 分）：(length, length)：第 t 行表示位置 t 可以看到哪些位置。
    ### BEGIN SOLUTION causal_mask 3
    return torch.triu(torch.full((length, length), float("-inf")), diagonal=1)
    ### END SOLUTION
# %% tags="tests"
# en: test
# zh: 测试
assert positions(3, 4).shape == (3, 4)
assert causal_mask(2)[1].tolist() == [0, 0]
# %% [markdown] lang="en"
# ## The model
#
# Word vectors times $\sqrt D$ plus positions, an encoder with the causal mask, scores of all words.
# %% [markdown] lang="zh"
# ## 模型
#
# 词向量乘以 $\sqrt D$ 再加上位置编码，经过带因果掩码的编码器，得到所有词的得分。
# %%
class TransformerModel(nn.Module):
    def __init__(self, ntoken, ninp, nhead, nhid, nlayers, dropout=0.2):
        super().__init__()
        self.ninp = ninp
        self.embedding = nn.Embedding(ntoken, ninp)
        self.drop = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(ninp, nhead, nhid, dropout)
        self.encoder = nn.TransformerEncoder(layer, nlayers, enable_nested_tensor=False)
        self.decoder = nn.Linear(ninp, ntoken)

    def forward(self, ids):
        # en: TODO forward (2 points): ids (T, B) -> scores (T * B, V). Use `positions`, `causal_mask` and self.drop (after the
        # en: positions are added).
        # zh: TODO forward（2 分）：ids (T, B) -> 得分 (T * B, V)。请用 `positions`、`causal_mask`，加上位置编码之后再用 self.drop。
        ### BEGIN SOLUTION forward 2
        vectors = self.embedding(ids) * math.sqrt(self.ninp)
        vectors = self.drop(vectors + positions(len(ids), self.ninp).unsqueeze(1))
        states = self.encoder(vectors, causal_mask(len(ids)))
        return self.decoder(states).reshape(-1, self.decoder.out_features)
        ### END SOLUTION


def train_step(model, data, targets, learning_rate, clip):
    # en: TODO train_step (3 points): one step of SGD by hand: mean cross entropy, gradients clipped to the norm `clip` (all of
    # en: them together), parameters moved by the learning rate. Returns the loss as a number.
    # zh: TODO train_step（3 分）：手写一步 SGD：平均交叉熵，所有梯度的总范数裁剪到 `clip`，按学习率更新参数。以数值返回损失。
    ### BEGIN SOLUTION train_step 3
    model.train()
    model.zero_grad()
    loss = nn.functional.cross_entropy(model(data), targets)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), clip)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= learning_rate * parameter.grad
    return loss.item()
    ### END SOLUTION


def evaluate(model, source, bptt):
    # en: TODO evaluate (2 points): the perplexity of a batchified text: e to the mean loss of all its targets, without dropout.
    # zh: TODO evaluate（2 分）：一段（已分批的）文本的困惑度：即 exp(所有目标的平均损失)，不使用 dropout。
    ### BEGIN SOLUTION evaluate 2
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for i in range(0, len(source) - 1, bptt):
            data, targets = get_batch(source, i, bptt)
            total += nn.functional.cross_entropy(model(data), targets, reduction="sum").item()
            count += len(targets)
    return math.exp(total / count)
    ### END SOLUTION


def generate(model, ids, words, temperature):
    # en: TODO generate (2 points): `words` more ids behind `ids` (a list), each drawn from softmax(scores / temperature) at
    # en: the last position, and read again for the next. Returns the list of new ids. Draw with `draw(probabilities)`.
    # zh: TODO generate（2 分）：在列表 `ids` 之后再生成 `words` 个下标，每个都从最后位置的 softmax(scores / temperature) 中抽取，
    # zh: 并作为后面的输入。返回新下标的列表。请用 `draw(probabilities)` 抽取。
    ### BEGIN SOLUTION generate 2
    model.eval()
    ids = list(ids)
    start = len(ids)
    with torch.no_grad():
        for _ in range(words):
            scores = model(torch.tensor(ids).unsqueeze(1))[-1]
            ids.append(draw(torch.softmax(scores / temperature, dim=0)))
    return ids[start:]
    ### END SOLUTION


def draw(probabilities):
    return torch.multinomial(probabilities, 1).item()
# %% tags="tests"
# en: test: later words change nothing before them
# zh: 测试：后面的词不影响前面的结果
torch.manual_seed(1)
model = TransformerModel(10, 8, 2, 16, 2)
model.train(False)
first, second = torch.tensor([[1], [2], [3]]), torch.tensor([[1], [2], [9]])
assert torch.allclose(model(first)[:2], model(second)[:2], atol=1e-6)
# %% [markdown] lang="en"
# ## Training
# %% [markdown] lang="zh"
# ## 训练
# %%
def read_words(name):
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return [word for line in lines for word in [*line.split(), "<eos>"]]


def main(steps=300, bptt=35):
    torch.manual_seed(1)
    train_words, valid_words = read_words("train.txt"), read_words("valid.txt")
    words = [word for word, _ in Counter(train_words + valid_words).most_common()]
    index = {word: i for i, word in enumerate(words)}
    text = batchify(torch.tensor([index[word] for word in train_words]), 20)
    valid = batchify(torch.tensor([index[word] for word in valid_words]), 10)
    model = TransformerModel(len(words), 64, 2, 64, 2)
    i = 0
    for step in range(1, steps + 1):
        loss = train_step(model, *get_batch(text, i, bptt), learning_rate=1.0, clip=0.25)
        i = i + bptt if i + 2 * bptt < len(text) else 0
        if step % 100 == 0:
            print(f"step {step}: loss {loss:.2f}, valid perplexity {evaluate(model, valid, bptt):.2f}")
    print(" ".join(words[i] for i in generate(model, [index["<eos>"]], 30, 1.0)))
# %%
main()
# %% [markdown] lang="en"
# ## Essay
#
# TODO essay (1 point): how do a Transformer and a CNN differ in capturing context? Fill in `report.en.md`.
# %% [markdown] lang="zh"
# ## 短文
#
# TODO essay（1 分）：Transformer 与 CNN 捕捉上下文的方式有何不同？请填写 `report.zh.md`。
