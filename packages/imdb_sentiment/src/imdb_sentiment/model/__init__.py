"""The classifiers. Read `lstm.py` first, the LSTM from its equations, then `network.py`, then one family.

`recurrent.py` (LSTM), `convolution.py` (CNN) and `encoder.py` with `low_rank.py` (pretrained encoders, LoRA) are built
on `network.py`: word vectors, pooling, the head. `linear.py` with `ngrams.py` and `word_clusters.py` (NB-SVM, TF-IDF)
needs no network. `base.py` is the interface of all; `build.py` makes a network from a configuration, `initial.py` from
a trained run, and `trained.py` reads a model from a run folder.
"""
