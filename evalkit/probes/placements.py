"""The area under the ROC curve as a mean over documents."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def auroc_parts(positives: Sequence[float], negatives: Sequence[float]) -> NDArray[np.float64]:
    """One number a document, whose mean is the AUROC and whose spread is its error.

    Each document brings one positive and one negative score. Its number is the share of all
    negatives below its positive, plus the share of all positives above its negative, less the
    AUROC; ties count half.

    Source: DeLong, DeLong and Clarke-Pearson 1988, the structural components, for positives and
    negatives that belong together as in Obuchowski 1997.
    """
    from scipy.stats import rankdata  # takes a second to import

    above, below = np.asarray(positives, float), np.asarray(negatives, float)
    n = len(above)
    ranks = rankdata(np.concatenate([above, below]))
    of_positives = (ranks[:n] - rankdata(above)) / n
    of_negatives = 1 - (ranks[n:] - rankdata(below)) / n
    parts: NDArray[np.float64] = of_positives + of_negatives - of_positives.mean()
    return parts
