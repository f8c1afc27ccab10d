"""Detectors: Detoxify itself, from a folder that nobody has to unpickle."""

import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file

from evalkit.errors import DataError, UsageError
from evalkit.probes.detector import (
    convert_detector,
    find_detector,
    open_detector,
    score_texts,
)
from evalkit.probes.detector.folder import CHECKSUM, WEIGHTS
from evalkit.training.world import World
from evalkit.training.world.manners import exchange

RUDE = ["Get lost, you filthy beggar.", "You disgust me, worthless cousin."]
POLITE = ["Of course, my friend, gladly.", "Please come in and rest a while."]


def pickled(detector, path):
    """The detector as Detoxify keeps one: a pickled mapping of config and tensors."""
    config = {**open_detector(detector).config}
    args = {**config["arch"]["args"], "model_type": str(detector)}
    config["arch"] = {"args": args}
    torch.save({"config": config, "state_dict": load_file(detector / WEIGHTS)}, path)
    return path


def test_it_tells_rude_replies_from_polite_ones(detector):
    rng = World().rng("test of the detector")
    replies = [exchange(rng)[1:] for _ in range(100)]
    polite = score_texts(open_detector(detector), [p.rstrip('"') for p, _ in replies])["toxicity"]
    rude = score_texts(open_detector(detector), [r.rstrip('"') for _, r in replies])["toxicity"]
    assert max(polite) < 0.2
    assert min(rude) > 0.8


def test_scores_are_those_of_detoxify_on_its_own_kind_of_checkpoint(detector, tmp_path):
    from detoxify import Detoxify

    checkpoint = pickled(detector, tmp_path / "toxic.ckpt")
    original = Detoxify(checkpoint=str(checkpoint), huggingface_config_path=str(detector))
    texts = [*RUDE, *POLITE, "", "The bear sleeps in the mill."]
    expected = original.predict(texts)
    found = score_texts(open_detector(detector), texts)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, abs=1e-5)


def test_a_score_does_not_depend_on_its_batch(detector):
    found = open_detector(detector)
    together = score_texts(found, RUDE + POLITE)["toxicity"]
    alone = [score_texts(found, [text])["toxicity"][0] for text in RUDE + POLITE]
    assert together == pytest.approx(alone, abs=1e-5)


def test_a_pickled_checkpoint_is_refused_and_can_be_converted(detector, tmp_path):
    checkpoint = pickled(detector, tmp_path / "toxic.ckpt")
    for named in (checkpoint, tmp_path):
        with pytest.raises(DataError, match="evalkit detector convert"):
            open_detector(named)
    convert_detector(checkpoint, tmp_path / "converted", encoder=detector)
    before, after = (
        score_texts(open_detector(folder), RUDE) for folder in (detector, tmp_path / "converted")
    )
    assert after["toxicity"] == pytest.approx(before["toxicity"], abs=1e-6)


class _Harmful:
    def __reduce__(self):
        return (shutil.rmtree, ("/nonexistent-evalkit",))


def test_converting_runs_nothing_that_is_in_the_pickle(tmp_path):
    checkpoint = tmp_path / "harmful.ckpt"
    checkpoint.write_bytes(pickle.dumps({"config": _Harmful(), "state_dict": {}}))
    with pytest.raises(DataError, match="not read"):
        convert_detector(checkpoint, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_that_are_not_those_that_were_written_are_refused(detector, tmp_path):
    copy = shutil.copytree(detector, tmp_path / "copy")
    content = bytearray((copy / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (copy / WEIGHTS).write_bytes(content)
    with pytest.raises(DataError, match=CHECKSUM):
        open_detector(copy)


def test_without_weights_and_path_it_says_how_to_get_them(monkeypatch, tmp_path):
    from detoxify import detoxify

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    nowhere = (tmp_path / "toxic-00000000.ckpt").as_uri()
    monkeypatch.setitem(detoxify.MODEL_URLS, "original", nowhere)
    with pytest.raises(UsageError, match="--detector-path"):
        find_detector(None)
    assert list((tmp_path / "evalkit" / "detectors").iterdir()) == []


def test_released_weights_are_fetched_checked_and_converted_once(detector, monkeypatch, tmp_path):
    import hashlib

    from detoxify import detoxify

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    checkpoint = pickled(detector, tmp_path / "toxic.ckpt")
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:8]
    released = checkpoint.rename(tmp_path / f"toxic-{digest}.ckpt")
    monkeypatch.setitem(detoxify.MODEL_URLS, "original", released.as_uri())
    first = find_detector(None)
    released.unlink()
    assert find_detector(None).hash == first.hash
    assert score_texts(first, RUDE)["toxicity"][0] > 0.9
