"""The one vocabulary: every other package speaks in these types and names.

Nothing here does input or output, and nothing here imports another part of Tandem.
"""
