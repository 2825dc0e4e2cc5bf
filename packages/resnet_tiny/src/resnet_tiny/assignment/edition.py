# %% [markdown] lang="en"
# # ResNet-18 on Tiny ImageNet
#
# You complete a training program: a table of layers, a new head, labels for the validation images, top-k accuracy, training and
# validation, checkpoints, TensorBoard, and a study of devices. Fill in every `TODO`. 20 points.
#
# | part | points | part | points |
# |---|---|---|---|
# | `layer_table` | 2 | `validate` | 3 |
# | `replace_head` | 1 | `save_checkpoints` | 2 |
# | `val_labels` | 3 | `log_epoch` | 2 |
# | `accuracy` | 2 | device study | 2 |
# | `train` | 3 | | |
#
# Check your work at any time with `resnet-tiny check FILE`.
# %% [markdown] lang="zh"
# # 用 ResNet-18 做 Tiny ImageNet 分类
#
# 本次作业补全一个训练程序：网络层表、新的分类头、验证图像的标签、top-k 准确率、训练与验证、检查点、TensorBoard，
# 以及设备比较。请完成所有 `TODO`。满分 20 分。
#
# | 部分 | 分值 | 部分 | 分值 |
# |---|---|---|---|
# | `layer_table` | 2 | `validate` | 3 |
# | `replace_head` | 1 | `save_checkpoints` | 2 |
# | `val_labels` | 3 | `log_epoch` | 2 |
# | `accuracy` | 2 | 设备比较 | 2 |
# | `train` | 3 | | |
#
# 随时可以用 `resnet-tiny check 文件名` 检查。
# %%
import random
from pathlib import Path

import numpy as np
import torch
from torch import nn

DATA = Path("data")
# %% [markdown] lang="en"
# ## The network
#
# ResNet-18 (He et al. 2015, arXiv 1512.03385) with torchvision's layers and names.
# %% [markdown] lang="zh"
# ## 网络
#
# ResNet-18（He et al. 2015, arXiv 1512.03385），层与命名同 torchvision。
# %%
class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + identity)


class ResNet18(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        sizes = [64, 64, 128, 256, 512]
        for n in range(1, 5):
            blocks = BasicBlock(sizes[n - 1], sizes[n], 1 if n == 1 else 2), BasicBlock(sizes[n], sizes[n])
            setattr(self, f"layer{n}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))
# %%
def layer_table(model, size):
    # en: TODO layer_table (2 points): a row for each call of a layer without children, in the order of the calls, for one input of
    # en: `size` (channels, height, width): (class name, output shape without the batch as a tuple, number of its parameters).
    # en: Use forward hooks, and remove them afterwards.
    # zh: TODO layer_table（2 分）：对一个大小为 `size`（通道、高、宽）的输入，按调用顺序，每次调用没有子模块的层就记一行：
    # zh: (类名, 不含批次的输出形状元组, 该层参数个数)。请使用 forward hook，并在最后移除。
    ### BEGIN SOLUTION layer_table 2
    rows, hooks = [], []

    def note(layer, inputs, output):
        parameters = sum(p.numel() for p in layer.parameters())
        rows.append((type(layer).__name__, tuple(output.shape[1:]), parameters))

    for layer in model.modules():
        if not list(layer.children()):
            hooks.append(layer.register_forward_hook(note))
    was_training = model.training
    model.eval()
    with torch.no_grad():
        model(torch.zeros(1, *size))
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return rows
    ### END SOLUTION


def replace_head(model, classes):
    # en: TODO replace_head (1 point): give model.fc a new linear layer with this many classes; all else stays. Returns the model.
    # zh: TODO replace_head（1 分）：把 model.fc 换成输出为 classes 的线性层，其余不变。返回模型。
    ### BEGIN SOLUTION replace_head 1
    model.fc = nn.Linear(model.fc.in_features, classes)
    return model
    ### END SOLUTION
# %% tags="tests"
# en: test
# zh: 测试
net = replace_head(ResNet18(), 200)
table = layer_table(net, (3, 64, 64))
assert sum(row[2] for row in table) == 11279112
assert len(table) == 60
# %% [markdown] lang="en"
# ## Labels and accuracy
#
# Classes are numbered in the sorted order of their ids (wnids), for training and validation alike. The labels of validation
# images are in `val_annotations.txt`, one line each: file, wnid and a box, with tabs between.
# %% [markdown] lang="zh"
# ## 标签与准确率
#
# 类别的编号在训练与验证中一致：所有 wnid 排序后，从 0 开始编号。验证图像的标签在 `val_annotations.txt` 中，每行依次是文件名、wnid 和边框，
# 以制表符分隔。
# %%
def val_labels(lines, wnids):
    # en: TODO val_labels (3 points): the lines of val_annotations.txt, and all wnids in any order -> {file: class number}.
    # zh: TODO val_labels（3 分）：val_annotations.txt 的各行，以及任意顺序的所有 wnid -> {文件名: 类别编号}。
    ### BEGIN SOLUTION val_labels 3
    number = {wnid: i for i, wnid in enumerate(sorted(wnids))}
    rows = (line.split("\t") for line in lines if line.strip())
    return {row[0]: number[row[1]] for row in rows}
    ### END SOLUTION


def accuracy(output, target, topk=(1, 5)):
    # en: TODO accuracy (2 points): output (B, C), target (B,) -> for each k the fraction of images whose class is among the k
    # en: highest scores, as a list of numbers.
    # zh: TODO accuracy（2 分）：output (B, C)、target (B,) -> 对每个 k，真实类别在得分最高的 k 个之中的图像比例，返回数值列表。
    ### BEGIN SOLUTION accuracy 2
    best = output.topk(max(topk), dim=1).indices
    hits = best == target.unsqueeze(1)
    return [hits[:, :k].any(dim=1).float().mean().item() for k in topk]
    ### END SOLUTION
# %% tags="tests"
# en: test
# zh: 测试
assert val_labels(["a.JPEG\tn2\t0\t0\t1\t1"], ["n2", "n1"]) == {"a.JPEG": 1}
assert accuracy(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([1]), (1, 2)) == [0, 1]
# %% [markdown] lang="en"
# ## Training and validation
# %% [markdown] lang="zh"
# ## 训练与验证
# %%
def train(loader, model, criterion, optimizer):
    # en: TODO train (3 points): one epoch over batches (images, labels); `criterion` is a mean over the batch. Returns mean loss,
    # en: top-1 and top-5 accuracy of an image, over the whole epoch; batches may differ in size. Use `accuracy`.
    # zh: TODO train（3 分）：对批次 (images, labels) 训练一轮；`criterion` 是一批的平均。返回整轮中每张图像的平均损失、top-1 与 top-5
    # zh: 准确率；各批大小可能不同。请调用 `accuracy`。
    ### BEGIN SOLUTION train 3
    model.train()
    sums, count = np.zeros(3), 0
    for images, labels in loader:
        output = model(images)
        loss = criterion(output, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sums += len(labels) * np.array([loss.item(), *accuracy(output.detach(), labels)])
        count += len(labels)
    return tuple(sums / count)
    ### END SOLUTION


def validate(loader, model, criterion):
    # en: TODO validate (3 points): the same three figures, in evaluation mode, without gradients; nothing is trained.
    # zh: TODO validate（3 分）：同样的三个数值，在评估模式下，不计算梯度，不训练。
    ### BEGIN SOLUTION validate 3
    model.eval()
    sums, count = np.zeros(3), 0
    with torch.no_grad():
        for images, labels in loader:
            output = model(images)
            figures = [criterion(output, labels).item(), *accuracy(output, labels)]
            sums += len(labels) * np.array(figures)
            count += len(labels)
    return tuple(sums / count)
    ### END SOLUTION


def save_checkpoints(state, epoch, is_best, folder):
    # en: TODO save_checkpoints (2 points): after an epoch, counted from 0: torch.save `state` as last.pt; as best.pt if it is the
    # en: best so far; as epoch5.pt after the fifth epoch and epoch10.pt after the tenth.
    # zh: TODO save_checkpoints（2 分）：每轮之后（epoch 从 0 计数）：用 torch.save 把 `state` 存为 last.pt；是目前最好时存为 best.pt；
    # zh: 第五轮之后存为 epoch5.pt，第十轮之后存为 epoch10.pt。
    ### BEGIN SOLUTION save_checkpoints 2
    names = ["last"]
    if is_best:
        names.append("best")
    if epoch + 1 in (5, 10):
        names.append(f"epoch{epoch + 1}")
    for name in names:
        torch.save(state, Path(folder) / f"{name}.pt")
    ### END SOLUTION


def log_epoch(writer, epoch, train_loss, train_acc, val_loss, val_acc):
    # en: TODO log_epoch (2 points): four TensorBoard scalars of this epoch, named like the arguments: writer.add_scalar(name, value,
    # en: epoch).
    # zh: TODO log_epoch（2 分）：把本轮的四个数值写入 TensorBoard，名称同参数名：writer.add_scalar(名称, 数值, epoch)。
    ### BEGIN SOLUTION log_epoch 2
    writer.add_scalar("train_loss", train_loss, epoch)
    writer.add_scalar("train_acc", train_acc, epoch)
    writer.add_scalar("val_loss", val_loss, epoch)
    writer.add_scalar("val_acc", val_acc, epoch)
    ### END SOLUTION
# %% [markdown] lang="en"
# A few images of `data/`, one epoch.
# %% [markdown] lang="zh"
# 用 `data/` 中的少量图像训练一轮。
# %%
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def read_image(path):
    from PIL import Image

    pixels = np.asarray(Image.open(path).convert("RGB"), dtype=np.float32) / 255
    return torch.from_numpy((pixels - MEAN) / STD).permute(2, 0, 1).float()


def make_batches(items, size=32):
    random.shuffle(items)
    return [
        (torch.stack([read_image(path) for path, _ in items[i : i + size]]), torch.tensor([y for _, y in items[i : i + size]]))
        for i in range(0, len(items), size)
    ]


class Printer:
    def add_scalar(self, name, value, epoch):
        print(f"epoch {epoch}  {name} {value:.3f}")


def main(images_per_class=20, epochs=1):
    torch.manual_seed(1)
    random.seed(1)
    wnids = (DATA / "wnids.txt").read_text().split()
    train_items = [
        (path, number)
        for number, wnid in enumerate(sorted(wnids))
        for path in sorted((DATA / "train" / wnid / "images").iterdir())[:images_per_class]
    ]
    labels = val_labels((DATA / "val" / "val_annotations.txt").read_text().splitlines(), wnids)
    val_items = [(DATA / "val" / "images" / name, number) for name, number in sorted(labels.items())][:100]
    model = replace_head(ResNet18(), len(wnids))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=1e-4)
    for epoch in range(epochs):
        loss, top1, _ = train(make_batches(train_items), model, criterion, optimizer)
        val_loss, val_top1, _ = validate(make_batches(val_items), model, criterion)
        log_epoch(Printer(), epoch, loss, top1, val_loss, val_top1)
# %%
main()
# %% [markdown] lang="en"
# ## Device study
#
# TODO device study (2 points): fill in `report.en.md`.
# %% [markdown] lang="zh"
# ## 设备比较
#
# TODO 设备比较（2 分）：请填写 `report.zh.md`。
