"""Leaves pairs out until, on average, partners differ in nothing that is measured (cardinality matching, greedily).

Near pairs are not enough: where every tumour tile is a trace bluer than its partner, a lesion of fifty is clearly
bluer. What a linear rule can use is the mean difference m = (1/P) sum_i d_i of partners; this removes, one at a time,
the pair whose removal leaves the shortest sum (Zubizarreta 2012 does the like by integer programming).
"""

import numpy as np
from numpy.typing import NDArray


def balanced(differences: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return which pairs to keep, ascending.

    Parameters
    ----------
    differences
        (P, D): what a tumour tile has more than its partner, in units that make the columns comparable.
    count
        How many to keep.
    """
    keep = np.ones(len(differences), bool)
    total = differences.sum(0)
    lengths = np.square(differences).sum(1)
    for _ in range(len(differences) - count):
        # |S - d|^2 - |S|^2 = |d|^2 - 2 d S
        change = np.where(keep, lengths - 2 * (differences @ total), np.inf)
        worst = int(np.argmin(change))
        keep[worst] = False
        total -= differences[worst]
    return np.flatnonzero(keep)
