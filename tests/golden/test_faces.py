"""Faces: against Immich's recorded answers, and stage by stage against OpenCV, numpy and ONNX Runtime."""
import json
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import onnxruntime
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MODELS = ROOT / 'tests/models'
STRIDES = (8, 16, 32)
WIDTHS = {'scrfd': (1, 4, 10), 'yunet': (1, 1, 4, 10)}
ANCHORS = {'scrfd': 2, 'yunet': 1}
UPRIGHT = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
                    [70.7299, 92.2041]], np.float32)


@pytest.fixture(scope='module')
def tool(build):
    def run(*args, **more):
        done = subprocess.run([build / 'tests/faces_tool', *map(str, args)], capture_output=True, timeout=300,
                              env={'FOVEA_ORT_LIBRARY': str(build / 'libonnxruntime.so.1'), 'FOVEA_BATCH': '3'}, **more)
        assert not done.returncode, done.stderr.decode()
        return done.stdout
    return run


def cosine(a, b):
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


@pytest.mark.parametrize('min_score', [0.3, 0.7])
def test_recorded(build, tool, shared, min_score):
    """Each face the service answered: the same box, score and vector, in the same order."""
    want = []
    for line in open(shared / 'golden/predict.jsonl', encoding='utf-8'):
        record = json.loads(line)
        entries = record['request']['entries'].get('facial-recognition')
        if record['status'] == 200 and entries and entries['detection']['options']['minScore'] == min_score:
            want.append((record['request']['image'], record['response']))
    files = [shared / 'photos' / image for image, _ in want]
    got = tool('find', shared / 'models', 'buffalo_s', build / 'fovea-decode', min_score, *files).splitlines()
    n_faces, worst = 0, 1.0
    for (image, response), line in zip(want, got, strict=True):
        answer, faces = json.loads(line), response['facial-recognition']
        assert answer['size'] == [response['imageWidth'], response['imageHeight']], image
        assert [f['box'] for f in answer['faces']] == [list(f['boundingBox'].values()) for f in faces], image
        for mine, theirs in zip(answer['faces'], faces):
            assert mine['score'] == pytest.approx(theirs['score'], abs=1e-5), image
            worst = min(worst, cosine(np.array(mine['vector']), np.array(json.loads(theirs['embedding']))))
            n_faces += 1
    assert n_faces > 10
    assert worst >= 0.9999, worst


def random_heads(rng, kind, n_sure, spread):
    """What a detector might say: noise, with boxes of some size at some places."""
    heads = []
    for k, width in enumerate(WIDTHS[kind]):
        for stride in STRIDES:
            n = (640 // stride) ** 2 * ANCHORS[kind]
            heads.append(rng.normal(0, spread, (n, width)).astype(np.float32))
            if width == 1:
                heads[-1] = np.clip(rng.normal(.1, .1, (n, 1)), 0, 1).astype(np.float32)
                heads[-1][rng.integers(0, n, n_sure)] = .9
            elif width == 4:
                heads[-1] += np.float32(2 if kind == 'scrfd' else 1)
    return heads


def boxes_of(kind, heads, scale, min_score):
    """decode_scrfd() and nms() of the reference; for YuNet, as OpenCV's FaceDetectorYN reads it."""
    n_kinds, found = len(WIDTHS[kind]), []
    for level, stride in enumerate(STRIDES):
        of = [heads[k * 3 + level] for k in range(n_kinds)]
        cells = 640 // stride
        at = np.stack(np.meshgrid(np.arange(cells), np.arange(cells)), -1).reshape(-1, 2).astype(np.float32) * stride
        at = np.repeat(at, ANCHORS[kind], 0)
        box, points = of[-2] * stride, of[-1] * stride + np.tile(at, 5)
        if kind == 'scrfd':
            score, corners = of[0], np.hstack([at - box[:, :2], at + box[:, 2:]])
        else:
            score, size = np.sqrt(of[0] * of[1]), np.exp(of[2][:, 2:]) * stride
            first = at + box[:, :2] - size / 2
            corners = np.hstack([first, first + size])
        found.append(np.hstack([score, corners / np.float32(scale), points / np.float32(scale)]))
    found = np.vstack(found)
    found = found[found[:, 0] >= np.float32(min_score)]
    rects = np.hstack([found[:, 1:3], found[:, 3:5] - found[:, 1:3]])
    keep = cv2.dnn.NMSBoxes(rects.tolist(), found[:, 0].tolist(), 0.0, .4 if kind == 'scrfd' else .3)
    return found[np.asarray(keep, int).reshape(-1)]


@pytest.mark.parametrize('kind', ['scrfd', 'yunet'])
@pytest.mark.parametrize('case', range(8))
def test_boxes(tool, kind, case):
    rng = np.random.default_rng(case)
    heads = random_heads(rng, kind, int(rng.integers(0, 60)), float(rng.uniform(0, 1)))
    scale, min_score = float(rng.uniform(.1, 3)), [.3, .5, .8, .9][case % 4]
    want = boxes_of(kind, heads, scale, min_score)
    got = json.loads(tool('boxes', kind, min_score, scale, input=b''.join(h.tobytes() for h in heads)))['faces']
    assert len(got) == len(want) < 1000
    for mine, theirs in zip(got, want):
        assert mine['score'] == pytest.approx(theirs[0], abs=1e-6)
        if kind == 'scrfd':
            assert mine['box'] == theirs[1:5].round().tolist()
        else:  # exp() may differ in its last bit
            assert mine['box'] == pytest.approx(theirs[1:5], abs=.51)
        assert mine['points'] == pytest.approx(theirs[5:], rel=1e-6, abs=1e-3)


def hard_heads(rng, kind, case):
    """Scores that tie, boxes far outside, boxes without size, more faces than are given, none, and all scores."""
    heads = random_heads(rng, kind, {'none': 0, 'many': 3000, 'all': 0}.get(case, 300), 1)
    for head in heads:
        if head.shape[1] == 1 and case in ('ties', 'none', 'all'):
            head[:] = 0 if case == 'none' else np.float32(.25) * np.round(head * 4)
        if head.shape[1] == 4:
            if case == 'outside':
                head *= 300 if kind == 'scrfd' else 3
            elif case == 'flat':
                head[:, 2 * int(kind == 'yunet')::2] = 0 if kind == 'scrfd' else -40
            elif case == 'many':
                head[:] = .4 if kind == 'scrfd' else [.5, .5, -.5, -.5]
    return heads


@pytest.mark.parametrize('kind', ['scrfd', 'yunet'])
@pytest.mark.parametrize('case, min_score', [('ties', .5), ('outside', .5), ('flat', .5), ('many', .5), ('none', .5),
                                             ('none', -1), ('all', -1), ('all', 2)])
def test_hard_boxes(tool, kind, case, min_score):
    heads = hard_heads(np.random.default_rng(7), kind, case)
    with np.errstate(over='ignore'):
        want = boxes_of(kind, heads, .625, min_score)
    got = json.loads(tool('boxes', kind, min_score, .625, input=b''.join(h.tobytes() for h in heads)))['faces']
    assert len(got) == min(len(want), 1000) and (len(want) > 1000) >= (case == 'many') and (min_score < 2 or not got)
    for mine, theirs in zip(got, want):
        assert mine['score'] == pytest.approx(theirs[0], abs=1e-6)
        assert mine['box'] == pytest.approx(theirs[1:5], abs=.51 if kind == 'scrfd' else 1, rel=1e-6)


def umeyama(points):
    """By singular values, as the paper and the reference have it."""
    at, to = points.mean(0), UPRIGHT.mean(0)
    u, s, vt = np.linalg.svd((UPRIGHT - to).T @ (points - at) / 5)
    flip = np.diag([1, np.sign(np.linalg.det(u @ vt))])
    turn, size = u @ flip @ vt, np.trace(np.diag(s) @ flip) / ((points - at) ** 2).sum() * 5
    return np.hstack([size * turn, (to - size * turn @ at)[:, None]]).astype(np.float32)


@pytest.mark.parametrize('case', range(12))
def test_crop(tool, tmp_path, case):
    """Ours computes the map in double, the reference in float: a pixel may come from 1/32 pixel further."""
    rng = np.random.default_rng(case)
    w, h = (int(v) for v in rng.integers(60, 900, 2))
    y, x = np.mgrid[0:h, 0:w]
    image = np.stack([128 + 100 * np.sin(x / 9 + k) * np.cos(y / (7 + k)) for k in range(3)], -1).astype(np.uint8)
    path = tmp_path / 'a.jpg'
    cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 100])
    image = cv2.imread(str(path))[..., ::-1]
    size, turn = rng.uniform(.2, 4), rng.uniform(-3, 3)
    points = UPRIGHT @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) * size
    points = (points - points.mean(0) + [w / 2, h / 2] + rng.normal(0, 2 * size, (5, 2))).astype(np.float32)
    want = cv2.warpAffine(image, umeyama(points), (112, 112)).astype(np.float32)
    want = (want * np.float32(1 / 127.5) - np.float32(1)).transpose(2, 0, 1)
    got = np.frombuffer(tool('crop', path, *points.ravel()), np.float32).reshape(3, 112, 112)
    off = np.abs(got - want) * 127.5
    assert np.mean(off > .01) < .02 and off.mean() < .02, (np.mean(off > .01), off.max())


def whole_by_opencv(name, image, min_score):
    """Faces of image (RGB) by the toy model of that name."""
    kind = 'yunet' if 'yunet' in name else 'scrfd'
    h, w = image.shape[:2]
    nw, nh = (640, int(640 * h / w)) if h <= w else (int(640 * w / h), 640)
    canvas = np.zeros((640, 640, 3), np.uint8)
    canvas[:nh, :nw] = cv2.resize(image, (nw, nh))
    seen = canvas.astype(np.float32)
    seen = seen[..., ::-1] if kind == 'yunet' else seen / 128 - np.float32(127.5 / 128)
    detect, recognize = (onnxruntime.InferenceSession(MODELS / 'facial-recognition' / name / t / 'model.onnx')
                         for t in ('detection', 'recognition'))
    heads = [a.reshape(-1, a.shape[-1]) for a in detect.run(None, {'input': seen.transpose(2, 0, 1)[None]})]
    found = boxes_of(kind, heads, nh / h, min_score)
    vectors = []
    for face in found:
        crop = cv2.warpAffine(image, umeyama(face[5:].reshape(5, 2)), (112, 112)).astype(np.float32)
        crop = crop if kind == 'yunet' else crop / np.float32(127.5) - 1
        vectors.append(recognize.run(None, {'data': crop.transpose(2, 0, 1)[None]})[0][0])
    return found, vectors


@pytest.mark.parametrize('name', ['toy', 'toy_yunet_sface'])
@pytest.mark.parametrize('size', [(800, 500), (300, 620), (640, 640), (1200, 200)])
def test_whole(tool, tmp_path, name, size):
    """Blobs of light, so that no two boxes are equally sure."""
    (w, h), rng = size, np.random.default_rng(3)
    y, x = np.mgrid[0:h, 0:w]
    light = sum(np.exp(-((x - w * cx) / 60) ** 2 - ((y - h * cy) / 70) ** 2) for cx, cy in [(.2, .4), (.5, .7), (.8, .3)])
    image = (30 + 220 * np.clip(light, 0, 1)[..., None] + rng.uniform(-5, 5, (h, w, 3))).astype(np.uint8)
    path = tmp_path / 'a.jpg'
    cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 100])
    image = cv2.imread(str(path))[..., ::-1]
    want, vectors = whole_by_opencv(name, image, .5)
    got = json.loads(tool('find', MODELS, name, '', .5, path))['faces']
    assert len(got) == len(want) > 3
    for mine, theirs, vector in zip(got, want, vectors):
        assert mine['score'] == pytest.approx(theirs[0], abs=1e-5)
        assert mine['box'] == pytest.approx(theirs[1:5], abs=.51)
        assert cosine(np.array(mine['vector']), vector) > .9999


def test_networks_are_what_the_script_writes(tmp_path):
    subprocess.run([sys.executable, ROOT / 'tests/networks/make_faces.py', tmp_path], check=True)
    for path in MODELS.glob('facial-recognition/*/*/model.onnx'):
        assert path.read_bytes() == (tmp_path / path.relative_to(MODELS)).read_bytes(), path
