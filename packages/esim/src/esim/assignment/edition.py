# %% [markdown] lang="en"
# # ESIM: does one sentence follow from another?
#
# You build ESIM (Chen et al. 2017, arXiv 1609.06038) for natural language inference: a premise and a hypothesis are read by a
# BiLSTM, aligned by attention, compared, read again, pooled and classified. Fill in every `TODO`. 20 points.
#
# | part | points | part | points |
# |---|---|---|---|
# | `InputEncodingLayer` | 2 | `Pooling` | 3 |
# | scores and mask | 3 | `MLP` | 1 |
# | alignment | 3 | `evaluate_accuracy` | 2 |
# | enhancement | 1 | `train` | 3 |
# | `CompositionLayer` | 2 | | |
#
# Check your work at any time with `esim check FILE`.
#
# Shapes: B batch, P and T tokens of premise and hypothesis, D size of a vector, H hidden size. Masks are 1 for real tokens.
# %% [markdown] lang="zh"
# # ESIM：一句话能否由另一句推出？
#
# 本次作业实现 ESIM（Chen et al. 2017, arXiv 1609.06038），用于自然语言推理：先用 BiLSTM 编码前提与假设，
# 再用注意力对齐并比较两句，然后经过第二个 BiLSTM，最后池化、分类。请完成所有 `TODO`。满分 20 分。
#
# | 部分 | 分值 | 部分 | 分值 |
# |---|---|---|---|
# | `InputEncodingLayer` | 2 | `Pooling` | 3 |
# | 得分与掩码 | 3 | `MLP` | 1 |
# | 对齐 | 3 | `evaluate_accuracy` | 2 |
# | 增强 | 1 | `train` | 3 |
# | `CompositionLayer` | 2 | | |
#
# 随时可以用 `esim check 文件名` 检查。
#
# 记号：B 批大小，P、T 前提与假设的词数，D 向量维数，H 隐藏层大小。掩码在真实的词处为 1，在填充处为 0。
# %%
import json
import random
from collections import Counter
from pathlib import Path

import torch
from torch import nn

DATA = Path("data")
LABELS = ("entailment", "neutral", "contradiction")
# %% [markdown] lang="en"
# ## Input encoding (equations 1 and 2)
# %% [markdown] lang="zh"
# ## 输入编码（式 1、2）
# %%
class InputEncodingLayer(nn.Module):
    # en: TODO encoding (2 points): a BiLSTM over the tokens: x (B, T, input_size) -> (B, T, 2 * hidden_size).
    # zh: TODO encoding（2 分）：用 BiLSTM 编码词序列：x (B, T, input_size) -> (B, T, 2 * hidden_size)。
    def __init__(self, input_size, hidden_size):
        super().__init__()
        ### BEGIN SOLUTION encoding 2
        self.lstm = nn.LSTM(input_size, hidden_size, batch_first=True, bidirectional=True)
        ### END SOLUTION

    def forward(self, x):
        ### BEGIN SOLUTION encoding
        return self.lstm(x)[0]
        ### END SOLUTION
# %% [markdown] lang="en"
# ## Local inference (equations 11 to 15)
#
# $$e_{ij} = \bar a_i^\top \bar b_j,\quad \tilde a_i = \sum_j \mathrm{softmax}_j(e_{ij})\,\bar b_j,\quad
# \tilde b_j = \sum_i \mathrm{softmax}_i(e_{ij})\,\bar a_i$$
# $$m_a = [\bar a;\ \tilde a;\ \bar a - \tilde a;\ \bar a \odot \tilde a]$$
#
# Padding must get a weight of exactly 0.
# %% [markdown] lang="zh"
# ## 局部推理（式 11 至 15）
#
# $$e_{ij} = \bar a_i^\top \bar b_j,\quad \tilde a_i = \sum_j \mathrm{softmax}_j(e_{ij})\,\bar b_j,\quad
# \tilde b_j = \sum_i \mathrm{softmax}_i(e_{ij})\,\bar a_i$$
# $$m_a = [\bar a;\ \tilde a;\ \bar a - \tilde a;\ \bar a \odot \tilde a]$$
#
# 填充位置的权重必须恰好为 0。
# %%
class LocalInference(nn.Module):
    def forward(self, p, h, p_mask, h_mask):
        # en: p (B, P, D), h (B, T, D), masks (B, P) and (B, T) -> m_p (B, P, 4D), m_h (B, T, 4D)
        # zh: p (B, P, D)，h (B, T, D)，掩码 (B, P)、(B, T) -> m_p (B, P, 4D)，m_h (B, T, 4D)

        # en: TODO scores (3 points): the scores (B, P, T), and the two sets of weights: of the hypothesis for each premise
        # en: token, of the premise for each hypothesis token.
        # zh: TODO scores（3 分）：得分 (B, P, T)，以及两组权重：每个前提词对假设的权重，每个假设词对前提的权重。
        ### BEGIN SOLUTION scores 3
        scores = p @ h.transpose(1, 2)
        over_h = torch.softmax(scores.masked_fill(h_mask.unsqueeze(1) == 0, float("-inf")), dim=2)
        over_p = torch.softmax(scores.masked_fill(p_mask.unsqueeze(2) == 0, float("-inf")), dim=1)
        ### END SOLUTION

        # en: TODO alignment (3 points): what of the other sentence is relevant for each token.
        # zh: TODO alignment（3 分）：对每个词，另一句中与之相关的内容。
        ### BEGIN SOLUTION alignment 3
        p_aligned = over_h @ h
        h_aligned = over_p.transpose(1, 2) @ p
        ### END SOLUTION

        # en: TODO enhancement (1 point): both sentences with their difference and product.
        # zh: TODO enhancement（1 分）：拼接原向量、对齐向量、差与积。
        ### BEGIN SOLUTION enhancement 1
        m_p = torch.cat([p, p_aligned, p - p_aligned, p * p_aligned], dim=2)
        m_h = torch.cat([h, h_aligned, h - h_aligned, h * h_aligned], dim=2)
        ### END SOLUTION
        return m_p, m_h
# %% [markdown] lang="en"
# ## Composition, pooling, classifier (equations 16 to 20)
# %% [markdown] lang="zh"
# ## 组合、池化、分类（式 16 至 20）
# %%
class CompositionLayer(nn.Module):
    # en: TODO composition (2 points): linear to `output_size` and ReLU, then a BiLSTM: (B, T, 2 * hidden_size).
    # zh: TODO composition（2 分）：线性映射到 `output_size` 并经过 ReLU，再接 BiLSTM：(B, T, 2 * hidden_size)。
    def __init__(self, input_size, output_size, hidden_size):
        super().__init__()
        ### BEGIN SOLUTION composition 2
        self.projection = nn.Linear(input_size, output_size)
        self.lstm = nn.LSTM(output_size, hidden_size, batch_first=True, bidirectional=True)
        ### END SOLUTION

    def forward(self, x):
        ### BEGIN SOLUTION composition
        return self.lstm(torch.relu(self.projection(x)))[0]
        ### END SOLUTION


class Pooling(nn.Module):
    def forward(self, x, x_mask):
        # en: TODO pooling (3 points): mean and maximum over the real tokens, in this order: (B, T, D), (B, T) -> (B, 2D).
        # zh: TODO pooling（3 分）：真实词上的平均值与最大值，按此顺序拼接：(B, T, D)、(B, T) -> (B, 2D)。
        ### BEGIN SOLUTION pooling 3
        mask = x_mask.unsqueeze(2)
        mean = (x * mask).sum(dim=1) / mask.sum(dim=1)
        largest = x.masked_fill(mask == 0, float("-inf")).max(dim=1).values
        return torch.cat([mean, largest], dim=1)
        ### END SOLUTION


class MLP(nn.Module):
    # en: TODO mlp (1 point): dropout 0.5, linear to `output_size`, ReLU, linear to `class_num` scores.
    # zh: TODO mlp（1 分）：dropout 0.5，线性映射到 `output_size`，ReLU，线性映射到 `class_num` 个得分。
    def __init__(self, input_size, output_size, class_num):
        super().__init__()
        ### BEGIN SOLUTION mlp 1
        self.layers = nn.Sequential(
            nn.Dropout(0.5), nn.Linear(input_size, output_size), nn.ReLU(), nn.Linear(output_size, class_num)
        )
        ### END SOLUTION

    def forward(self, x):
        ### BEGIN SOLUTION mlp
        return self.layers(x)
        ### END SOLUTION


class InferenceComposition(nn.Module):
    def __init__(self, input_size, output_size, hidden_size):
        super().__init__()
        self.composition, self.pooling = CompositionLayer(input_size, output_size, hidden_size), Pooling()

    def forward(self, m_p, m_h, p_mask, h_mask):
        pooled = [self.pooling(self.composition(m), mask) for m, mask in ((m_p, p_mask), (m_h, h_mask))]
        return torch.cat(pooled, dim=1)


class ESIM(nn.Module):
    def __init__(self, hidden_size, embedding_dim, vocab_size, num_labels, device="cpu"):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_dim, padding_idx=1)
        self.encoding = InputEncodingLayer(embedding_dim, hidden_size)
        self.inference = LocalInference()
        self.composition = InferenceComposition(8 * hidden_size, hidden_size, hidden_size)
        self.classifier = MLP(8 * hidden_size, hidden_size, num_labels)
        self.to(device)

    def forward(self, premise, hypothesis):
        masks = (premise != 1).float(), (hypothesis != 1).float()
        encoded = [self.encoding(self.embedding(ids)) for ids in (premise, hypothesis)]
        return self.classifier(self.composition(*self.inference(*encoded, *masks), *masks))
# %% tags="tests"
# en: test
# zh: 测试
torch.manual_seed(1)
net = ESIM(4, 3, 10, 3)
net.train(False)
p, h = torch.tensor([[2, 3, 4], [5, 6, 1]]), torch.tensor([[7, 8], [9, 1]])
assert net(p, h).shape == (2, 3)
assert InputEncodingLayer(3, 4)(torch.zeros(2, 5, 3)).shape == (2, 5, 8)
# %% [markdown] lang="en"
# ## Training and measuring
#
# `data_iter` gives batches (premise ids, hypothesis ids, labels).
# %% [markdown] lang="zh"
# ## 训练与评估
#
# `data_iter` 给出批次 (前提下标, 假设下标, 标签)。
# %%
def evaluate_accuracy(data_iter, net, device=None):
    # en: TODO evaluate_accuracy (2 points): the fraction of all pairs that are right, without dropout and gradients. Afterwards
    # en: the net is in the mode it was in before.
    # zh: TODO evaluate_accuracy（2 分）：所有句对中判断正确的比例，不使用 dropout，不计算梯度。结束后恢复网络原来的模式。
    ### BEGIN SOLUTION evaluate_accuracy 2
    was_training = net.training
    net.eval()
    hits = count = 0
    with torch.no_grad():
        for premise, hypothesis, label in data_iter:
            predicted = net(premise.to(device), hypothesis.to(device)).argmax(dim=1)
            hits += (predicted == label.to(device)).sum().item()
            count += len(label)
    net.train(was_training)
    return hits / count
    ### END SOLUTION


def train(train_iter, test_iter, net, loss, optimizer, device=None, num_epochs=1):
    # en: TODO train (3 points): returns a list with (mean loss of a pair, training accuracy, test accuracy) of each epoch.
    # en: `loss(scores, labels)` is a mean over a batch; batches may differ in size.
    # zh: TODO train（3 分）：返回列表，每轮一项 (每对的平均损失, 训练准确率, 测试准确率)。`loss(scores, labels)` 是一批的平均；
    # zh: 各批大小可能不同。
    ### BEGIN SOLUTION train 3
    history = []
    for _ in range(num_epochs):
        net.train()
        total, hits, count = 0.0, 0, 0
        for premise, hypothesis, label in train_iter:
            label = label.to(device)
            optimizer.zero_grad()
            scores = net(premise.to(device), hypothesis.to(device))
            value = loss(scores, label)
            value.backward()
            optimizer.step()
            total += value.item() * len(label)
            hits += (scores.argmax(dim=1) == label).sum().item()
            count += len(label)
        history.append((total / count, hits / count, evaluate_accuracy(test_iter, net, device)))
    return history
    ### END SOLUTION
# %% [markdown] lang="en"
# The pairs of `data/`: a vocabulary, batches of like length, three epochs.
# %% [markdown] lang="zh"
# 读取 `data/` 中的句对：建词表，按长度分批，训练三轮。
# %%
def read_pairs(name):
    for line in (DATA / name).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["gold_label"] in LABELS:
            words = [row[key].lower().replace(".", " .").split() for key in ("sentence1", "sentence2")]
            yield *words, LABELS.index(row["gold_label"])


def make_batches(pairs, index, size=32):
    def padded(lists):
        width = max(map(len, lists))
        return torch.tensor([ids + [1] * (width - len(ids)) for ids in lists])

    pairs = sorted(pairs, key=lambda pair: len(pair[0]))
    batches = []
    for start in range(0, len(pairs), size):
        part = pairs[start : start + size]
        sides = [[[index.get(word, 0) for word in pair[side]] for pair in part] for side in (0, 1)]
        batches.append((padded(sides[0]), padded(sides[1]), torch.tensor([pair[2] for pair in part])))
    return batches


def main(num_epochs=3):
    torch.manual_seed(1)
    random.seed(1)
    pairs, tests = list(read_pairs("snli_1.0_train.jsonl")), list(read_pairs("snli_1.0_test.jsonl"))
    counts = Counter(word for pair in pairs for side in pair[:2] for word in side)
    index = {word: i for i, word in enumerate(["<unk>", "<pad>", *counts])}
    net = ESIM(32, 32, len(index), 3)
    batches = make_batches(pairs, index)
    random.shuffle(batches)
    optimizer = torch.optim.Adam(net.parameters(), lr=4e-3)
    for row in train(batches, make_batches(tests, index), net, nn.CrossEntropyLoss(), optimizer, None, num_epochs):
        print("loss {:.3f}, train accuracy {:.1%}, test accuracy {:.1%}".format(*row))
# %%
main()
# %% [markdown] lang="en"
# ## Report
#
# Fill in `report.en.md`.
# %% [markdown] lang="zh"
# ## 报告
#
# 请填写 `report.zh.md`。
