"""Light carried along a clip: it arrives where it belongs, keeps its level, and the source stays what it is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from propagation.errors import HintError
from propagation.hdr.carrying import CarriedLight, KeyLight, MotionCarrier, log_of
from propagation.hdr.filling import gates_of, spread
from propagation.hdr.merging import fused, merge, source_share
from propagation.hdr.motion import follow_the_sure, grey8
from propagation.hdr.response import Pair, estimate_response
from propagation.hdr.sequence import carry_light
from propagation.spool import Spool
from tests.propagation.hdr.scenes import HEIGHT, WIDTH, camera, moving, scene, view


@pytest.fixture(scope="module")
def walked():  # type: ignore[no-untyped-def]
    """(pictures, light, exposures, response, what the first frame's key carries to the others)."""
    pictures, light, exposures = moving()
    response = estimate_response([Pair(pictures[0], light[0])])
    key = KeyLight(log_of(light[0]), response)
    return pictures, light, exposures, response, list(MotionCarrier().walk(pictures.__getitem__, range(1, 5), 0, key))


def test_highlights_arrive_where_they_have_moved_to(walked) -> None:  # type: ignore[no-untyped-def]
    pictures, light, exposures, response, carried = walked
    for each in carried:
        clipped = (pictures[each.index] >= 250).all(axis=-1)
        assert clipped.sum() > 100
        merged = merge(pictures[each.index], response, each.log_exposure, each.log_light)
        truth = log_of(light[each.index])
        ours = np.sqrt(np.mean((merged - truth)[clipped] ** 2))
        held = np.sqrt(np.mean((log_of(light[0]) - truth)[clipped] ** 2))
        at_white = np.sqrt(np.mean((response.log_light(pictures[each.index]) - truth)[clipped] ** 2))
        assert ours < 0.05
        assert ours < 0.5 * min(held, at_white)


def test_exposure_is_followed(walked) -> None:  # type: ignore[no-untyped-def]
    *_, exposures, _, carried = walked
    found = [10**each.log_exposure for each in carried]
    np.testing.assert_allclose(found, exposures[1:], rtol=0.01)


def test_what_enters_the_picture_comes_from_outside_the_key(walked) -> None:  # type: ignore[no-untyped-def]
    carried = walked[-1][-1]
    wanted = np.arange(WIDTH) + 4 * 1.5
    np.testing.assert_allclose(np.median(carried.positions[..., 0], axis=0), wanted, atol=1.0)
    assert carried.error[8:-8, -4:].min() > 0.3, "nobody knows what is there"


def test_well_exposed_pixels_are_the_source_alone_where_its_noise_is_kept(walked) -> None:  # type: ignore[no-untyped-def]
    pictures, _, _, response, carried = walked
    each = carried[-1]
    nonsense = np.full_like(each.log_light, 7.0)
    merged = merge(pictures[each.index], response, each.log_exposure, nonsense, keep_noise=True)
    own = response.log_light(pictures[each.index]) - np.float32(each.log_exposure)
    table = source_share(256, response)
    untouched = np.stack([table[pictures[each.index][..., c], c] for c in range(3)], axis=-1) == 1
    assert untouched.mean() > 0.5
    np.testing.assert_array_equal(merged[untouched], own[untouched])


def test_dark_pixels_lose_their_rounding_but_stay_by_the_source() -> None:
    pictures, light, _ = moving(frames=1)
    response = estimate_response([Pair(pictures[0], light[0])])
    dim = light[0] * np.float32(0.01)
    codes = camera(dim)
    dark = (codes > 3) & (codes < 8)
    assert dark.mean() > 0.05
    merged = merge(codes, response, 0.0, log_of(dim))
    own = response.log_light(codes)
    errors = [np.sqrt(np.mean((x - log_of(dim))[dark] ** 2)) for x in (merged, own)]
    assert errors[0] < 0.5 * errors[1]
    far = merge(codes, response, 0.0, log_of(dim) + np.float32(1.0))
    assert np.abs(far - own)[dark].max() <= (response.curve[10] - response.curve[7]).max() + 0.3


def test_clipped_pixels_are_never_darker_than_white(walked) -> None:  # type: ignore[no-untyped-def]
    pictures, _, _, response, carried = walked
    each = carried[0]
    dark = np.full_like(each.log_light, -3.0)
    merged = merge(pictures[each.index], response, each.log_exposure, dark)
    clipped = pictures[each.index] >= 250
    white = response.curve[250] - each.log_exposure
    assert (merged >= white.astype(np.float32) - 1e-5)[clipped].all()


def test_flow_without_texture_follows_what_is_sure() -> None:
    y, x = np.mgrid[:60, :80].astype(np.float32)
    true = np.stack([2 + 0.02 * x - 0.01 * y, -1 + 0.01 * x + 0.02 * y], axis=-1)
    flow, sure = true.copy(), np.ones((60, 80), np.float32)
    flow[20:40, 30:50], sure[20:40, 30:50] = 9.0, 0.0
    followed, model = follow_the_sure(flow, sure)
    np.testing.assert_allclose(followed, true, atol=0.05)
    noise = np.random.default_rng(0).normal(0, 3, (60, 80, 2)).astype(np.float32)
    blind = np.zeros((60, 80), np.float32)
    np.testing.assert_allclose(follow_the_sure(noise, blind)[0], 0, atol=1e-6)
    # Where nothing is seen the motion goes on as it was.
    np.testing.assert_allclose(follow_the_sure(noise, blind, model)[0], true, atol=0.1)


def test_spreading_gives_weighted_means_and_stops_at_closed_gates() -> None:
    grey = np.full((20, 30), 255, np.uint8)
    passable = np.zeros((20, 30), bool)
    passable[5:15, 5:25] = True
    values = np.zeros((20, 30, 3), np.float32)
    weight = np.zeros((20, 30), np.float32)
    values[5:15, 5], weight[5:15, 5] = 2.0, 1.0
    means, amount = spread(values, weight, gates_of(grey, passable))
    np.testing.assert_allclose(means[6:14, 6:24], 2.0, rtol=1e-5)
    assert amount[10, 23] > 0
    assert not amount[:, 26:].any()


def test_between_two_keys_both_speak_and_the_nearer_one_louder() -> None:
    pictures, light, _ = moving()
    response = estimate_response([Pair(pictures[n], light[n]) for n in (0, 4)])
    keys = {n: KeyLight(log_of(light[n]), response) for n in (0, 4)}
    found = dict(carry_light(pictures.__getitem__, keys, 0, 5, carrier=MotionCarrier()))
    assert list(found) == [0, 1, 2, 3, 4]
    assert found[0] == found[4] == ()
    assert [side.key for side in found[1]] == [0, 4]
    both, _ = fused(found[2], (HEIGHT, WIDTH), [keys[side.key].log_light for side in found[2]])
    alone = found[2][0].log_light
    truth = log_of(light[2])
    assert np.sqrt(np.mean((both - truth) ** 2)) < np.sqrt(np.mean((alone - truth) ** 2))


def test_shots_are_borders_and_ranges_are_kept() -> None:
    pictures, light, _ = moving()
    response = estimate_response([Pair(pictures[0], light[0])])
    keys = {1: KeyLight(log_of(light[1]), response)}
    cut = {3}.__contains__
    found = [n for n, _ in carry_light(pictures.__getitem__, keys, 0, 5, carrier=MotionCarrier(), is_cut=cut)]
    assert found == [0, 1, 2]
    assert [n for n, _ in carry_light(pictures.__getitem__, keys, 2, 3, carrier=MotionCarrier())] == [2]


class Steady:
    """A carrier that claims an exposure, as a network might."""

    def __init__(self, exposures: dict[int, float]) -> None:
        self._exposures = exposures

    def walk(self, frame_of, order, start, key, steps=None):  # type: ignore[no-untyped-def]
        for n in order:
            frame_of(n)
            error = np.ones(key.log_light.shape[:2], np.float32)
            yield CarriedLight(n, start, key.log_light, error, None, self._exposures[start])


def test_keys_that_contradict_each_other_are_refused() -> None:
    pictures, light, _ = moving()
    response = estimate_response([Pair(pictures[0], light[0])])
    keys = {n: KeyLight(log_of(light[n]), response) for n in (0, 4)}
    with pytest.raises(HintError, match=r"keys of frames 0 and 4 contradict each other.*2\.0 stops"):
        list(carry_light(pictures.__getitem__, keys, 0, 5, carrier=Steady({0: 0.0, 4: 0.602})))
    near = list(carry_light(pictures.__getitem__, keys, 0, 5, carrier=Steady({0: 0.0, 4: 0.2})))
    exposures = [fused(sides, (HEIGHT, WIDTH), [light[0]] * 2)[1] for _, sides in near if sides]
    np.testing.assert_allclose(exposures, [0.05, 0.1, 0.15], atol=1e-6)


def test_deeper_frames_are_carried_too() -> None:
    pictures, light, _ = moving(frames=2)
    deep = [picture.astype(np.uint16) * 257 for picture in pictures]
    response = estimate_response([Pair(deep[0], light[0])])
    key = KeyLight(log_of(light[0]), response)
    (eight,) = MotionCarrier().walk(pictures.__getitem__, [1], 0, key)
    (sixteen,) = MotionCarrier().walk(deep.__getitem__, [1], 0, key)
    np.testing.assert_allclose(sixteen.log_light, eight.log_light, atol=0.02)
    np.testing.assert_array_equal(grey8(deep[0]), grey8(pictures[0]))


def test_a_key_that_is_shifted_is_followed() -> None:
    whole = scene()
    pictures = [camera(view(whole, 1.5 * n, 0)) for n in range(2)]
    aside = view(whole, -1.0, -2.0)
    response = estimate_response([Pair(pictures[0], view(whole, 0, 0))])
    shifted = KeyLight(log_of(aside), response, shift=(1.0, 2.0))
    (carried,) = MotionCarrier().walk(pictures.__getitem__, [1], 0, shifted)
    clipped = (pictures[1] >= 250).all(axis=-1)
    truth = log_of(view(whole, 1.5, 0))
    assert np.sqrt(np.mean((carried.log_light - truth)[clipped] ** 2)) < 0.04


def test_detail_of_the_key_survives_a_smaller_work_size() -> None:
    whole = cv2.resize(scene(), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    stripes = (np.arange(whole.shape[1]) % 3 == 0)[None, :, None]  # finer than work size holds
    whole = np.maximum(whole, 0.01) * np.where(stripes, np.float32(2.0), np.float32(1.0))
    full = [np.ascontiguousarray(whole[40:168, 60 + 2 * n : 252 + 2 * n]) for n in range(2)]
    small = [cv2.resize(light, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for light in full]
    response = estimate_response([Pair(camera(small[0]), small[0])])
    frames = [camera(light) for light in small]
    (carried,) = MotionCarrier().walk(frames.__getitem__, [1], 0, KeyLight(log_of(small[0]), response))
    found, _ = fused([carried], (2 * HEIGHT, 2 * WIDTH), [log_of(full[0])])
    plain = cv2.resize(carried.log_light, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_LINEAR)
    errors = [np.sqrt(np.mean((x - log_of(full[1])) ** 2)) for x in (found, plain)]
    assert errors[0] < 0.6 * errors[1]


def test_highlights_under_a_graded_white_are_carried_too() -> None:
    pictures, light, _ = moving(frames=2, drift=1.0)
    graded = [np.minimum(picture, 230) for picture in pictures]
    response = estimate_response([Pair(graded[0], light[0])])
    (carried,) = MotionCarrier().walk(graded.__getitem__, [1], 0, KeyLight(log_of(light[0]), response))
    merged = merge(graded[1], response, carried.log_exposure, carried.log_light)
    clipped = (graded[1] == 230).all(axis=-1)
    assert np.sqrt(np.mean((merged - log_of(light[1]))[clipped] ** 2)) < 0.05


def test_a_way_back_takes_the_motion_of_the_way_there() -> None:
    pictures, light, _ = moving()
    response = estimate_response([Pair(pictures[0], light[0])])
    keys = {n: KeyLight(log_of(light[n]), response) for n in (0, 4)}
    alone = list(MotionCarrier().walk(pictures.__getitem__, range(1, 4), 0, keys[0]))
    with Spool() as steps:
        list(MotionCarrier().walk(pictures.__getitem__, range(3, 0, -1), 4, keys[4], steps))
        assert sorted(n for n in range(5) if n in steps) == [1, 2, 3]
        known = steps.take(1)
        np.testing.assert_allclose(known[0].mean(axis=(0, 1)), (-1.5, -0.5), atol=0.3)  # 1 to 2, as the camera pans
        shared = list(MotionCarrier().walk(pictures.__getitem__, range(1, 4), 0, keys[0], steps))
    for one, other in zip(alone, shared, strict=True):
        assert one.positions is not None
        assert other.positions is not None
        assert np.quantile(np.abs(one.positions - other.positions), 0.99) < 0.05
