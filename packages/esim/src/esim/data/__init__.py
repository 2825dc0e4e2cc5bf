"""From files to batches of word ids."""
