"""The model: `resnet.py` first; how it is stored and read in `trained.py`, pretrained weights in `weights.py`."""
