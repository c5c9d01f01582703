"""Pixels and tensors against Pillow and numpy: not one byte may differ.

Pillow's wheel carries a newer libjpeg-turbo than the system's; that they agree is part of what is
tested here."""
import io
import itertools
import subprocess

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

FILTERS = {'nearest': Image.Resampling.NEAREST, 'box': Image.Resampling.BOX,
           'bilinear': Image.Resampling.BILINEAR, 'hamming': Image.Resampling.HAMMING,
           'bicubic': Image.Resampling.BICUBIC, 'lanczos': Image.Resampling.LANCZOS}
LEVELS = ['c', 'avx2', 'avx512vnni', 'neon', '']  # of FOVEA_SIMD; one that the CPU lacks is as 'c'
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)


@pytest.fixture(scope='module')
def make_jpeg(build):
    def run(pixels, colour, quality=90, sampling='1x1', flags='-'):
        h, w = pixels.shape[:2]
        return subprocess.run([build / 'tests/jpeg_tool', str(w), str(h), colour, str(quality), sampling, flags],
                              input=pixels.tobytes(), capture_output=True, check=True, timeout=120).stdout
    return run


def images(output):
    """The images of pixels_tool's output, as arrays."""
    while output:
        head, _, rest = output.partition(b'\n')
        w, h = map(int, head.split())
        yield np.frombuffer(rest[:w * h * 3], np.uint8).reshape(h, w, 3)
        output = rest[w * h * 3:]


def picture(rng, w, h, channels=3):
    """Smooth shapes with edges and some noise: what a codec and a filter both have work with."""
    y, x = np.mgrid[0:h, 0:w]
    waves = [np.sin(x / rng.uniform(2, 40) + rng.uniform(0, 6)) * np.cos(y / rng.uniform(2, 40)) * 100 + 128
             + (x * rng.uniform(-1, 1) + y > rng.uniform(0, h)) * rng.uniform(-90, 90) for _ in range(channels)]
    return np.clip(np.stack(waves, -1) + rng.normal(0, 6, (h, w, channels)), 0, 255).astype(np.uint8)


def raw_file(folder, pixels):
    path = folder / 'raw'
    path.write_bytes(b'RGB %d %d\n' % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes())
    return path


def differs(got, want):
    if got.shape != want.shape:
        return f'{got.shape} for {want.shape}'
    wrong = int((got != want).sum())
    return wrong and f'{wrong} of {want.size} differ, by up to {np.abs(got.astype(float) - want).max()}'


def pillow(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert('RGB'))


def same_as_pillow(tool, tmp_path, data):
    path = tmp_path / 'a.jpg'
    path.write_bytes(data)
    wrong = differs(next(images(tool('decode', path))), pillow(data))
    assert not wrong, wrong


def some_margins(rng, w, h):
    """Left, top, right, bottom: none, parts of a pixel, whole pixels, up to most of the picture."""
    most = np.array([w, h, w, h]) * rng.choice([0.49, 1 / max(w, h, 3)])
    margins = rng.uniform(0, most).astype(np.float32) * rng.integers(0, 2, 4)
    return tuple(map(float, np.trunc(margins) if rng.integers(3) == 0 else margins))


@pytest.mark.parametrize('level', LEVELS)
def test_resize(tool, tmp_path, level):
    """Random sizes, all filters, noise that reaches both clamps; very thin and very wide ones too."""
    rng = np.random.default_rng(5)
    sides = [1, 2, 3, 7, 31, 64, 100, 333, 640, 1500]
    for i in range(25):
        w, h = rng.choice(sides, 2)
        pixels = rng.choice([0, 255], (h, w, 3)).astype(np.uint8) if i % 3 == 0 else picture(rng, w, h)
        asked = [(*map(int, rng.integers(1, 400, 2)), name) for name in FILTERS]
        asked += [(w, 50, 'bicubic'), (50, h, 'bicubic'), (w, h, 'lanczos')]
        asked = [(*a, 0, 0, 0, 0) for a in asked] + [(*a, *some_margins(rng, w, h)) for a in asked]
        output = tool('resize', raw_file(tmp_path, pixels), *itertools.chain(*asked), level=level)
        for (to_w, to_h, name, *margins), got in zip(asked, images(output), strict=True):
            box = (*margins[:2], float(w - np.float32(margins[2])), float(h - np.float32(margins[3])))
            want = np.asarray(Image.fromarray(pixels).resize((int(to_w), int(to_h)), FILTERS[name], box))
            wrong = differs(got, want)
            assert not wrong, f'{w} x {h} to {to_w} x {to_h}, {name}, less {margins}: {wrong}'


def immich(image, size, resample):
    """resize_pil, crop_pil, to_numpy and normalize as Immich's transforms.py states them."""
    if image.width < image.height:
        image = image.resize((size, int((image.height / image.width) * size)), resample=resample)
    else:
        image = image.resize((int((image.width / image.height) * size), size), resample=resample)
    left, upper = int((image.size[0] / 2) - (size / 2)), int((image.size[1] / 2) - (size / 2))
    image = image.crop((left, upper, left + size, upper + size))
    values = np.asarray(image, dtype=np.float32) / 255.0
    values *= 1.0 / STD
    values -= MEAN / STD
    return values.transpose(2, 0, 1)


@pytest.mark.parametrize('level', LEVELS)
def test_tensor_is_the_reference_s(tool, tmp_path, level):
    rng = np.random.default_rng(6)
    for i in range(25):
        w, h = (int(v) for v in rng.integers(1, 900, 2)) if i else (5, 700)
        pixels = picture(rng, w, h)
        size, name = int(rng.choice([32, 224, 384])), str(rng.choice(list(FILTERS)))
        got = np.frombuffer(tool('tensor', raw_file(tmp_path, pixels), size, name, 'shortest', 0, level=level), np.float32)
        want = immich(Image.fromarray(pixels), size, FILTERS[name])
        wrong = differs(got.reshape(3, size, size), want)
        assert not wrong, f'{w} x {h} to {size}, {name}: {wrong}'


def test_tensor_of_the_whole(tool, tmp_path):
    """Squash and longest, as open_clip's transforms state them."""
    rng = np.random.default_rng(7)
    for w, h in [(300, 200), (200, 301), (64, 64), (1000, 9)]:
        path, image, size = raw_file(tmp_path, picture(rng, w, h)), None, 64
        image = Image.frombytes('RGB', (w, h), path.read_bytes().partition(b'\n')[2])
        ratio = max(w / size, h / size)
        part = image.resize((round(w / ratio), round(h / ratio)), FILTERS['bicubic'])
        padded = Image.new('RGB', (size, size), (10, 20, 30))
        padded.paste(part, ((size - part.width) // 2, (size - part.height) // 2))
        for fit, whole in {'squash': image.resize((size, size), FILTERS['bicubic']), 'longest': padded}.items():
            got = np.frombuffer(tool('tensor', path, size, 'bicubic', fit, 0), np.float32).reshape(3, size, size)
            wrong = differs(got, immich(whole, size, FILTERS['bicubic']))
            assert not wrong, f'{w} x {h}, {fit}: {wrong}'


@pytest.mark.parametrize('quality', [1, 10, 50, 75, 90, 95, 100])
def test_jpeg_of_pillow(tool, tmp_path, quality):
    rng = np.random.default_rng(quality)
    for subsampling, mode, progressive in itertools.product([0, 1, 2], ['RGB', 'L', 'CMYK'], [False, True]):
        w, h = (int(v) for v in rng.integers(1, 120, 2))
        channels = {'RGB': 3, 'L': 1, 'CMYK': 4}[mode]
        file = io.BytesIO()
        pixels = picture(rng, w, h, channels)
        image = Image.fromarray(pixels[..., 0] if mode == 'L' else pixels, mode)
        image.save(file, 'JPEG', quality=quality, subsampling=subsampling, progressive=progressive,
                   optimize=bool(rng.integers(2)), restart_marker_blocks=int(rng.integers(4)))
        same_as_pillow(tool, tmp_path, file.getvalue())


# By the number of components; the standard allows 10 blocks in an MCU.
SAMPLINGS = {1: ['1x1', '2x2'],
             3: ['1x1', '2x1', '1x2', '2x2', '4x1', '1x4', '4x2', '3x1', '1x3', '1x1,2x2,2x2', '2x2,2x1,1x2',
                 '2x1,1x1,2x1'],
             4: ['1x1', '2x1,1x1,1x1,2x1', '1x2,1x1,1x1,1x2', '2x2,1x1,1x1,2x2', '4x1,1x1,1x1,4x1', '1x1,1x2,1x2,1x1']}
FLAGS = ['-', 'p', 'r', 's', 'o', 'n', 'a', 'pa', 'pr']


@pytest.mark.parametrize('colour', ['grey', 'rgb', 'ycc', 'cmyk', 'ycck'])
def test_jpeg_of_any_layout(tool, make_jpeg, tmp_path, colour):
    channels = {'grey': 1, 'cmyk': 4, 'ycck': 4}.get(colour, 3)
    rng = np.random.default_rng(8)
    for sampling, flags in itertools.product(SAMPLINGS[channels], FLAGS):
        w, h = (int(v) for v in rng.integers(1, 90, 2))
        data = make_jpeg(picture(rng, w, h, channels), colour, int(rng.integers(1, 101)), sampling, flags)
        same_as_pillow(tool, tmp_path, data)


def test_jpeg_of_photographs(tool, photos):
    files = sorted(photos.glob('*.jpg'))
    assert files
    for path in files:
        wrong = differs(next(images(tool('decode', path))), pillow(path.read_bytes()))
        assert not wrong, f'{path.name}: {wrong}'


def test_jpeg_of_the_shared_photos(tool, shared):
    files = sorted((shared / 'photos').glob('*.jp*g'))
    assert files
    for path in files:
        wrong = differs(next(images(tool('decode', path))), pillow(path.read_bytes()))
        assert not wrong, f'{path.name}: {wrong}'


def test_view_is_upright(tool, tmp_path):
    rng = np.random.default_rng(9)
    pixels = Image.fromarray(picture(rng, 70, 45))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / 'a.jpg'
        pixels.save(path, exif=exif)
        want = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert('RGB'))
        wrong = differs(next(images(tool('decode', path, 'view', 0, orientation))), want)
        assert not wrong, f'{orientation}: {wrong}'


def cosine(a, b):
    a, b = a.ravel().astype(float), b.ravel().astype(float)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def test_shrinking_keeps_geometry(tool, tmp_path):
    """Every residue of 8 on both sides, every way of turning: the tensor of a view decoded smaller is that
    of the whole view. A picture cut or stretched by the part of a pixel at its edge would show."""
    rng = np.random.default_rng(12)
    path = tmp_path / 'a.jpg'
    for i in range(64):
        w, h = 560 + i % 8, 280 + i // 8
        y, x = np.mgrid[0:h, 0:w]
        pixels = np.stack([128 + 60 * np.sin(x / 30 + k) + 60 * np.cos(y / 15 + k * x / w) for k in range(3)], -1)
        Image.fromarray(pixels.astype(np.uint8)).save(path, quality=95, subsampling=i % 3)
        side, orientation, fit = int(rng.choice([17, 35, 70])), i % 8 + 1, ['shortest', 'squash', 'longest'][i % 3]
        whole, smaller = (np.frombuffer(tool('tensor', path, side, 'bicubic', fit, s, orientation), np.float32)
                          for s in (100000, side))
        assert cosine(whole, smaller) > 0.9995, f'{w} x {h} at {side}, {fit}, {orientation}: {cosine(whole, smaller)}'


def test_embeddings_of_shrunk_photographs(tool, starter_models, photos, shared):
    """What shrinking is for: the same vector from fewer pixels."""
    onnxruntime = pytest.importorskip('onnxruntime')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    network = onnxruntime.InferenceSession(starter_models / 'clip/starter/visual/model.onnx', options)
    name, n_shrunk = network.get_inputs()[0].name, 0
    for path in sorted([*photos.glob('*.jpg'), *(shared / 'photos').glob('*.jpg')]):
        whole, smaller = (np.frombuffer(tool('tensor', path, 224, 'bicubic', 'shortest', side), np.float32)
                          .reshape(1, 3, 224, 224) for side in (100000, 224))
        if np.array_equal(whole, smaller):
            continue
        n_shrunk += 1
        near = cosine(*(network.run(None, {name: t})[0] for t in (whole, smaller)))
        assert near > 0.999, f'{path.name}: {near}'
    assert n_shrunk


def verdict(decode):
    """The pixels, or None where the file is refused."""
    try:
        return decode()
    except (ValueError, OSError, SyntaxError, Image.DecompressionBombError):
        return None


@pytest.mark.parametrize('flags', ['-', 'p', 'r', 's', 'a'])
def test_damaged_jpeg_as_pillow(tool, make_jpeg, tmp_path, flags):
    """Cut anywhere, or with bytes changed after the headers: refused when Pillow refuses, and with
    the same pixels when it does not."""
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    rng = np.random.default_rng(10)
    whole = make_jpeg(picture(rng, 60, 50), 'ycc', 80, '2x2', flags)
    scan = whole.index(b'\xff\xda')
    path = tmp_path / 'a.jpg'
    n_refused = 0
    for i in range(120):
        if i % 2:
            data = whole[:int(rng.integers(scan, len(whole) + 1))]
        else:
            changed = bytearray(whole)
            for at in rng.integers(scan + 14, len(whole), int(rng.integers(1, 4))):
                changed[at] = int(rng.integers(256))
            data = bytes(changed)
        path.write_bytes(data)
        want = verdict(lambda: pillow(data))
        got = verdict(lambda: next(images(tool('decode', path))))
        n_refused += want is None
        assert (got is None) == (want is None), f'case {i}: ours {got is None}, Pillow {want is None}'
        assert want is None or not differs(got, want), f'case {i}: {differs(got, want)}'
    assert n_refused > 20


def test_truncated_jpeg_in_pillow_s_words(tool, make_jpeg, tmp_path):
    path = tmp_path / 'a.jpg'
    path.write_bytes(make_jpeg(picture(np.random.default_rng(11), 60, 50), 'ycc')[:-200])
    with pytest.raises(OSError, match='image file is truncated'):
        pillow(path.read_bytes())
    with pytest.raises(ValueError, match='image file is truncated'):
        tool('decode', path)
