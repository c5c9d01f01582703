"""Colours of a JPEG with a profile, in the view contract, against LittleCMS by Pillow's ImageCms."""
import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D65, D50_XY = (0.3127, 0.3290), (0.3457, 0.3585)
REC709 = [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)]
P3 = [(0.680, 0.320), (0.265, 0.690), (0.150, 0.060)]
ADOBE = [(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)]
PROPHOTO = [(0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)]


def xyz(x, y):
    return np.array([x / y, 1, (1 - x - y) / y])


def columns(primaries, white):
    """The matrix from linear light to XYZ under D50 (Bradford), as a profile's three columns."""
    m = np.stack([xyz(*p) for p in primaries], 1)
    m = m * np.linalg.solve(m, xyz(*white))
    scale = (BRADFORD @ D50) / (BRADFORD @ xyz(*white))
    return np.linalg.inv(BRADFORD) @ np.diag(scale) @ BRADFORD @ m


def s15f16(*values):
    return struct.pack(f'>{len(values)}i', *(round(v * 65536) for v in values))


def para(kind, *parameters):
    return b'para\0\0\0\0' + struct.pack('>HH', kind, 0) + s15f16(*parameters)


def curv(*values):
    return b'curv\0\0\0\0' + struct.pack(f'>I{len(values)}H', len(values), *values)


def srgb_light(v):
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


SRGB_CURVE = para(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def profile(primaries, white, curve, version=4, more=()):
    m = columns(primaries, white)
    tags = [(f'{c}XYZ'.encode(), b'XYZ \0\0\0\0' + s15f16(*m[:, i])) for i, c in enumerate('rgb')]
    tags += [(f'{c}TRC'.encode(), curve) for c in 'rgb'] + [(b'wtpt', b'XYZ \0\0\0\0' + s15f16(*D50))]
    tags += [(b'cprt', b'text\0\0\0\0none\0'), (b'desc', b'desc\0\0\0\0\0\0\0\2x\0' + bytes(79)), *more]
    table, data, at = struct.pack('>I', len(tags)), b'', 128 + 4 + 12 * len(tags)
    for name, value in tags:
        table += name + struct.pack('>II', at + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    size = at + len(data)
    header = (struct.pack('>I4sI', size, b'lcms', version << 24) + b'mntrRGB XYZ ' + bytes(12) + b'acsp' + bytes(28)
              + s15f16(*D50))
    return header.ljust(128, b'\0') + table + data


# Black stays black in each: LittleCMS moves another to where it is, for the v4 perceptual intent.
PROFILES = {
    'Display P3': profile(P3, D65, SRGB_CURVE),
    'Adobe RGB': profile(ADOBE, D65, curv(round(2.19921875 * 256)), 2),
    'ProPhoto RGB': profile(PROPHOTO, D50_XY, curv(round(1.8 * 256)), 2),
    'linear': profile(REC709, D65, curv()),
    'gamma': profile(P3, D65, para(0, 2.2)),
    'BT.709': profile(REC709, D65, para(3, 1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)),
    'kind 1': profile(P3, D65, para(1, 2.2, 1.05, -0.05)),
    'kind 2': profile(P3, D65, para(2, 2.2, 0.95, 0.05, -0.05 ** 2.2)),
    'kind 4': profile(P3, D65, para(4, 2.2, 0.9, 0.05, 0.1, 0.1, 0.02, 0)),
    'short table': profile(P3, D65, curv(0, 3000, 14000, 35000, 65535)),
    'long table': profile(P3, D65, curv(*np.round(srgb_light(np.linspace(0, 1, 4096)) * 65535).astype(int)), 2),
    'in pieces': profile(P3, D65, SRGB_CURVE, more=[(b'priv', b'text\0\0\0\0' + bytes(200000))]),
}
SRGB = {
    'sRGB v4': profile(REC709, D65, SRGB_CURVE),
    'sRGB v2': profile(REC709, D65, curv(*np.round(srgb_light(np.linspace(0, 1, 1024)) * 65535).astype(int)), 2),
    'sRGB of LittleCMS': ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes(),
}


def colours():
    """All over the cube, in blocks that JPEG keeps."""
    rng = np.random.default_rng(1)
    return Image.fromarray(rng.integers(0, 256, (40, 40, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1))


def view(tool, path, side=0):
    head, _, px = tool('decode', path, 'view', side, 1).partition(b'\n')
    w, h = map(int, head.split())
    return np.frombuffer(px, np.uint8).reshape(h, w, 3).astype(int)


def seen(tool, tmp_path, im, icc):
    """(what we see, what is stored) of im saved with a profile."""
    path = tmp_path / 'a.jpg'
    im.save(path, quality=100, subsampling=0, icc_profile=icc)
    return view(tool, path), Image.open(path)


def by_littlecms(im):
    icc = io.BytesIO(im.info['icc_profile'])
    return np.asarray(ImageCms.profileToProfile(im, icc, ImageCms.createProfile('sRGB'))).astype(int)


def close(got, want):
    off = np.abs(got - want).max(2)
    return (off > 2).mean() <= 0.001, f'{(off > 2).mean():.3%} beyond two levels, {off.max()} at most'


@pytest.mark.parametrize('name', PROFILES)
def test_as_littlecms(tool, tmp_path, name):
    got, stored = seen(tool, tmp_path, colours(), PROFILES[name])
    want = by_littlecms(stored)
    assert np.abs(want - np.asarray(stored)).max() > 8  # there is something to do
    ok, how = close(got, want)
    assert ok, how


@pytest.mark.parametrize('name', SRGB)
def test_srgb_stays(tool, tmp_path, name):
    got, stored = seen(tool, tmp_path, colours(), SRGB[name])
    assert np.abs(by_littlecms(stored) - got).max() <= 2
    assert np.array_equal(got, np.asarray(stored))


def test_photographs(tool, shared):
    n_changed = 0
    for path in sorted((shared / 'photos').glob('*.jpg')):
        im = Image.open(path)
        if 'icc_profile' not in im.info or im.mode != 'RGB':
            continue
        got = view(tool, path)
        ok, how = close(got, by_littlecms(im))
        n_changed += not np.array_equal(got, np.asarray(im))
        assert ok or b'A2B0' in im.info['icc_profile'][:600], f'{path.name}: {how}'
    assert n_changed


def test_before_or_after_shrinking(tool, tmp_path):
    """Shrunk first, for speed; of a smooth picture the difference cannot be seen."""
    y, x = np.mgrid[0:600, 0:800]
    im = Image.fromarray(np.stack([x / 3.2, y / 2.4, (x + y) / 5.6], -1).astype(np.uint8))
    path = tmp_path / 'a.jpg'
    im.save(path, quality=95, icc_profile=PROFILES['Display P3'])
    small = view(tool, path, 70)
    whole = view(tool, path).astype(np.uint8)
    assert small.shape == (150, 200, 3)
    assert np.abs(np.asarray(Image.fromarray(whole).reduce(4)) - small).mean() < 1


def test_what_is_no_rgb_stays(tool, tmp_path):
    for mode in ('L', 'CMYK'):
        got, stored = seen(tool, tmp_path, colours().convert(mode), PROFILES['Display P3'])
        assert np.array_equal(got, np.asarray(stored.convert('RGB')))


def test_broken_profiles_change_nothing_or_colours(tool, tmp_path):
    """Any profile, one image: never a failure. Cut anywhere, it is as if it were not there."""
    whole = PROFILES['Display P3']
    rng = np.random.default_rng(2)
    im = colours().resize((16, 16))
    for i in range(60):
        if i % 2:
            icc = whole[:int(rng.integers(1, len(whole) - 200))]
        else:
            icc = bytearray(whole)
            for at in rng.integers(0, len(icc), 3):
                icc[at] = int(rng.integers(256))
        got, stored = seen(tool, tmp_path, im, bytes(icc))
        assert got.shape == (16, 16, 3)
        assert i % 2 == 0 or np.array_equal(got, np.asarray(stored))
