"""Tokenizers, vocabulary, word vectors and batching."""
