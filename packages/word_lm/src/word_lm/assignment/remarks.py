"""What is said to students, in English and Chinese, by key."""

from __future__ import annotations

REMARKS = {
    "batchify_value": {
        "en": "batchify: another layout than in the drawing",
        "zh": "batchify：排列与图示不符",
    },
    "batchify_rows": {
        "en": "batchify: the text runs along the rows, expected down the columns",
        "zh": "batchify：文本沿行排列，应沿列排列",
    },
    "batchify_transposed": {
        "en": "batchify: rows and columns are swapped",
        "zh": "batchify：行与列颠倒了",
    },
    "batchify_end": {
        "en": "batchify: drops the beginning of the text, expected its end",
        "zh": "batchify：丢掉了文本的开头，应丢掉末尾",
    },
    "get_batch_value": {
        "en": "get_batch: other inputs or targets than expected",
        "zh": "get_batch：输入或目标不符",
    },
    "get_batch_shift": {
        "en": "get_batch: the targets are not the words one further on",
        "zh": "get_batch：目标不是各自的下一个词",
    },
    "get_batch_end": {
        "en": "get_batch: at the end of the text there are more inputs than targets",
        "zh": "get_batch：文本末尾的输入比目标多",
    },
    "get_batch_flat": {
        "en": "get_batch: the targets are not flattened",
        "zh": "get_batch：目标没有展平",
    },
    "get_batch_order": {
        "en": "get_batch: the targets are flattened in another order than the inputs",
        "zh": "get_batch：目标展平的顺序与输入不一致",
    },
    "positions_value": {
        "en": "positions: another table than the formula's",
        "zh": "positions：与公式不符",
    },
    "positions_swapped": {
        "en": "positions: sine and cosine are swapped",
        "zh": "positions：正弦与余弦颠倒了",
    },
    "positions_halves": {
        "en": "positions: all sines before all cosines, expected in turn",
        "zh": "positions：正弦都在前、余弦都在后，应交替排列",
    },
    "positions_base": {
        "en": "positions: another base than 10000",
        "zh": "positions：底数不是 10000",
    },
    "positions_odd": {
        "en": "positions: a cosine has another frequency than its sine",
        "zh": "positions：余弦的频率与对应的正弦不同",
    },
    "positions_from_one": {
        "en": "positions: counted from 1, expected from 0",
        "zh": "positions：位置从 1 开始，应从 0 开始",
    },
    "positions_transposed": {
        "en": "positions: the table is transposed",
        "zh": "positions：表转置了",
    },
    "positions_exponent": {
        "en": "positions: the exponent is not 2k / D",
        "zh": "positions：指数不是 2k / D",
    },
    "positions_no_cos": {
        "en": "positions: the cosines are missing",
        "zh": "positions：缺少余弦",
    },
    "causal_mask_value": {
        "en": "causal_mask: another mask than expected",
        "zh": "causal_mask：掩码不符",
    },
    "mask_boolean": {
        "en": "causal_mask: True for hidden positions is what torch takes as well (no points lost)",
        "zh": "causal_mask：用 True 表示被遮住的位置，torch 同样接受（不扣分）",
    },
    "mask_finite": {
        "en": "causal_mask: a large negative number works, minus infinity is exact (no points lost)",
        "zh": "causal_mask：很大的负数也可以，负无穷才是精确的（不扣分）",
    },
    "mask_future": {
        "en": "causal_mask: hides the past and shows the future",
        "zh": "causal_mask：遮住了过去，露出了未来",
    },
    "mask_itself": {
        "en": "causal_mask: a position may not look at itself",
        "zh": "causal_mask：位置看不到自己",
    },
    "mask_one_ahead": {
        "en": "causal_mask: a position sees the next word, which it is to predict",
        "zh": "causal_mask：位置能看到下一个词，而那正是要预测的",
    },
    "mask_zero": {
        "en": (
            "causal_mask: 1 (or True) where a position may look; the mask is added, so hidden positions "
            "need minus infinity (or True)"
        ),
        "zh": "causal_mask：可见的位置用了 1（或 True）；掩码是相加的，被遮住的位置应为负无穷（或 True）",
    },
    "mask_weak": {
        "en": "causal_mask: -1e-9 is nearly 0 and hides nothing",
        "zh": "causal_mask：-1e-9 几乎等于 0，什么也遮不住",
    },
    "mask_inverted": {
        "en": "causal_mask: hides what may be seen",
        "zh": "causal_mask：遮住了应当看到的位置",
    },
    "mask_none": {
        "en": "causal_mask: hides nothing",
        "zh": "causal_mask：什么也没有遮住",
    },
    "forward_value": {
        "en": "forward: other scores than expected",
        "zh": "forward：得分不符",
    },
    "forward_no_root": {
        "en": "forward: the word vectors are not multiplied by the square root of D",
        "zh": "forward：词向量没有乘以 D 的平方根",
    },
    "forward_root_late": {
        "en": "forward: the square root of D multiplies the positions too",
        "zh": "forward：位置编码也被乘了 D 的平方根",
    },
    "forward_no_positions": {
        "en": "forward: positions are not added",
        "zh": "forward：没有加上位置编码",
    },
    "forward_no_mask": {
        "en": "forward: the encoder gets no mask",
        "zh": "forward：没有给编码器传掩码",
    },
    "forward_positions_batch": {
        "en": "forward: positions are counted along the batch, not along time",
        "zh": "forward：位置编码沿批次方向，而不是时间方向",
    },
    "forward_softmax": {
        "en": "forward: probabilities, expected scores",
        "zh": "forward：返回了概率，应返回得分",
    },
    "train_step_value": {
        "en": "train_step: other losses or parameters than expected",
        "zh": "train_step：损失或参数不符",
    },
    "step_no_zero_grad": {
        "en": "train_step: gradients of earlier steps are added; zero_grad is missing",
        "zh": "train_step：累加了之前的梯度，缺少 zero_grad",
    },
    "step_clip_after": {
        "en": "train_step: the clipping has no effect: it is missing, or comes after the step",
        "zh": "train_step：裁剪没有起作用：缺少裁剪，或在更新之后才裁剪",
    },
    "step_clip_value": {
        "en": "train_step: every number is clipped, expected the norm of all gradients together",
        "zh": "train_step：逐个数值裁剪，应裁剪总范数",
    },
    "step_sum": {
        "en": "train_step: the sum of the losses, expected their mean",
        "zh": "train_step：损失用了和，应为平均",
    },
    "step_ascent": {
        "en": "train_step: the sign is wrong; the step goes uphill",
        "zh": "train_step：符号错误，沿梯度上升",
    },
    "step_rate": {
        "en": "train_step: the learning rate is not used",
        "zh": "train_step：没有使用学习率",
    },
    "step_none": {
        "en": "train_step: the parameters do not change",
        "zh": "train_step：参数没有更新",
    },
    "step_softmax": {
        "en": "train_step: softmax before cross entropy",
        "zh": "train_step：在交叉熵之前做了 softmax",
    },
    "step_no_zero_grad_clip_after": {
        "en": "train_step: zero_grad is missing, and the clipping has no effect",
        "zh": "train_step：缺少 zero_grad，且裁剪没有起作用",
    },
    "step_mode": {
        "en": "train_step: model.train() is missing, so dropout would stay off",
        "zh": "train_step：缺少 model.train()，dropout 会一直关闭",
    },
    "evaluate_value": {
        "en": "evaluate: another number than the perplexity",
        "zh": "evaluate：不是困惑度",
    },
    "evaluate_batch_means": {
        "en": "evaluate: the mean of batch means; the last batch is shorter",
        "zh": "evaluate：用了各批平均值的平均，但最后一批较短",
    },
    "evaluate_loss": {
        "en": "evaluate: the mean loss, expected e to its power",
        "zh": "evaluate：返回了平均损失，还应取 exp",
    },
    "evaluate_rows": {
        "en": "evaluate: divided by all rows; the first row is nobody's target",
        "zh": "evaluate：除以了全部行数；第一行不是任何词的目标",
    },
    "evaluate_base": {
        "en": "evaluate: 2 to the power of a loss in nats, expected e",
        "zh": "evaluate：损失以自然对数计，却以 2 为底取指数，应以 e 为底",
    },
    "evaluate_mean_of_perplexities": {
        "en": "evaluate: the mean of the batches' perplexities",
        "zh": "evaluate：用了各批困惑度的平均",
    },
    "evaluate_last": {
        "en": "evaluate: the last batch alone",
        "zh": "evaluate：只用了最后一批",
    },
    "evaluate_incomplete": {
        "en": "evaluate: the last, shorter batch is left out",
        "zh": "evaluate：漏掉了最后较短的一批",
    },
    "evaluate_mode": {
        "en": "evaluate: dropout stays on; model.eval() is missing",
        "zh": "evaluate：dropout 仍然开启，缺少 model.eval()",
    },
    "evaluate_gradients": {
        "en": "evaluate: gradients are computed; torch.no_grad() is missing",
        "zh": "evaluate：计算了梯度，缺少 torch.no_grad()",
    },
    "generate_value": {
        "en": "generate: other probabilities than expected",
        "zh": "generate：概率不符",
    },
    "generate_times": {
        "en": "generate: the scores are multiplied by the temperature, expected divided",
        "zh": "generate：得分乘以了温度，应除以温度",
    },
    "generate_no_temperature": {
        "en": "generate: the temperature is not used",
        "zh": "generate：没有使用温度",
    },
    "generate_not_fed": {
        "en": "generate: the words drawn are not read for the next one",
        "zh": "generate：抽到的词没有作为后面的输入",
    },
    "generate_first_position": {
        "en": "generate: the scores of the first position, expected those of the last",
        "zh": "generate：用了第一个位置的得分，应为最后一个",
    },
    "generate_returned": {
        "en": "generate: returns other ids than those that were drawn",
        "zh": "generate：返回的不是抽到的下标",
    },
}
