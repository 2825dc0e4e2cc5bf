"""What is said to students, in English and Chinese, by key."""

from __future__ import annotations

REMARKS = {
    "layer_table_value": {
        "en": "layer_table: other rows than expected",
        "zh": "layer_table：各行不符",
    },
    "table_batch": {
        "en": "layer_table: the batch is part of the shapes",
        "zh": "layer_table：形状里包含了批次",
    },
    "table_containers": {
        "en": "layer_table: layers that only hold others are listed",
        "zh": "layer_table：列出了只包含其他层的容器",
    },
    "table_trainable": {
        "en": "layer_table: frozen parameters are not counted",
        "zh": "layer_table：没有计入被冻结的参数",
    },
    "table_weights": {
        "en": "layer_table: biases are not counted",
        "zh": "layer_table：没有计入偏置",
    },
    "table_once": {
        "en": "layer_table: a layer that is called twice is listed once",
        "zh": "layer_table：被调用两次的层只列了一次",
    },
    "table_order": {
        "en": "layer_table: in the order of definition, expected that of the calls",
        "zh": "layer_table：按定义的顺序排列，应按调用的顺序",
    },
    "table_hooks": {
        "en": "layer_table: the hooks are left at the model",
        "zh": "layer_table：hook 没有移除",
    },
    "table_statistics": {
        "en": "layer_table: the statistics of batch normalization were changed by the zeros (no points lost)",
        "zh": "layer_table：全零输入改变了批归一化的统计量（不扣分）",
    },
    "replace_head_value": {
        "en": "replace_head: another head than expected",
        "zh": "replace_head：分类头不符",
    },
    "head_unchanged": {
        "en": "replace_head: the head is still the old one",
        "zh": "replace_head：分类头没有更换",
    },
    "head_rest": {
        "en": "replace_head: other layers were changed too",
        "zh": "replace_head：其他层也被改动了",
    },
    "val_labels_value": {
        "en": "val_labels: other labels than expected",
        "zh": "val_labels：标签不符",
    },
    "labels_file_order": {
        "en": (
            "val_labels: numbered in the order of the list of wnids; the order is that of the sorted "
            "wnids, as in training"
        ),
        "zh": "val_labels：按 wnid 列表的顺序编号；应与训练一致，按排序后的顺序",
    },
    "labels_seen_order": {
        "en": "val_labels: numbered in the order of appearance; the order is that of the sorted wnids",
        "zh": "val_labels：按出现的先后编号；应按 wnid 排序后的顺序",
    },
    "labels_val_only": {
        "en": (
            "val_labels: only the wnids that occur are numbered; classes without a validation image count "
            "too"
        ),
        "zh": "val_labels：只给出现过的 wnid 编号；没有验证图像的类别也要占编号",
    },
    "labels_text": {
        "en": "val_labels: wnids, expected numbers",
        "zh": "val_labels：返回了 wnid，应为编号",
    },
    "labels_from_one": {
        "en": "val_labels: counted from 1, expected from 0",
        "zh": "val_labels：编号从 1 开始，应从 0 开始",
    },
    "labels_reversed": {
        "en": "val_labels: sorted backwards",
        "zh": "val_labels：排序方向反了",
    },
    "labels_line_number": {
        "en": "val_labels: the number of the line, not of the class",
        "zh": "val_labels：返回了行号，而不是类别编号",
    },
    "labels_list": {
        "en": "val_labels: a list, expected a dict by file name",
        "zh": "val_labels：返回了列表，应为以文件名为键的字典",
    },
    "labels_in_place": {
        "en": "val_labels: the list of wnids that was given is changed",
        "zh": "val_labels：传入的 wnid 列表被修改了",
    },
    "accuracy_value": {
        "en": "accuracy: other numbers than expected",
        "zh": "accuracy：数值不符",
    },
    "accuracy_percent": {
        "en": "accuracy: percent, as in pytorch/examples; the assignment says fractions (no points lost)",
        "zh": "accuracy：返回了百分数，与 pytorch/examples 相同；作业要求比例（不扣分）",
    },
    "accuracy_count": {
        "en": "accuracy: the number of hits, expected their fraction",
        "zh": "accuracy：返回了命中数，应为比例",
    },
    "accuracy_same": {
        "en": "accuracy: the same number for every k",
        "zh": "accuracy：每个 k 的数值都一样",
    },
    "accuracy_lowest": {
        "en": "accuracy: the lowest scores, expected the highest",
        "zh": "accuracy：取了得分最低的，应取最高的",
    },
    "accuracy_order": {
        "en": "accuracy: in another order than topk",
        "zh": "accuracy：顺序与 topk 不一致",
    },
    "accuracy_divided": {
        "en": "accuracy: divided by k",
        "zh": "accuracy：多除以了 k",
    },
    "accuracy_exact": {
        "en": "accuracy: counts position k alone, expected the first k",
        "zh": "accuracy：只看第 k 个，应看前 k 个",
    },
    "accuracy_error": {
        "en": "accuracy: the error rate",
        "zh": "accuracy：返回了错误率",
    },
    "train_value": {
        "en": "train: other results than expected",
        "zh": "train：结果不符",
    },
    "train_last": {
        "en": "train: the last batch's figures, expected those of the epoch",
        "zh": "train：返回最后一批的数值，应为整轮的",
    },
    "train_last_loss": {
        "en": "train: the last batch's loss, expected that of the epoch",
        "zh": "train：返回最后一批的损失，应为整轮的平均",
    },
    "train_batch_means": {
        "en": "train: the mean of batch means; batches differ in size",
        "zh": "train：返回了各批平均值的平均，但各批大小不同",
    },
    "train_sum": {
        "en": "train: sums over the batches",
        "zh": "train：返回了各批之和",
    },
    "train_swapped": {
        "en": "train: top-5 is returned as top-1",
        "zh": "train：把 top-5 当成 top-1 返回",
    },
    "train_no_zero_grad": {
        "en": "train: gradients of earlier batches are added; zero_grad is missing",
        "zh": "train：累加了之前批次的梯度，缺少 zero_grad",
    },
    "train_no_step": {
        "en": "train: nothing is learned; optimizer.step() is missing",
        "zh": "train：参数没有更新，缺少 optimizer.step()",
    },
    "train_softmax": {
        "en": "train: softmax before cross entropy",
        "zh": "train：在交叉熵之前做了 softmax",
    },
    "train_no_zero_grad_batch_means": {
        "en": "train: zero_grad is missing, and figures are means of batch means",
        "zh": "train：缺少 zero_grad，且数值是各批平均值的平均",
    },
    "train_no_zero_grad_last": {
        "en": "train: zero_grad is missing, and figures are the last batch's",
        "zh": "train：缺少 zero_grad，且数值是最后一批的",
    },
    "train_mode": {
        "en": "train: model.train() is missing, so batch statistics would stand still",
        "zh": "train：缺少 model.train()，批归一化的统计量不会更新",
    },
    "validate_value": {
        "en": "validate: other results than expected",
        "zh": "validate：结果不符",
    },
    "validate_last": {
        "en": "validate: the last batch's figures, expected those of all images",
        "zh": "validate：返回最后一批的数值，应为全部图像的",
    },
    "validate_batch_means": {
        "en": "validate: the mean of batch means; batches differ in size",
        "zh": "validate：返回了各批平均值的平均，但各批大小不同",
    },
    "validate_sum": {
        "en": "validate: sums over the batches",
        "zh": "validate：返回了各批之和",
    },
    "validate_swapped": {
        "en": "validate: top-5 is returned as top-1",
        "zh": "validate：把 top-5 当成 top-1 返回",
    },
    "validate_softmax": {
        "en": "validate: softmax before cross entropy",
        "zh": "validate：在交叉熵之前做了 softmax",
    },
    "validate_mode": {
        "en": "validate: model.eval() is missing; batch statistics are used and changed",
        "zh": "validate：缺少 model.eval()，会使用并改变批归一化的统计量",
    },
    "validate_gradients": {
        "en": "validate: gradients are computed; torch.no_grad() is missing",
        "zh": "validate：计算了梯度，缺少 torch.no_grad()",
    },
    "save_checkpoints_value": {
        "en": "save_checkpoints: other files than expected",
        "zh": "save_checkpoints：文件不符",
    },
    "checkpoints_sixth": {
        "en": "save_checkpoints: epochs count from 0, so `epoch == 5` is the sixth epoch",
        "zh": "save_checkpoints：epoch 从 0 计数，`epoch == 5` 是第六轮",
    },
    "checkpoints_numbers_missing": {
        "en": "save_checkpoints: epoch5.pt and epoch10.pt are missing",
        "zh": "save_checkpoints：缺少 epoch5.pt 与 epoch10.pt",
    },
    "checkpoints_best_always": {
        "en": "save_checkpoints: best.pt is overwritten after every epoch",
        "zh": "save_checkpoints：每轮都覆盖了 best.pt",
    },
    "checkpoints_best_missing": {
        "en": "save_checkpoints: best.pt is missing",
        "zh": "save_checkpoints：缺少 best.pt",
    },
    "checkpoints_last_missing": {
        "en": "save_checkpoints: last.pt is missing",
        "zh": "save_checkpoints：缺少 last.pt",
    },
    "checkpoints_multiples": {
        "en": "save_checkpoints: saves other epochs too",
        "zh": "save_checkpoints：还保存了其他轮次",
    },
    "checkpoints_every": {
        "en": "save_checkpoints: saves every epoch under its number",
        "zh": "save_checkpoints：每一轮都按编号保存了",
    },
    "log_epoch_value": {
        "en": "log_epoch: other scalars than expected",
        "zh": "log_epoch：写入的数值不符",
    },
    "log_no_epoch": {
        "en": "log_epoch: the epoch is not given",
        "zh": "log_epoch：没有传入 epoch",
    },
    "log_epoch_from_one": {
        "en": "log_epoch: another epoch than the argument",
        "zh": "log_epoch：epoch 与参数不一致",
    },
    "log_names": {
        "en": "log_epoch: other names than the arguments'",
        "zh": "log_epoch：名称与参数名不一致",
    },
    "log_mixed": {
        "en": "log_epoch: values under each other's names",
        "zh": "log_epoch：数值与名称对应错了",
    },
    "log_missing": {
        "en": "log_epoch: some of the four scalars are missing",
        "zh": "log_epoch：四个数值没有写全",
    },
}
