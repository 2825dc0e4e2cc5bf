"""Code that the five dltasks packages have in common.

Nothing here imports torch; what needs torch lives in `shared.torch` and is imported only by name.
"""

__version__ = "0.1.0"
