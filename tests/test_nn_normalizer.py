"""The normaliser that travels with a policy."""

import copy
import json
import pickle

import numpy as np
import pytest

from rfx.errors import CodecError, RfxError
from rfx.nn import ObservationNormalizer
from rfx.nn.legacy import legacy_normalizer

DATA = np.random.default_rng(4).normal([1.0, -2.0, 5.0], [0.1, 3.0, 1.0], (50, 3))


@pytest.fixture
def learnt():
    made = ObservationNormalizer(3, clip=1.5, prior_count=0.0)
    made.update(DATA[:49])
    made.update(DATA[49])
    return made


def test_it_computes_what_it_says(learnt):
    want = np.clip((DATA - DATA.mean(0)) / np.sqrt(DATA.var(0) + 1e-8), -1.5, 1.5)
    np.testing.assert_allclose(learnt.normalize(DATA), want, rtol=1e-9)
    assert learnt.normalize(DATA.astype(np.float32)).dtype == np.float32
    assert learnt.count == 50
    np.testing.assert_allclose(learnt.mean, DATA.mean(0))
    np.testing.assert_allclose(learnt.var, DATA.var(0))


def test_calls_learn_until_frozen(learnt):
    learnt(DATA)
    assert learnt.count == 100
    learnt.frozen = True
    learnt(DATA)
    assert learnt.count == 100
    assert "frozen=True" in repr(learnt)


@pytest.mark.parametrize("clip", [None, 1.5])
def test_it_survives_json_pickle_and_copies(clip):
    made = ObservationNormalizer(3, clip=clip)
    made.update(DATA)
    text = made.to_json()
    for found in (
        ObservationNormalizer.from_json(text),
        ObservationNormalizer.from_json(text.encode()),
        ObservationNormalizer.from_dict(made.to_dict()),
        pickle.loads(pickle.dumps(made)),
        copy.deepcopy(made),
    ):
        np.testing.assert_allclose(found.normalize(DATA), made.normalize(DATA), rtol=1e-12)
        assert (found.clip, found.epsilon, found.count) == (clip, 1e-8, 50)
    assert ObservationNormalizer.from_json(text).frozen


def test_a_loaded_one_goes_on_learning(learnt):
    found = ObservationNormalizer.from_dict(learnt.to_dict())
    for one in (found, learnt):
        one.update(2 * DATA)
    np.testing.assert_allclose(found.var, learnt.var, rtol=1e-12)


def test_one_without_samples_survives():
    made = ObservationNormalizer(2)
    found = ObservationNormalizer.from_dict(made.to_dict())
    np.testing.assert_allclose(found.normalize([[1.0, -3.0]]), made.normalize([[1.0, -3.0]]))
    assert found.count == 0


@pytest.mark.parametrize(
    "change",
    [
        {"mean": [0.0, 1.0]},
        {"var": [-1.0, 1.0, 1.0]},
        {"mean": [None, 1.0, 1.0]},
        {"epsilon": 0},
        {"clip": -1.0},
        {"count": -1},
        {"count": "many"},
        {"format": "rfx-policy"},
        {"surprise": 1},
    ],
)
def test_statistics_that_cannot_be_are_refused(learnt, change):
    with pytest.raises(RfxError):
        ObservationNormalizer.from_dict(learnt.to_dict() | change)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"mean": NaN}', 7])
def test_text_that_is_no_normaliser_is_refused(text):
    with pytest.raises(CodecError):
        ObservationNormalizer.from_json(text)


def test_an_older_one_divides_by_the_same_number():
    old = {"state_dim": 2, "clip": 5.0, "eps": 0.1, "mean": [1.0, 2.0], "var": [0.0, 9.0], "count": 12}
    found = ObservationNormalizer.from_dict(legacy_normalizer(json.loads(json.dumps(old))))
    want = np.clip((np.array([[1.3, 4.0]]) - [1.0, 2.0]) / (np.sqrt([0.0, 9.0]) + 0.1), -5, 5)
    np.testing.assert_allclose(found.normalize([[1.3, 4.0]]), want, rtol=1e-6)


def test_bad_observations_change_nothing(learnt):
    before = learnt.to_dict()
    for bad in (np.zeros((2, 4)), [[np.nan, 0, 0]], "abc"):
        with pytest.raises(RfxError):
            learnt(bad)
        with pytest.raises(RfxError):
            learnt.update(bad)
    assert learnt.to_dict() == before
