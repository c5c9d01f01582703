"""Text: against Immich's recorded answers, and stage by stage against Pillow, OpenCV and Clipper."""
import json
import math
import os
import pathlib
import random
import subprocess

import cv2
import numpy as np
import pyclipper
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope='module')
def tool(build):
    def run(*args, **more):
        done = subprocess.run([build / 'tests/ocr_tool', *map(str, args)], capture_output=True, timeout=600,
                              env={'FOVEA_ORT_LIBRARY': str(build / 'libonnxruntime.so.1')}, **more)
        assert not done.returncode, done.stderr.decode()
        return done.stdout
    return run


def extent(points):
    return min(points[0::2]), min(points[1::2]), max(points[0::2]), max(points[1::2])


def overlap(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


@pytest.mark.parametrize('options', [(736, .5, .8), (1440, .3, .9)])
def test_recorded(build, tool, shared, options):
    """Boxes to the pixel, their scores, and the texts but for what rounding in a crop decides."""
    records = []
    for line in open(shared / 'golden/predict.jsonl', encoding='utf-8'):
        record = json.loads(line)
        of = record['request']['entries'].get('ocr')
        if record['status'] == 200 and of and (of['detection']['options']['maxResolution'],
                                               of['detection']['options']['minScore'],
                                               of['recognition']['options']['minScore']) == options:
            records.append((record['request']['image'], record['response']))
    files = [shared / 'photos' / image for image, _ in records]
    got = tool('read', shared / 'models', 'PP-OCRv5_mobile', build / 'fovea-decode', *options, *files).splitlines()
    total = agree = 0
    for (image, response), line in zip(records, got, strict=True):
        answer, want, size = json.loads(line), response['ocr'], [response['imageWidth'], response['imageHeight']]
        assert answer['size'] == size, image
        total += max(len(want['text']), len(answer['lines']))
        for i, text in enumerate(want['text']):
            box = np.array(want['box'][8 * i:8 * i + 8]) * np.tile(size, 4)
            same = [m for m in answer['lines'] if m['text'] == text and overlap(extent(m['box']), extent(box)) >= .7]
            agree += bool(same)
            if same:
                assert same[0]['box'] == pytest.approx(box, abs=.01), (image, text)
                assert same[0]['boxScore'] == pytest.approx(want['boxScore'][i], abs=1e-3), (image, text)
                assert same[0]['textScore'] == pytest.approx(want['textScore'][i], abs=.05), (image, text)
    assert total > 20
    assert agree >= .95 * total, f'{agree} of {total}'


def corners(rect):
    """RapidOCR's get_mini_boxes()."""
    p = sorted(cv2.boxPoints(rect).tolist(), key=lambda q: q[0])
    left, right = p[1][1] > p[0][1], p[3][1] > p[2][1]
    return np.array([p[not left], p[2 + (not right)], p[2 + right], p[left]], np.float32)


def mean_within(p, box):
    h, w = p.shape
    x0, x1 = np.clip([np.floor(box[:, 0].min()), np.ceil(box[:, 0].max())], 0, w - 1).astype(int)
    y0, y1 = np.clip([np.floor(box[:, 1].min()), np.ceil(box[:, 1].max())], 0, h - 1).astype(int)
    mask = np.zeros((y1 - y0 + 1, x1 - x0 + 1), np.uint8)
    cv2.fillPoly(mask, [(box - np.float32([x0, y0])).astype(np.int32)], 1)
    return cv2.mean(p[y0:y1 + 1, x0:x1 + 1], mask)[0]


def grown(box):
    """unclip() of RapidOCR, with the area and the length as GEOS sums them."""
    (x, y), area, length = box.astype(float).T.tolist(), 0, 0
    for i in range(4):
        area += (x[i] - x[0]) * (y[i - 1] - y[i - 3])
        length += math.sqrt((x[i - 3] - x[i]) ** 2 + (y[i - 3] - y[i]) ** 2)
    area = abs(area / 2)
    offset = pyclipper.PyclipperOffset()
    offset.AddPath(box, pyclipper.JT_ROUND, pyclipper.ET_CLOSEDPOLYGON)
    return np.array(offset.Execute(area * 1.6 / length)).reshape(-1, 1, 2).astype(np.int32)


def mean_on(p, outline):
    """box_score_slow() of RapidOCR: of an outline and what lies within."""
    mask = np.zeros(p.shape, np.uint8)
    cv2.fillPoly(mask, [outline], 1)
    return cv2.mean(p, mask)[0]


def boxes_of(p, w, h, min_score, slow=False):
    """DBPostProcess of RapidOCR with the reference's settings, and the reference's order."""
    mask = cv2.dilate((p > .3).astype(np.uint8), np.ones((2, 2), np.uint8))
    found, scores = [], []
    for outline in cv2.findContours(mask * 255, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0][:1000]:
        rect = cv2.minAreaRect(outline)
        if min(rect[1]) < 3:
            continue
        box = corners(rect)
        score = mean_on(p, outline) if slow else mean_within(p, box)
        if score < min_score:
            continue
        rect = cv2.minAreaRect(grown(box))
        if min(rect[1]) < 5:
            continue
        box = corners(rect)
        box[:, 0] = np.clip(np.round(box[:, 0] / p.shape[1] * w), 0, w)
        box[:, 1] = np.clip(np.round(box[:, 1] / p.shape[0] * h), 0, h)
        box = box[np.argsort(box[:, 0], kind='stable')]
        a, b = (side[np.argsort(side[:, 1], kind='stable')] for side in (box[:2], box[2:]))
        box = np.minimum(np.array([a[0], b[0], b[1], a[1]], np.float32), np.float32([w - 1, h - 1]))
        if min(int(np.linalg.norm(box[0] - box[k])) for k in (1, 3)) > 3:
            found.append(box)
            scores.append(score)
    if not found:
        return [], []
    found = np.array(found)
    order = np.argsort(found[:, 0, 1], kind='stable')
    line = np.concatenate([[0], np.cumsum(np.abs(np.diff(found[order, 0, 1])) >= 10)])
    return found[order[np.argsort(line[order] * 1e6 + found[order, 0, 0], kind='stable')]].reshape(-1, 8), scores


def random_map(rng, h, w):
    """Bars, blots, rings and noise."""
    p = np.zeros((h, w), np.float32)
    for _ in range(int(rng.integers(1, 40))):
        at = tuple(float(rng.uniform(0, n)) for n in (w, h))
        size = float(rng.uniform(2, w / 2)), float(rng.uniform(2, 24))
        turn = float(rng.choice([0, 0, 90, rng.uniform(-90, 90)]))
        bar = cv2.boxPoints((at, size, turn)).astype(np.int32)
        shade = float(rng.uniform(.2, 1))
        if rng.random() < .2:
            cv2.polylines(p, [bar], True, shade, int(rng.integers(1, 5)))
        else:
            cv2.fillPoly(p, [bar], shade)
    p = cv2.GaussianBlur(p, (0, 0), float(rng.uniform(.3, 2)))
    return np.clip(p + rng.normal(0, rng.choice([0, .02, .2]), p.shape), 0, 1).astype(np.float32)


@pytest.mark.parametrize('inside', [True, False])
@pytest.mark.parametrize('mode', ['fast', 'slow'])
@pytest.mark.parametrize('case', range(20))
def test_boxes(tool, case, mode, inside):
    rng = np.random.default_rng(case)
    h, w = (32 * int(n) for n in rng.integers(3, 16, 2))
    p = random_map(rng, h, w)
    if inside:
        p = np.pad(p, ((h // 2, h // 2), (w // 2, w // 2)))
        h, w = p.shape
    width, height = (int(n * rng.choice([1, 1.5, 2, rng.uniform(.8, 5)])) for n in (w, h))
    want, scores = boxes_of(p, width, height, .3, mode == 'slow')
    got = json.loads(tool('boxes', w, h, width, height, .3, mode, input=p.tobytes()))['lines']
    assert len(got) == len(want)
    assert [m['box'] for m in got] == [box.tolist() for box in want]
    # OpenCV cuts a side that leaves the map before it draws it, and so may draw other pixels of the rest.
    assert [m['boxScore'] for m in got] == pytest.approx(scores, abs=1e-6 if inside or mode == 'slow' else .02)


@pytest.mark.parametrize('size', [(640, 480), (1500, 1000), (333, 2000), (48, 80), (70, 3000)])
@pytest.mark.parametrize('most', [736, 200])
def test_feed(tool, tmp_path, size, most):
    rng = np.random.default_rng(size[0])
    path = tmp_path / 'a.jpg'
    Image.fromarray(rng.integers(0, 256, (size[1] // 8 + 1, size[0] // 8 + 1, 3), dtype=np.uint8)) \
        .resize(size).save(path, quality=95)
    image = Image.open(path).convert('RGB')
    ratio = min(most / min(size), 1)
    w, h = (int(round(int(n * ratio) / 32) * 32) for n in size)
    want = np.array(image.resize((w, h), Image.Resampling.LANCZOS), np.float32)[..., ::-1]
    want = ((want - np.float32(.5)) * (np.float32(1) / np.float32(127.5))).transpose(2, 0, 1)
    got = np.frombuffer(tool('feed', path, most), np.float32)
    assert got[:2].tolist() == [h, w]
    assert np.array_equal(got[2:].reshape(3, h, w), want)


def perspective(box, w, h):
    """The same steps as ours, since the last bit of a coefficient decides what truncation makes of a pixel."""
    p0, p1, p2, p3 = box.astype(float)
    (ax, ay), (bx, by), (sx, sy) = p1 - p2, p3 - p2, p0 - p1 + p2 - p3
    d = ax * by - bx * ay
    g, k = (sx * by - bx * sy) / d, (ax * sy - sx * ay) / d
    u, v = (p1 - p0 + g * p1) / w, (p3 - p0 + k * p3) / h
    a = [u[0], v[0], p0[0], u[1], v[1], p0[1], g / w, k / h]
    length = math.sqrt(sum([1] + [c * c for c in a]))
    return [float(np.float32(c / length) / np.float32(1 / length)) for c in a]


@pytest.mark.parametrize('case', range(20))
def test_crop(tool, tmp_path, case):
    """As the reference crops with Pillow, but for the last bits of its equations' solution."""
    rng = np.random.default_rng(case)
    w, h = (int(v) for v in rng.integers(100, 900, 2))
    path = tmp_path / 'a.jpg'
    Image.fromarray(rng.integers(0, 256, (h // 6 + 1, w // 6 + 1, 3), dtype=np.uint8)).resize((w, h)).save(path)
    image = Image.open(path).convert('RGB')
    rect = (w * rng.uniform(.3, .7), h * rng.uniform(.3, .7)), (rng.uniform(8, w), rng.uniform(8, h / 3))
    box = corners((*rect, float(rng.choice([0, 90, rng.uniform(-90, 90)])))).round()
    box = np.clip(box, 0, [w - 1, h - 1]).astype(np.float32)
    wide, high = (max(int(np.linalg.norm(box[a] - box[b])), int(np.linalg.norm(box[c] - box[d])))
                  for a, b, c, d in ((1, 0, 2, 3), (0, 3, 1, 2)))
    crop = image.transform((wide, high), Image.Transform.PERSPECTIVE, tuple(perspective(box, wide, high)),
                           Image.Resampling.BICUBIC)
    crop = crop.rotate(90, expand=True) if high / wide >= 1.5 else crop
    width = int(np.ceil(48 * (crop.width / crop.height)))
    line = cv2.resize(np.array(crop)[..., ::-1], (min(width, 4800), 48)).astype(np.float32)
    want = ((line / 255 - np.float32(.5)) / np.float32(.5)).transpose(2, 0, 1)
    got = np.frombuffer(tool('crop', path, *box.ravel()), np.float32)
    got = got[1:].reshape(3, 48, int(got[0]))
    assert got.shape[2] == max(320, line.shape[1])
    assert not got[:, :, line.shape[1]:].any()
    assert np.array_equal(got[:, :, :line.shape[1]], want)


WORDS = 'the quick brown fox jumps over a lazy dog while 1234 boxes wait for Invoice No 5678 in Bergen'.split()


def draw_page(rng, size, most_lines):
    """Black on white or white on black, of one to three columns, some turned. Its lines, too."""
    ink, paper = rng.choice([(0, 255), (255, 0), (40, 210)])
    page = Image.new('L', size, paper)
    pen, lines, n_columns = ImageDraw.Draw(page), [], rng.choice([1, 1, 2, 3])
    column = size[0] // n_columns
    for k in range(n_columns):
        y = rng.randrange(8, 30)
        while len(lines) < most_lines * (k + 1) // n_columns and y < size[1] - 40:
            font = ImageFont.load_default(size=rng.choice([18, 22, 28, 40]))
            text = ' '.join(rng.choice(WORDS) for _ in range(6))
            while pen.textlength(text, font=font) > column - 30 and ' ' in text:
                text = text.rsplit(' ', 1)[0]
            pen.text((k * column + 12, y), text, font=font, fill=ink)
            lines.append(text)
            y += int(font.size * rng.uniform(1.6, 3))
    turn = rng.choice([0, 0, 0, rng.uniform(-8, 8), 90])
    page = page.rotate(turn, Image.Resampling.BICUBIC, expand=True, fillcolor=paper)
    return page.convert('RGB').filter(ImageFilter.GaussianBlur(rng.choice([0, 0, .7]))), lines, turn


def test_upright_pages(tool, shared, tmp_path):
    """What was drawn is read: every word but for a few."""
    rng, files, drawn = random.Random(3), [], []
    for i in range(12):
        page, lines, turn = draw_page(rng, (rng.randrange(500, 1600), rng.randrange(400, 1200)), 12)
        if turn != 90:
            page.save(tmp_path / f'{i}.jpg', quality=92)
            files.append(tmp_path / f'{i}.jpg')
            drawn.append(' '.join(lines).split())
    got = tool('read', shared / 'models', 'PP-OCRv5_mobile', '', 736, .5, .5, *files).splitlines()
    n = hits = 0
    for line, words in zip(got, drawn, strict=True):
        read = ''.join(m['text'] for m in json.loads(line)['lines']).replace(' ', '')
        n += len(words)
        hits += sum(word in read for word in words)
    assert hits >= .95 * n, f'{hits} of {n} words'


def test_memory_stays(build, tool, shared, tmp_path):
    """Pages of mixed sizes in any order: what is resident after one is bounded, and so is what one takes."""
    if b'__asan_init' in (build / 'tests/ocr_tool').read_bytes():
        pytest.skip("a sanitizer keeps what was freed")
    rng, files = random.Random(5), []
    for i in range(50):
        size = rng.randrange(64, 900), rng.randrange(64, 900)
        size = (3000, 700) if i == 20 else (300, 4000) if i == 35 else size
        draw_page(rng, size, 3)[0].save(tmp_path / f'{i}.jpg')
        files.append(tmp_path / f'{i}.jpg')
    n = int(os.environ.get('FOVEA_PAGES', 150))
    random.Random(int(os.environ.get('FOVEA_SEED', 0))).shuffle(files)
    lines = tool('soak', shared / 'models', 'PP-OCRv5_mobile', n, *files).splitlines()
    kib, peak = zip(*(map(int, line.split()) for line in lines), strict=True)
    assert len(kib) == n
    assert max(kib[50:]) < max(kib[:50]) + 12 * 1024, (max(kib[:50]), max(kib[50:]))
    assert max(kib) < 240 * 1024, max(kib)
    assert max(peak) < 440 * 1024, max(peak)
