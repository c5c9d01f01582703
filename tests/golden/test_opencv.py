"""Scaling and warping against OpenCV: not one byte may differ."""
import subprocess

import cv2
import numpy as np
import pytest


def run(build, tmp_path, pixels, op, *args):
    """The images that pixels_tool makes of these pixels."""
    path = tmp_path / 'raw'
    path.write_bytes(b'RGB %d %d\n' % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes())
    out = subprocess.run([build / 'tests/pixels_tool', op, path, *map(str, args)], capture_output=True,
                         check=True, timeout=120).stdout
    while out:
        head, _, out = out.partition(b'\n')
        w, h = map(int, head.split())
        yield np.frombuffer(out[:w * h * 3], np.uint8).reshape(h, w, 3)
        out = out[w * h * 3:]


def noise(rng, w, h):
    return rng.integers(0, 256, (h, w, 3), dtype=np.uint8)


@pytest.mark.parametrize('case', range(12))
def test_resize(build, tmp_path, case):
    rng = np.random.default_rng(case)
    w, h = [(1, 1), (1, 90), (77, 1), (64, 48)][case] if case < 4 else (int(v) for v in rng.integers(2, 1500, 2))
    pixels = noise(rng, w, h)
    sizes = [(w, h), (1, 1), (2 * w, 2 * h), (max(1, w // 2), max(1, h // 2)), (640, max(1, 640 * h // w))]
    sizes += [tuple(int(v) for v in rng.integers(1, 900, 2)) for _ in range(6)]
    got = run(build, tmp_path, pixels, 'linear', *(v for size in sizes for v in size))
    for size, image in zip(sizes, got, strict=True):
        assert np.array_equal(image, cv2.resize(pixels, size)), f'{w} x {h} to {size}'


@pytest.mark.parametrize('case', range(20))
def test_warp(build, tmp_path, case):
    """Similarities as faces are aligned by, any matrix, and those that cannot be inverted."""
    rng = np.random.default_rng(case)
    pixels = noise(rng, *(int(v) for v in rng.integers(1, 500, 2)))
    scale, turn = np.exp(rng.uniform(-4, 3)), rng.uniform(-4, 4)
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    m = np.array([[c, -s, 0], [s, c, 0]]) if case < 10 else rng.normal(0, 1, (2, 3))
    m[:, 2] = rng.uniform(-100, 100, 2)
    if case == 10:
        m[1] = m[0]
    m = m.astype(np.float32)
    got, = run(build, tmp_path, pixels, 'warp', 112, 100, *(repr(float(v)) for v in m.ravel()))
    want = cv2.warpAffine(pixels, m, (112, 100))
    assert np.array_equal(got, want), f'{m}: {np.count_nonzero(got != want)} bytes differ'


@pytest.mark.parametrize('value', ['nan', 'inf', '1e300', '-1e18', '1e-300'])
def test_warp_from_nowhere(build, tmp_path, value):
    """OpenCV's answer is undefined here; ours comes back."""
    pixels = noise(np.random.default_rng(1), 5, 5)
    for at in range(6):
        m = ['1', '0', '0', '0', '1', '0']
        m[at] = value
        got, = run(build, tmp_path, pixels, 'warp', 9, 9, *m)
        assert got.shape == (9, 9, 3)
