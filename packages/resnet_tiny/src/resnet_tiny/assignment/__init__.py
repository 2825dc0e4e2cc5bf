"""The coursework as students get it: the edition with its solution, the checks, the classic mistakes."""
