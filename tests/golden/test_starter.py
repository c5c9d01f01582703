"""The starter model: its graphs against a second, plain numpy reading of the papers' formulas, against
figures that others published, and what tools/make_starter does with a folder or a bad file."""
import io
import json
import math
import pathlib
import pickle
import re
import struct
import subprocess
import sys
import time
import types

import numpy as np
import onnx
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tools'), str(ROOT / 'bench')]
import pipeline  # noqa: E402
from starter import classes, folder, image_tower, text_tower, weights  # noqa: E402


def make(models):
    return subprocess.run([sys.executable, ROOT / 'tools/make_starter', '--out', models], check=True,
                          text=True, stdout=subprocess.PIPE).stdout


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    out = tmp_path_factory.mktemp('models')
    assert 'built' in make(out)
    return out


@pytest.fixture(scope='module')
def model(models):
    return pipeline.Model(models / 'clip/starter')


@pytest.fixture(scope='module')
def class_vectors(models):
    graph = onnx.load(models / 'clip/starter/visual/model.onnx').graph
    arrays = [onnx.numpy_helper.to_array(w) for w in graph.initializer]
    (matrix,) = [a for a in arrays if a.shape == (1000, 384)]
    return matrix


# The folder


def test_layout(models):
    made = models / 'clip/starter'
    assert sorted(str(p.relative_to(made)) for p in made.rglob('*') if p.is_file()) == [
        'README.txt', 'config.json', 'recipe.sha256', 'textual/model.onnx', 'textual/model.onnx.data',
        'textual/tokenizer.json', 'textual/tokenizer_config.json', 'visual/model.onnx',
        'visual/preprocess_cfg.json']
    assert [p.name for p in models.iterdir()] == ['clip']  # nothing temporary is left
    assert json.loads((made / 'config.json').read_text())['embed_dim'] == 384
    tokenizer = json.loads((made / 'textual/tokenizer.json').read_text())
    assert tokenizer['padding'] is None and tokenizer['truncation']['max_length'] == 256


def test_second_run_touches_nothing(models):
    def state():
        return {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in models.rglob('*')}

    before, start = state(), time.monotonic()
    assert 'already there' in make(models)
    assert time.monotonic() - start < 5  # 0.03 s where nothing else runs
    assert state() == before


def test_another_recipe_is_built_anew_and_a_failed_build_leaves_the_old(tmp_path, monkeypatch):
    target = tmp_path / 'models/clip/starter'
    monkeypatch.setattr(folder, '_write', lambda made: made.mkdir())
    folder.build(target)
    assert folder.is_current(target)
    (target / folder.STAMP).write_text('another\n')
    assert not folder.is_current(target)

    def fail(_made):
        raise OSError('no space left')

    monkeypatch.setattr(folder, '_write', fail)
    with pytest.raises(OSError):
        folder.build(target)
    assert (target / folder.STAMP).read_text() == 'another\n'
    monkeypatch.setattr(folder, '_write', lambda made: made.mkdir())
    folder.build(target)
    assert folder.is_current(target)
    assert [p.name for p in (tmp_path / 'models').iterdir()] == ['clip']


def test_sources_are_checked(monkeypatch):
    with pytest.raises(folder.CannotBuild, match='no Python package'):
        folder._source('no_such_package_here', 'x', '0')
    with pytest.raises(folder.CannotBuild, match='SHA-256'):
        folder._source(*folder.TOKENIZER[:2], '0' * 64)


# The class tables


def test_class_tables():
    names = [name for name, _ in classes.read_classes()]
    assert len(names) == 1000 == len(set(names))
    groups = classes.read_groups(names)
    assert set().union(*(members for members, _, _ in groups)) == set(range(1000))
    said = classes.texts(classes.read_classes(), groups)
    assert 'dog' in said[names.index('beagle')][1] and 'cat' in said[names.index('tabby cat')][1]


# The text tower


def test_text_similarities_are_the_published_ones(model):
    """sentence-transformers gives these for all-MiniLM-L6-v2 in its documentation of similarity."""
    one, *others = (model.embed_text(t) for t in (
        'That is a happy person', 'That is a happy dog', 'That is a very happy person',
        'Today is a sunny day'))
    assert [one @ o for o in others] == pytest.approx([0.695, 0.943, 0.257], abs=6e-4)


def bert(w, ids, mask):
    """A BERT encoder with mean pooling as its paper and sentence-transformers write it, unfused."""
    def linear(name, x):
        return x @ w[name + '.weight'].T + w[name + '.bias']

    def norm(name, x):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-12) * w[name + '.weight'] + w[name + '.bias']

    erf = np.vectorize(math.erf, otypes=[np.float64])
    x = w['embeddings.word_embeddings.weight'][ids] + w['embeddings.token_type_embeddings.weight'][0]
    x = norm('embeddings.LayerNorm', x + w['embeddings.position_embeddings.weight'][:ids.shape[1]])
    for i in range(6):
        layer = f'encoder.layer.{i}.'
        q, k, v = (linear(f'{layer}attention.self.{part}', x) for part in ('query', 'key', 'value'))
        heads = []
        for h in range(12):
            of = np.s_[:, :, 32 * h:32 * h + 32]
            score = np.einsum('bqd,bkd->bqk', q[of], k[of]) / math.sqrt(32)
            score = np.where(mask[:, None, :] == 1, score, -np.inf)
            share = np.exp(score - score.max(-1, keepdims=True))
            heads.append(share / share.sum(-1, keepdims=True) @ v[of])
        x = norm(layer + 'attention.output.LayerNorm',
                 x + linear(layer + 'attention.output.dense', np.concatenate(heads, -1)))
        y = linear(layer + 'intermediate.dense', x)
        y = linear(layer + 'output.dense', y * (1 + erf(y / math.sqrt(2))) / 2)
        x = norm(layer + 'output.LayerNorm', x + y)
    pooled = (x * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
    return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)


def test_text_graph_against_numpy(model):
    w = {n: a.astype(np.float64)
         for n, a in weights.read_safetensors(folder._source(*folder.TEXT_WEIGHTS)).items()}
    ids = np.array([[101, 1037, 4937, 2006, 1037, 10682, 102], [101, 3509, 102, 0, 0, 0, 0]], np.int32)
    mask = (ids != 0).astype(np.int32)
    session = model._open('textual')
    got = session.run(None, {'input_ids': ids, 'attention_mask': mask})[0]
    assert np.abs(got - bert(w, ids, mask)).max() < 2e-6
    alone = session.run(None, {'input_ids': ids[1:, :3], 'attention_mask': mask[1:, :3]})[0]
    assert np.abs(got[1] - alone[0]).max() < 2e-6


def test_long_text_is_cut(model):
    assert np.isfinite(model.embed_text('word ' * 1000)).all()


# The image tower


def efficientnet_lite0(w, x):
    """The network's logits [1000] for x [3, 224, 224]: batch norms apart, padding by TensorFlow's rule."""
    def conv(x, name, bn, stride=1, relu6=True):
        kernel = w[name + '.weight']
        k = kernel.shape[2]
        out = math.ceil(x.shape[1] / stride)
        pad = max((out - 1) * stride + k - x.shape[1], 0)
        x = np.pad(x, ((0, 0), *[(pad // 2, pad - pad // 2)] * 2))
        seen = np.lib.stride_tricks.sliding_window_view(x, (k, k), (1, 2))[:, ::stride, ::stride]
        how = 'chwij,cij->chw' if name.endswith('depthwise_conv') else 'chwij,ocij->ohw'
        kernel = kernel[:, 0] if name.endswith('depthwise_conv') else kernel
        y = np.einsum(how, seen, kernel, optimize=True).transpose(1, 2, 0)
        y = (y - w[bn + '.running_mean']) / np.sqrt(w[bn + '.running_var'] + 1e-3)
        y = (y * w[bn + '.weight'] + w[bn + '.bias']).transpose(2, 0, 1)
        return y.clip(0, 6) if relu6 else y

    x = conv(x, '_conv_stem', '_bn0', 2)
    #         repeats, stride of the first, narrow width
    stages = [(1, 1, 16), (2, 2, 24), (2, 2, 40), (3, 2, 80), (3, 1, 112), (4, 2, 192), (1, 1, 320)]
    block = 0
    for repeats, stride, width in stages:
        for i in range(repeats):
            name = f'_blocks.{block}.'
            y = conv(x, name + '_expand_conv', name + '_bn0') if block else x
            y = conv(y, name + '_depthwise_conv', name + '_bn1', stride if i == 0 else 1)
            y = conv(y, name + '_project_conv', name + '_bn2', relu6=False)
            assert y.shape[0] == width
            x = x + y if i else y
            block += 1
    pooled = conv(x, '_conv_head', '_bn1').mean((1, 2))
    return w['_fc.weight'] @ pooled + w['_fc.bias']


def test_image_graph_against_numpy(model, class_vectors):
    w = weights.read_torch(folder._source(*folder.IMAGE_WEIGHTS))
    images = np.random.default_rng(1).uniform(-1, 1, (2, 3, 224, 224)).astype(np.float32)
    got = model.embed_tensors(images)
    for image, vector in zip(images, got):
        share = np.exp(efficientnet_lite0(w, image.astype(np.float64)) / image_tower.TEMPERATURE)
        expected = share / share.sum() @ class_vectors
        assert np.abs(vector - expected / np.linalg.norm(expected)).max() < 1e-5


@pytest.mark.parametrize('photo, among', [
    ('chelsea.png', {'tabby cat', 'tiger cat', 'Egyptian cat'}),
    ('coffee.png', {'espresso', 'cup'}),
    ('rocket.jpg', {'missile', 'projectile', 'space shuttle'}),
    ('motorcycle_left.png', {'moped', 'motor scooter'}),
])
def test_known_photos_name_their_class(model, class_vectors, photos, photo, among):
    scores = class_vectors @ model.embed_image(photos / photo)
    assert classes.read_classes()[scores.argmax()][0] in among


def test_a_batch_gives_what_single_photos_give(model, photos):
    paths = [photos / name for name in ('chelsea.png', 'coffee.png', 'rocket.jpg')]
    single = np.stack([model.embed_image(p) for p in paths])
    assert np.abs(model.embed_images(paths) - single).max() < 1e-5


# Both


def test_captions(models, shared):
    out = subprocess.run([sys.executable, ROOT / 'tools/score_starter', '--photos', shared / 'photos', models],
                         check=True, text=True, stdout=subprocess.PIPE).stdout
    assert float(re.search(r'top-3 ([\d.]+)', out)[1]) >= 0.75, out


# Hostile weights


@pytest.fixture
def torch_names(monkeypatch):
    """Enough of torch's names to pickle what torch.save pickles."""
    def rebuild(*_args):
        pass

    def storage():
        pass

    rebuild.__module__, rebuild.__qualname__ = 'torch._utils', '_rebuild_tensor_v2'
    storage.__module__, storage.__qualname__ = 'torch', 'FloatStorage'
    monkeypatch.setitem(sys.modules, 'torch', types.SimpleNamespace(FloatStorage=storage))
    monkeypatch.setitem(sys.modules, 'torch._utils', types.SimpleNamespace(_rebuild_tensor_v2=rebuild))
    return rebuild, storage


class Storage:
    def __init__(self, n):
        self.n = n


class Tensor:
    def __init__(self, rebuild, *args):
        self.rebuild, self.args = rebuild, args

    def __reduce__(self):
        return self.rebuild, self.args


def torch_file(torch_names, offset=0, shape=(2, 3), strides=(3, 1), n=6, said=None, extra=()):
    """One tensor 'a' over a storage of n floats 0, 1, 2, ... in torch.save's legacy format."""
    rebuild, kind = torch_names
    out = io.BytesIO()
    for value in (weights.TORCH_MAGIC, 1001, {}):
        pickle.dump(value, out, 2)
    pickler = pickle.Pickler(out, 2)
    pickler.persistent_id = lambda o: ('storage', kind, 'k', 'cpu', o.n, None) if isinstance(o, Storage) else None
    pickler.dump({'a': Tensor(rebuild, Storage(n), offset, shape, strides, False, {}), **dict(extra)})
    pickle.dump(['k'], out, 2)
    out.write(struct.pack('<q', n if said is None else said) + np.arange(n, dtype='<f4').tobytes())
    return out.getvalue()


def test_torch_reads_plain_and_strided_tensors(torch_names):
    assert weights.read_torch(torch_file(torch_names))['a'].tolist() == [[0, 1, 2], [3, 4, 5]]
    turned = weights.read_torch(torch_file(torch_names, shape=(3, 2), strides=(1, 3)))
    assert turned['a'].tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize('what', [
    {'offset': 1}, {'offset': -1}, {'shape': (2, 4)}, {'strides': (6, 1)}, {'strides': (-3, 1)},
    {'shape': (2**40, 2**40), 'strides': (0, 0)}, {'shape': (2, 3, 1)}, {'said': 7}, {'said': -1},
    {'shape': 'ab'}, {'extra': {'b': 5}},
], ids=str)
def test_torch_refuses_tensors_that_do_not_fit(torch_names, what):
    with pytest.raises(weights.BadWeights):
        weights.read_torch(torch_file(torch_names, **what))


def test_torch_refuses_to_run_code(torch_names, tmp_path):
    class Evil:
        def __reduce__(self):
            return pathlib.Path.touch, (tmp_path / 'ran',)

    for data in (torch_file(torch_names, extra={'b': Evil()}), pickle.dumps(Evil())):
        with pytest.raises(weights.BadWeights, match='asks for'):
            weights.read_torch(data)
    assert not (tmp_path / 'ran').exists()


def test_torch_refuses_damage(torch_names):
    whole = torch_file(torch_names)
    for n in range(len(whole)):
        with pytest.raises(weights.BadWeights):
            weights.read_torch(whole[:n])
    for data in (b'PK\3\4' + whole, b'\0' * 100, pickle.dumps(1) * 5):
        with pytest.raises(weights.BadWeights):
            weights.read_torch(data)


def safetensors(header, body=b'\0' * 24):
    header = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return struct.pack('<Q', len(header)) + header + body


def test_safetensors():
    entry = {'dtype': 'F32', 'shape': [2, 3], 'data_offsets': [0, 24]}
    assert weights.read_safetensors(safetensors({'a': entry}))['a'].shape == (2, 3)
    bad = [b'', b'\0' * 7, b'\xff' * 8, safetensors(b'{'), safetensors([1]), safetensors({'a': 1}),
           safetensors({'a': {**entry, 'shape': [2, 4]}}), safetensors({'a': {**entry, 'shape': [-2, -3]}}),
           safetensors({'a': {**entry, 'data_offsets': [4, 28]}}),
           safetensors({'a': {**entry, 'data_offsets': [-4, 20]}}),
           safetensors({'a': {**entry, 'shape': [2**62, 4]}})]
    for data in bad:
        with pytest.raises(weights.BadWeights):
            weights.read_safetensors(data)


def test_text_limit_is_said_once(models):
    config = json.loads((models / 'clip/starter/config.json').read_text())
    assert config['text_cfg']['context_length'] == text_tower.MAX_TOKENS
