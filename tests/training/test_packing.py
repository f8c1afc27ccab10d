"""Packing: whole documents, all of them, little waste."""

from random import Random

from evalkit.training.packing import pack


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
