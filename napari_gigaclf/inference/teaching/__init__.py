"""A small head learnt from clicks on features that a run streamed: examples, learning, checking, painting, saving."""
