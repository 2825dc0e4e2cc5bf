"""The three labels and their positions in a model's scores (the order of the Hugging Face copies of SNLI)."""

LABELS = ("entailment", "neutral", "contradiction")
ENTAILMENT, NEUTRAL, CONTRADICTION = range(3)
