"""Packing: whole documents, all of them, little waste; or one stream, nothing left out."""

from random import Random

import numpy as np
import pytest

from evalkit.training.packing import Stream, pack


def test_documents_stay_whole_and_none_is_lost():
    rng = Random(0)
    documents = [[index] * rng.randint(1, 100) for index in range(2000)]
    sequences = list(pack(documents, 128))
    assert max(map(len, sequences)) <= 128
    runs = []
    for sequence in sequences:
        for index in dict.fromkeys(sequence):
            runs.append([index] * sequence.count(index))
    assert sorted(runs) == documents


def test_little_is_wasted():
    rng = Random(1)
    documents = [[1] * rng.randint(10, 80) for _ in range(5000)]
    sequences = list(pack(documents, 128))
    assert sum(map(len, sequences)) / (128 * len(sequences)) > 0.95


def test_only_a_document_longer_than_a_sequence_is_cut():
    assert list(pack([[7] * 20, [8] * 3], 16)) == [[7] * 16, [8] * 3]


class Documents:
    """Stands for a prepared corpus: documents told apart by their ids."""

    def __init__(self, lengths):
        self.lengths = np.array(lengths)
        self.tokens = int(self.lengths.sum())

    def __len__(self):
        return len(self.lengths)

    def __getitem__(self, index):
        return np.arange(self.lengths[index]) + 1000 * index

    def order(self, seed, round_=0):
        return np.random.default_rng([seed, round_]).permutation(len(self))


@pytest.mark.parametrize("lengths", [[5, 1, 40, 7, 3], [3], [16, 16]])
def test_a_stream_is_the_documents_of_every_round_in_its_order(lengths):
    documents = Documents(lengths)
    stream = Stream(documents, 16, seed=4)
    rounds = 1 + 16 * 12 // documents.tokens
    whole = np.concatenate(
        [documents[i] for round_ in range(rounds) for i in documents.order(4, round_)]
    )
    for index in (11, 0, 3, 7, 3):  # any place, in any order
        assert stream[index].tolist() == whole[16 * index : 16 * (index + 1)].tolist()
