"""What is said to students, in English and Chinese, by key."""

from __future__ import annotations

REMARKS = {
    "encoding_value": {
        "en": "encoding: another output than a BiLSTM's",
        "zh": "编码：输出与 BiLSTM 不符",
    },
    "encoding_axis": {
        "en": "encoding: without batch_first the LSTM reads across the batch",
        "zh": "编码：缺少 batch_first，LSTM 沿批次方向读取",
    },
    "encoding_one_direction": {
        "en": "encoding: one direction only",
        "zh": "编码：只有一个方向",
    },
    "encoding_last": {
        "en": "encoding: only the last token's state, expected those of all tokens",
        "zh": "编码：只返回最后一个词的状态，应返回所有词的状态",
    },
    "scores_value": {
        "en": "scores: the result of LocalInference cannot be explained",
        "zh": "得分：无法解释 LocalInference 的结果",
    },
    "scores_no_mask": {
        "en": "scores: padding gets weight; the mask is missing or has no effect (-1e-7 is nearly 0)",
        "zh": "得分：填充位置得到了权重；缺少掩码，或掩码不起作用（-1e-7 几乎等于 0）",
    },
    "scores_mask_after": {
        "en": "scores: the mask comes after the softmax, so the weights no longer sum to 1",
        "zh": "得分：softmax 之后才加掩码，权重之和不再为 1",
    },
    "scores_mask_zero": {
        "en": "scores: masked scores are set to 0, expected minus infinity",
        "zh": "得分：被掩盖的得分设成了 0，应为负无穷",
    },
    "scores_axes": {
        "en": "scores: the axes of the two softmaxes are swapped",
        "zh": "得分：两个 softmax 的维度颠倒了",
    },
    "scores_axes_no_mask": {
        "en": "scores: the axes of the two softmaxes are swapped, and the mask is missing",
        "zh": "得分：两个 softmax 的维度颠倒，且缺少掩码",
    },
    "scores_scaled": {
        "en": "scores: ESIM does not divide by the square root of the size",
        "zh": "得分：ESIM 不除以维数的平方根",
    },
    "alignment_value": {
        "en": "alignment: the result of LocalInference cannot be explained",
        "zh": "对齐：无法解释 LocalInference 的结果",
    },
    "alignment_weights": {
        "en": "alignment: the same weights for both directions",
        "zh": "对齐：两个方向用了同一组权重",
    },
    "alignment_crossed": {
        "en": "alignment: the two sets of weights are swapped",
        "zh": "对齐：两组权重用反了",
    },
    "alignment_none": {
        "en": "alignment: the sentences are compared with themselves",
        "zh": "对齐：句子与自身比较",
    },
    "enhancement_value": {
        "en": "enhancement: the result of LocalInference cannot be explained",
        "zh": "增强：无法解释 LocalInference 的结果",
    },
    "enhancement_sign": {
        "en": "enhancement: the difference has the wrong sign",
        "zh": "增强：差的符号反了",
    },
    "enhancement_absolute": {
        "en": "enhancement: the difference without its sign",
        "zh": "增强：差取了绝对值",
    },
    "enhancement_sum": {
        "en": "enhancement: the sum in place of the difference",
        "zh": "增强：用了和而不是差",
    },
    "enhancement_order": {
        "en": "enhancement: the four parts are in another order",
        "zh": "增强：四个部分的顺序不对",
    },
    "enhancement_missing": {
        "en": "enhancement: a part is missing",
        "zh": "增强：缺少一部分",
    },
    "composition_value": {
        "en": "composition: another output than expected",
        "zh": "组合：输出不符",
    },
    "composition_no_relu": {
        "en": "composition: no ReLU after the projection, as in the original coursework (no points lost)",
        "zh": "组合：映射之后没有 ReLU，与原作业相同（不扣分）",
    },
    "composition_axis": {
        "en": "composition: without batch_first the LSTM reads across the batch",
        "zh": "组合：缺少 batch_first，LSTM 沿批次方向读取",
    },
    "composition_activation": {
        "en": "composition: another activation than ReLU",
        "zh": "组合：激活函数应为 ReLU",
    },
    "composition_one_direction": {
        "en": "composition: one direction only",
        "zh": "组合：只有一个方向",
    },
    "composition_no_lstm": {
        "en": "composition: the BiLSTM is missing",
        "zh": "组合：缺少 BiLSTM",
    },
    "pooling_value": {
        "en": "pooling: neither mean nor maximum over the real tokens",
        "zh": "池化：与真实词上的平均值和最大值都不符",
    },
    "pooling_mean": {
        "en": "pooling: the mean is over all positions, padding counted",
        "zh": "池化：平均值除以了所有位置的个数，包括填充",
    },
    "pooling_sum": {
        "en": "pooling: the sum in place of the mean",
        "zh": "池化：用了和而不是平均值",
    },
    "pooling_zeros": {
        "en": "pooling: the maximum takes padding for zeros",
        "zh": "池化：取最大值时把填充当成了 0",
    },
    "pooling_mean_zeros": {
        "en": "pooling: the mean counts padding, and the maximum takes it for zeros",
        "zh": "池化：平均值计入了填充，最大值把填充当成了 0",
    },
    "pooling_no_mask": {
        "en": "pooling: the mask is not used",
        "zh": "池化：没有使用掩码",
    },
    "pooling_mean_unmasked": {
        "en": "pooling: the mean does not use the mask",
        "zh": "池化：平均值没有使用掩码",
    },
    "pooling_largest_unmasked": {
        "en": "pooling: the maximum does not use the mask",
        "zh": "池化：最大值没有使用掩码",
    },
    "pooling_order": {
        "en": "pooling: maximum before mean",
        "zh": "池化：最大值排在了平均值之前",
    },
    "pooling_mean_alone": {
        "en": "pooling: the maximum is missing",
        "zh": "池化：缺少最大值",
    },
    "pooling_largest_alone": {
        "en": "pooling: the mean is missing",
        "zh": "池化：缺少平均值",
    },
    "mlp_value": {
        "en": "MLP: other scores than expected",
        "zh": "MLP：得分不符",
    },
    "mlp_tanh": {
        "en": "MLP: tanh, as in the paper; the assignment says ReLU (no points lost)",
        "zh": "MLP：用了论文中的 tanh，作业要求 ReLU（不扣分）",
    },
    "mlp_no_activation": {
        "en": "MLP: no activation between the layers",
        "zh": "MLP：两层之间缺少激活函数",
    },
    "mlp_softmax": {
        "en": "MLP: softmax before cross entropy, which takes scores",
        "zh": "MLP：在交叉熵之前做了 softmax，交叉熵接收得分",
    },
    "mlp_last_activation": {
        "en": "MLP: an activation after the last layer",
        "zh": "MLP：最后一层之后不应有激活函数",
    },
    "mlp_dropout": {
        "en": "MLP: dropout stays on in evaluation",
        "zh": "MLP：评估时 dropout 仍然开启",
    },
    "accuracy_value": {
        "en": "evaluate_accuracy: another number than the fraction of pairs that are right",
        "zh": "evaluate_accuracy：不是判断正确的比例",
    },
    "accuracy_batch_means": {
        "en": "evaluate_accuracy: the mean of batch accuracies; batches differ in size",
        "zh": "evaluate_accuracy：返回了各批准确率的平均，但各批大小不同",
    },
    "accuracy_percent": {
        "en": "evaluate_accuracy: percent, expected a fraction",
        "zh": "evaluate_accuracy：返回了百分数，应为比例",
    },
    "accuracy_count": {
        "en": "evaluate_accuracy: the number of hits, expected their fraction",
        "zh": "evaluate_accuracy：返回了命中数，应为比例",
    },
    "accuracy_last": {
        "en": "evaluate_accuracy: the last batch alone",
        "zh": "evaluate_accuracy：只用了最后一批",
    },
    "accuracy_batches": {
        "en": "evaluate_accuracy: divided by the number of batches",
        "zh": "evaluate_accuracy：除以了批数",
    },
    "accuracy_mode": {
        "en": "evaluate_accuracy: dropout stays on; net.eval() is missing",
        "zh": "evaluate_accuracy：dropout 仍然开启，缺少 net.eval()",
    },
    "accuracy_mode_kept": {
        "en": "evaluate_accuracy: the net is left in evaluation mode",
        "zh": "evaluate_accuracy：结束后网络停留在评估模式",
    },
    "accuracy_gradients": {
        "en": "evaluate_accuracy: gradients are computed; torch.no_grad() is missing",
        "zh": "evaluate_accuracy：计算了梯度，缺少 torch.no_grad()",
    },
    "train_value": {
        "en": "train: other results than expected",
        "zh": "train：结果不符",
    },
    "train_no_zero_grad": {
        "en": "train: gradients of earlier batches are added; zero_grad is missing",
        "zh": "train：累加了之前批次的梯度，缺少 zero_grad",
    },
    "train_no_step": {
        "en": "train: nothing is learned; optimizer.step() is missing",
        "zh": "train：参数没有更新，缺少 optimizer.step()",
    },
    "train_batch_means": {
        "en": "train: the mean of batch means; batches differ in size",
        "zh": "train：返回了各批平均值的平均，但各批大小不同",
    },
    "train_sum": {
        "en": "train: the sum of the batches' losses, expected the mean of a pair",
        "zh": "train：返回各批损失之和，应为每对的平均",
    },
    "train_last": {
        "en": "train: the last batch's loss, expected that of the epoch",
        "zh": "train：返回最后一批的损失，应为整轮的平均",
    },
    "train_mixed": {
        "en": "train: the sum of batch means divided by the number of pairs",
        "zh": "train：各批平均值之和除以了句对数",
    },
    "train_last_accuracy": {
        "en": "train: the last batch's accuracy, expected that of the epoch",
        "zh": "train：返回最后一批的准确率，应为整轮的",
    },
    "train_count": {
        "en": "train: the number of hits, expected their fraction",
        "zh": "train：返回了命中数，应为比例",
    },
    "train_softmax": {
        "en": "train: softmax before cross entropy",
        "zh": "train：在交叉熵之前做了 softmax",
    },
    "train_no_zero_grad_batch_means": {
        "en": "train: zero_grad is missing, and the loss is a mean of batch means",
        "zh": "train：缺少 zero_grad，且损失是各批平均值的平均",
    },
    "train_mode": {
        "en": "train: net.train() is missing, so dropout would stay off",
        "zh": "train：缺少 net.train()，dropout 会一直关闭",
    },
}
