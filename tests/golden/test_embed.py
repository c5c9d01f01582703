"""Vectors against ONNX Runtime in Python on the same models, and against what Immich's service answered.

The first holds our use of the library and its prepared networks, the second all of it together: decoding,
preprocessing, tokenizer, network. The bars are those of the recorded answers' own comparison."""
import json
import os
import struct
import subprocess

import pytest

np = pytest.importorskip('numpy', reason='numpy is not installed')

RECORDED = ['ViT-B-32__openai', 'ViT-B-16__laion400m_e32']
TEXTS = ['a dog', 'beach at sunset', '', 'Zwei Kinder am Strand, 1987', 'x ' * 400]
JPEGS = ['cat_720p.jpg', 'made-progressive.jpg', 'made-grey.jpg', 'made-3000x7.jpg', 'portrait-orientation-6.jpg']


@pytest.fixture(scope='session')
def embed(build):
    """embed(models, name, items, cache, *flags): a vector for each (kind, bytes)."""
    library = build / 'libonnxruntime.so.1'
    if not library.exists():
        pytest.skip('no ONNX Runtime library in this build')

    def run(models, name, items, cache='', *flags):
        given = b''.join(kind + struct.pack('=I', len(data)) + data for kind, data in items)
        command = [build / 'tests/embed_tool', models, name, cache, build / 'fovea-decode', *flags]
        done = subprocess.run(command, input=given, capture_output=True, timeout=300,
                              env={**os.environ, 'FOVEA_ORT_LIBRARY': str(library)})
        assert done.returncode == 0, done.stderr.decode()
        assert done.stderr == b''
        vectors, at = [], 0
        while at < len(done.stdout):
            n = struct.unpack_from('=I', done.stdout, at)[0]
            vectors.append(np.frombuffer(done.stdout, np.float32, n, at + 4).astype(np.float64))
            at += 4 + 4 * n
        assert len(vectors) == len(items)
        return vectors

    return run


def cosine(a, b):
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def session(models, name, tower):
    """The network with nothing done to it."""
    onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(models / 'clip' / name / tower / 'model.onnx'), options,
                                        providers=['CPUExecutionProvider'])


def text_vector(network, models, name, text):
    tokenizers = pytest.importorskip('tokenizers', reason='tokenizers is not installed')
    folder = models / 'clip' / name
    length = json.loads((folder / 'config.json').read_text())['text_cfg']['context_length']
    pad = json.loads((folder / 'textual/tokenizer_config.json').read_text())['pad_token']
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / 'textual/tokenizer.json'))
    tokenizer.enable_padding(length=length, pad_token=pad, pad_id=tokenizer.token_to_id(pad))
    tokenizer.enable_truncation(max_length=length)
    tokens = tokenizer.encode(' '.join(text.split()))
    feed = {i.name: np.array([tokens.attention_mask if i.name == 'attention_mask' else tokens.ids], np.int32)
            for i in network.get_inputs()}
    return network.run(None, feed)[0][0].astype(np.float64)


def image_vector(network, models, name, path):
    """Immich's steps, on Pillow's pixels: shorter side to the size, centre crop, normalise."""
    Image = pytest.importorskip('PIL.Image', reason='Pillow is not installed')
    pre = json.loads((models / 'clip' / name / 'visual/preprocess_cfg.json').read_text())
    size = pre['size'][0] if isinstance(pre['size'], list) else pre['size']
    im = Image.open(path).convert('RGB')
    scaled = (size, int(im.height / im.width * size)) if im.width < im.height else (int(im.width / im.height * size), size)
    im = im.resize(scaled, Image.Resampling.BICUBIC)
    left, upper = int(scaled[0] / 2 - size / 2), int(scaled[1] / 2 - size / 2)
    x = np.asarray(im.crop((left, upper, left + size, upper + size)), np.float32) / 255.0
    mean, std = (np.array(pre[k], np.float32) for k in ('mean', 'std'))
    x = x * (1.0 / std) - mean / std
    return network.run(None, {network.get_inputs()[0].name: x.transpose(2, 0, 1)[None]})[0][0].astype(np.float64)


@pytest.mark.parametrize('cached, flags', [(False, []), (True, []), (True, ['few'])])
@pytest.mark.parametrize('name', RECORDED)
def test_network_as_in_python(shared, embed, tmp_path, name, cached, flags):
    files = [shared / 'photos' / p for p in JPEGS]
    check_network(shared / 'models', files, name, embed, str(tmp_path) if cached else '', flags)


@pytest.mark.parametrize('cached, flags', [(False, []), (True, ['few'])])
def test_starter_as_in_python(starter_models, photos, embed, tmp_path, cached, flags):
    files = sorted(photos.glob('*.jpg'))
    assert files
    check_network(starter_models, files, 'starter', embed, str(tmp_path) if cached else '', flags)


def check_network(models, files, name, embed, cache, flags):
    items = [(b't', t.encode()) for t in TEXTS] + [(b'i', f.read_bytes()) for f in files]
    textual, visual = (session(models, name, t) for t in ('textual', 'visual'))
    want = [text_vector(textual, models, name, t) for t in TEXTS]
    want += [image_vector(visual, models, name, f) for f in files]
    for _ in range(2 if cache else 1):  # as it is prepared, and prepared
        for w, g, what in zip(want, embed(models, name, items, cache, *flags), [*TEXTS, *files]):
            assert cosine(w, g) >= 0.99999, what
            assert abs(np.linalg.norm(w) - np.linalg.norm(g)) <= 1e-4, what


@pytest.mark.parametrize('kind', ['textual', 'visual'])
@pytest.mark.parametrize('name', RECORDED)
def test_as_recorded(shared, embed, name, kind):
    items, want = [], []
    for line in open(shared / 'golden/predict.jsonl', encoding='utf-8'):
        record = json.loads(line)
        entry = record['request']['entries'].get('clip', {}).get(kind, {})
        if entry.get('modelName') != name or record['status'] != 200:
            continue
        photo = record['request'].get('image')
        items.append((b'i', (shared / 'photos' / photo).read_bytes()) if photo else (b't', record['request']['text'].encode()))
        want.append((photo or record['request']['text'], np.array(json.loads(record['response']['clip']))))
    assert len(items) >= 30
    wrong = []
    for (what, w), g in zip(want, embed(shared / 'models', name, items)):
        off = abs(np.linalg.norm(w) - np.linalg.norm(g))
        if cosine(w, g) < 0.9999 or off > 1e-4:
            wrong.append(f'{what}: cosine {cosine(w, g):.6f}, norm off by {off:.2e}')
    assert not wrong, '\n'.join(wrong)
