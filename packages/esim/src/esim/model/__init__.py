"""The model, in the paper's parts: `esim.py` first."""
