"""What is said to students, in English and Chinese, by key."""

from __future__ import annotations

REMARKS = {
    "rating_value": {
        "en": "rating: not the stars in the file name",
        "zh": "rating：不是文件名中的评分",
    },
    "rating_one_digit": {
        "en": "rating: only one digit is read, so 10 becomes 0 or 1",
        "zh": "rating：只读了一位数字，10 被读成 0 或 1",
    },
    "rating_id": {
        "en": "rating: the review's id, not its stars",
        "zh": "rating：返回的是评论编号，不是评分",
    },
    "rating_text": {
        "en": "rating: a text, expected a number",
        "zh": "rating：返回了字符串，应为数字",
    },
    "tokens_value": {
        "en": "tokens: other words than expected",
        "zh": "tokens：分词结果不符",
    },
    "tokens_case": {
        "en": "tokens: not lower case",
        "zh": "tokens：没有转成小写",
    },
    "tokens_empty": {
        "en": "tokens: empty words are left in",
        "zh": "tokens：结果里有空字符串",
    },
    "tokens_glued": {
        "en": "tokens: punctuation is deleted, which glues words together; it must separate",
        "zh": "tokens：标点被直接删除，单词粘在了一起；标点应当作分隔",
    },
    "tokens_punctuation": {
        "en": "tokens: punctuation stays at the words",
        "zh": "tokens：标点留在了单词上",
    },
    "tokens_ascii": {
        "en": "tokens: letters beyond ASCII are lost",
        "zh": "tokens：丢失了 ASCII 之外的字母",
    },
    "tokens_digits": {
        "en": "tokens: digits are lost",
        "zh": "tokens：丢失了数字",
    },
    "length_limit_value": {
        "en": "length_limit: not the mean plus 2 standard deviations",
        "zh": "length_limit：不是平均值加两倍标准差",
    },
    "limit_sample": {
        "en": "length_limit: the deviation of a sample (n - 1), expected that of the lengths themselves",
        "zh": "length_limit：用了样本标准差（n - 1），应为总体标准差",
    },
    "limit_rounding": {
        "en": "length_limit: not rounded down to a whole number",
        "zh": "length_limit：没有向下取整",
    },
    "limit_one": {
        "en": "length_limit: one standard deviation, expected two",
        "zh": "length_limit：只加了一倍标准差，应为两倍",
    },
    "limit_variance": {
        "en": "length_limit: the variance in place of the standard deviation",
        "zh": "length_limit：用了方差而不是标准差",
    },
    "limit_max": {
        "en": "length_limit: the longest review",
        "zh": "length_limit：用了最长的长度",
    },
    "limit_mean": {
        "en": "length_limit: the mean alone",
        "zh": "length_limit：只有平均值",
    },
    "pad_value": {
        "en": "pad: other ids than expected",
        "zh": "pad：结果不符",
    },
    "pad_behind": {
        "en": "pad: zeros behind, expected in front",
        "zh": "pad：补在了后面，应补在前面",
    },
    "pad_last": {
        "en": "pad: keeps the end of a longer list, expected its beginning",
        "zh": "pad：较长时保留了末尾，应保留开头",
    },
    "pad_not_cut": {
        "en": "pad: a longer list is not cut",
        "zh": "pad：较长的列表没有截断",
    },
    "pad_not_filled": {
        "en": "pad: a shorter list is not padded",
        "zh": "pad：较短的列表没有填充",
    },
    "pad_one": {
        "en": "pad: pads with ones, expected zeros",
        "zh": "pad：用 1 填充，应为 0",
    },
    "pad_one_less": {
        "en": "pad: one id too few is kept",
        "zh": "pad：少保留了一个下标",
    },
    "pad_behind_not_cut": {
        "en": "pad: zeros behind, and a longer list is not cut",
        "zh": "pad：补在了后面，且没有截断",
    },
    "pad_in_place": {
        "en": "pad: the list that was given is changed",
        "zh": "pad：传入的列表被修改了",
    },
    "load_vectors_value": {
        "en": "load_vectors: other rows than expected",
        "zh": "load_vectors：矩阵的行不符",
    },
    "vectors_spaces": {
        "en": "load_vectors: words that hold spaces are lost; take the numbers from the end of the line",
        "zh": "load_vectors：含空格的词丢失了；应从行末取数值",
    },
    "vectors_padding": {
        "en": "load_vectors: the row of the padding is not zero",
        "zh": "load_vectors：填充所在的第 0 行不为零",
    },
    "vectors_order": {
        "en": "load_vectors: rows in the order of the file, expected that of the words",
        "zh": "load_vectors：按文件的顺序排列，应按 words 的顺序",
    },
    "vectors_shifted": {
        "en": "load_vectors: rows are off by one",
        "zh": "load_vectors：行号偏移了 1",
    },
    "vectors_transposed": {
        "en": "load_vectors: the matrix is transposed",
        "zh": "load_vectors：矩阵转置了",
    },
    "vectors_split": {
        "en": "load_vectors: fails on a word that holds spaces",
        "zh": "load_vectors：遇到含空格的词时出错",
    },
    "lstm_cell_value": {
        "en": "lstm_cell: not the LSTM's equations",
        "zh": "lstm_cell：与 LSTM 的公式不符",
    },
    "cell_order_if": {
        "en": "lstm_cell: input and forget gate are swapped",
        "zh": "lstm_cell：输入门与遗忘门颠倒了",
    },
    "cell_order_go": {
        "en": "lstm_cell: candidate and output gate are swapped",
        "zh": "lstm_cell：候选值与输出门颠倒了",
    },
    "cell_order": {
        "en": "lstm_cell: the gates are in another order than i, f, g, o",
        "zh": "lstm_cell：门的顺序不是 i、f、g、o",
    },
    "cell_candidate": {
        "en": "lstm_cell: the candidate's activation is not tanh",
        "zh": "lstm_cell：候选值的激活函数应为 tanh",
    },
    "cell_no_tanh": {
        "en": "lstm_cell: h is o times c; the tanh of c is missing",
        "zh": "lstm_cell：h 应为 o 乘以 tanh(c)",
    },
    "cell_forget": {
        "en": "lstm_cell: the forget gate's activation is not the sigmoid",
        "zh": "lstm_cell：遗忘门的激活函数应为 sigmoid",
    },
    "cell_forget_inverted": {
        "en": "lstm_cell: the forget gate is used as 1 - f",
        "zh": "lstm_cell：遗忘门用成了 1 - f",
    },
    "cell_no_memory": {
        "en": "lstm_cell: the old cell state is not used",
        "zh": "lstm_cell：没有用到旧的细胞状态",
    },
    "cell_old": {
        "en": "lstm_cell: h is made of the old cell state",
        "zh": "lstm_cell：h 用了旧的细胞状态计算",
    },
    "cell_swapped": {
        "en": "lstm_cell: c and h are returned in the wrong order",
        "zh": "lstm_cell：h 与 c 的返回顺序颠倒了",
    },
    "cell_only_h": {
        "en": "lstm_cell: c is not returned",
        "zh": "lstm_cell：没有返回 c",
    },
    "cell_no_bias": {
        "en": "lstm_cell: the bias is left out",
        "zh": "lstm_cell：漏掉了偏置",
    },
    "cell_no_recurrence": {
        "en": "lstm_cell: the old hidden state is not used",
        "zh": "lstm_cell：没有用到旧的隐藏状态",
    },
    "lstm_value": {
        "en": "lstm: other final states than expected",
        "zh": "lstm：末状态不符",
    },
    "lstm_last_position": {
        "en": (
            "lstm: reads the output of the last position: there the backward direction has read one word, "
            "and shorter texts end in padding"
        ),
        "zh": "lstm：读取了最后一个位置的输出：后向在那里只读了一个词，较短的文本在那里是填充",
    },
    "lstm_padding": {
        "en": "lstm: padding changes the states",
        "zh": "lstm：填充影响了状态",
    },
    "lstm_one_direction": {
        "en": "lstm: the backward direction is missing",
        "zh": "lstm：缺少后向",
    },
    "lstm_backward_forward": {
        "en": "lstm: the backward direction reads forward",
        "zh": "lstm：后向也按正序读取",
    },
    "lstm_backward_last": {
        "en": "lstm: the backward direction's state is taken at the last position, where it has just begun",
        "zh": "lstm：后向的状态取自最后一个位置，而它在那里才刚开始",
    },
    "lstm_order": {
        "en": "lstm: backward before forward",
        "zh": "lstm：前向与后向的拼接顺序颠倒了",
    },
    "lstm_carried": {
        "en": "lstm: states are carried over from one direction or layer to the next; each starts from zeros",
        "zh": "lstm：状态从一个方向或层带到了下一个；每次都应从零开始",
    },
    "head_value": {
        "en": "head: other scores than expected",
        "zh": "head：得分不符",
    },
    "head_softmax": {
        "en": "head: softmax before cross entropy, which takes scores and has its own",
        "zh": "head：在交叉熵之前做了 softmax；交叉熵接收得分，自带 softmax",
    },
    "head_log_softmax": {
        "en": "head: log-softmax before cross entropy does no harm, and is not needed (no points lost)",
        "zh": "head：交叉熵之前的 log-softmax 无害但多余（不扣分）",
    },
    "head_activation": {
        "en": "head: another activation than tanh",
        "zh": "head：激活函数应为 tanh",
    },
    "head_no_activation": {
        "en": "head: no activation between the two layers",
        "zh": "head：两层之间缺少激活函数",
    },
    "head_last_activation": {
        "en": "head: an activation after the last layer",
        "zh": "head：最后一层之后不应有激活函数",
    },
    "train_epoch_value": {
        "en": "train_epoch: other results than expected",
        "zh": "train_epoch：结果不符",
    },
    "loop_no_zero_grad": {
        "en": "train_epoch: gradients of earlier batches are added; zero_grad is missing",
        "zh": "train_epoch：累加了之前批次的梯度，缺少 zero_grad",
    },
    "loop_no_step": {
        "en": "train_epoch: nothing is learned; optimizer.step() is missing",
        "zh": "train_epoch：参数没有更新，缺少 optimizer.step()",
    },
    "loop_sum": {
        "en": "train_epoch: the loss is summed over a batch, so larger batches take larger steps",
        "zh": "train_epoch：损失按批求和，大批次的步长变大",
    },
    "loop_batch_means": {
        "en": "train_epoch: the mean of batch means; batches differ in size",
        "zh": "train_epoch：返回的是各批平均值的平均，但各批大小不同",
    },
    "loop_sum_of_means": {
        "en": "train_epoch: the sum of the batches' losses, expected the mean of a review",
        "zh": "train_epoch：返回各批损失之和，应为每条评论的平均",
    },
    "loop_last": {
        "en": "train_epoch: the last batch's loss, expected that of the epoch",
        "zh": "train_epoch：返回最后一批的损失，应为整轮的平均",
    },
    "loop_softmax": {
        "en": "train_epoch: softmax before cross entropy",
        "zh": "train_epoch：在交叉熵之前做了 softmax",
    },
    "loop_accuracy_count": {
        "en": "train_epoch: the number of hits, expected their fraction",
        "zh": "train_epoch：返回了命中数，应为比例",
    },
    "loop_accuracy_percent": {
        "en": "train_epoch: accuracy in percent, expected a fraction",
        "zh": "train_epoch：准确率是百分数，应为比例",
    },
    "loop_no_zero_grad_batch_means": {
        "en": "train_epoch: zero_grad is missing, and the loss is a mean of batch means",
        "zh": "train_epoch：缺少 zero_grad，且损失是各批平均值的平均",
    },
    "loop_mode": {
        "en": "train_epoch: model.train() is missing, so dropout would stay off",
        "zh": "train_epoch：缺少 model.train()，dropout 会一直关闭",
    },
    "encode_value": {
        "en": "encode: other ids, mask or labels than expected",
        "zh": "encode：下标、mask 或标签不符",
    },
    "encode_dropped_shifted": {
        "en": "encode: some texts are dropped and their labels are not, so all labels behind them shift",
        "zh": "encode：丢掉了一些文本却没有丢掉标签，后面的标签全部错位",
    },
    "encode_dropped": {
        "en": "encode: texts that reach the limit are dropped",
        "zh": "encode：达到长度上限的文本被丢掉了",
    },
    "encode_mask": {
        "en": "encode: the mask is 1 for padding too",
        "zh": "encode：填充位置的 mask 也是 1",
    },
    "encode_front": {
        "en": "encode: pads in front; [CLS] must be first",
        "zh": "encode：补在了前面；[CLS] 应在最前",
    },
    "encode_no_sep": {
        "en": "encode: [SEP] is missing",
        "zh": "encode：缺少 [SEP]",
    },
    "encode_limit": {
        "en": "encode: longer or shorter than the limit, [CLS] and [SEP] included",
        "zh": "encode：算上 [CLS] 与 [SEP] 后，长度与上限不符",
    },
    "bert_head_value": {
        "en": "bert_head: other scores than expected",
        "zh": "bert_head：得分不符",
    },
    "bert_last": {
        "en": "bert_head: reads the last position, which is padding in shorter texts",
        "zh": "bert_head：读取了最后一个位置，较短的文本在那里是填充",
    },
    "bert_sep": {
        "en": "bert_head: reads the last real position, expected [CLS]",
        "zh": "bert_head：读取了最后一个真实位置，应为 [CLS]",
    },
    "bert_mean": {
        "en": "bert_head: the mean of the states, expected that of [CLS]",
        "zh": "bert_head：取了状态的平均值，应取 [CLS] 的状态",
    },
    "bert_max": {
        "en": "bert_head: the maximum of the states, expected that of [CLS]",
        "zh": "bert_head：取了状态的最大值，应取 [CLS] 的状态",
    },
    "bert_softmax": {
        "en": "bert_head: softmax before cross entropy",
        "zh": "bert_head：在交叉熵之前做了 softmax",
    },
    "bert_activation": {
        "en": "bert_head: another activation than ReLU",
        "zh": "bert_head：激活函数应为 ReLU",
    },
}
