"""word2vec's continuous bag of words, from numpy up."""

__version__ = "0.1.0"
