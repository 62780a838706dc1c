"""What can keep a comparison from being made. A message is one sentence with the next step."""


class ComparatorError(ValueError):
    """The options, the run or the files cannot be compared as asked."""


class SplitError(Exception):
    """The causes of the difference do not add up to it: a fault of this program or of its input."""
