"""The language models, in the papers' parts. Read `base.py` first, then one family, then `softmax.py`.

`recurrent.py` (RNN, GRU, LSTM, AWD-LSTM), `transformer.py` with `attention.py`, and `convolution.py` are the families;
`build.py` picks one from a configuration and `trained.py` reads one from a run.
"""
