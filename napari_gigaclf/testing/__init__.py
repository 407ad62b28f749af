"""For tests here and elsewhere: the slide contract, the whole-image oracle, Hypothesis strategies."""
