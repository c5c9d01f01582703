"""Text towers that are run on the beginning of a row alone (src/infer/prefix.h): the same answers, for less work.

The towers here are as small as can be, and written as exports write them: with a free batch, where shapes are computed,
and simplified, where they are numbers. The expected answers are ONNX Runtime's on the whole row."""
import json

import pytest

np = pytest.importorskip('numpy', reason='numpy is not installed')
onnx = pytest.importorskip('onnx', reason='onnx is not installed')
onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
tokenizers = pytest.importorskip('tokenizers', reason='tokenizers is not installed')

from onnx import TensorProto as T, helper as h, numpy_helper  # noqa: E402
from tokenizers import models as model, pre_tokenizers, processors  # noqa: E402

LENGTH, WIDTH = 77, 16
LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())
START, END = '<|startoftext|>', '<|endoftext|>'  # the end has the greatest id, as in CLIP's own vocabulary
WORDS = [*LETTERS, START, END]
PREFIX = b'fovea.prefix'
TEXTS = ['', 'a', 'a photo of a dog on the beach', "Don't stop, it's the red car!", 'закат над морем', '海辺の犬と夕日',
         '<|endoftext|> a <|startoftext|>', 'x' * 74, 'x' * 75, 'x' * 76, 'x ' * 400, 'a zebra behind a tree', 'a <pad> b']


def constant(name, array):
    return h.make_node('Constant', [], [name], value=numpy_helper.from_array(array))


def save_tower(path, kind=T.INT32, simplified=False, causal=True, mask=True, within=False, end=None, n_ids=len(WORDS)):
    """A layer of attention and the vector at the first of the greatest ids, or at the first that is end."""
    rnd = np.random.default_rng(7)
    masks = np.triu(np.full((1, LENGTH, LENGTH), -np.inf, np.float32), 1) if causal else np.zeros((1, LENGTH, LENGTH), np.float32)
    init = {'tokens': rnd.standard_normal((n_ids, WIDTH), np.float32),
            'places': rnd.standard_normal((LENGTH, WIDTH), np.float32),
            'heads': rnd.standard_normal((WIDTH, WIDTH), np.float32) / 4}
    nodes = [h.make_node('Gather', ['tokens', 'text'], ['v']), h.make_node('Add', ['v', 'places'], ['x'])]
    if simplified:
        init['flat'], init['deep'] = np.array([LENGTH, WIDTH]), np.array([1, LENGTH, WIDTH])
        nodes += [h.make_node('Reshape', ['x', 'flat'], ['x2']), h.make_node('MatMul', ['x2', 'heads'], ['q2']),
                  h.make_node('Reshape', ['q2', 'deep'], ['q'])]
    else:
        nodes += [h.make_node('MatMul', ['x', 'heads'], ['q'])]
    nodes += [h.make_node('Transpose', ['x'], ['xt'], perm=[0, 2, 1]), h.make_node('MatMul', ['q', 'xt'], ['s']),
              *([constant('mask', masks), h.make_node('Add', ['s', 'mask'], ['m'])] if mask else [h.make_node('Identity', ['s'], ['m'])]),
              h.make_node('Softmax', ['m'], ['a'], axis=-1), h.make_node('MatMul', ['a', 'x'], ['y']),
              *([] if end is None else [constant('id', np.array(end, h.tensor_dtype_to_np_dtype(kind))),
                                        h.make_node('Equal', ['text', 'id'], ['is']), h.make_node('Cast', ['is'], ['ends'], to=T.INT32)]),
              h.make_node('ArgMax', ['text' if end is None else 'ends'], ['end'], axis=1, keepdims=1),
              h.make_node('GatherND', ['y', 'end'], ['embedding'], batch_dims=1)]
    if within:
        branch = h.make_graph([h.make_node('Identity', ['y'], ['z'])], 'b', [], [h.make_tensor_value_info('z', T.FLOAT, None)])
        nodes[-1] = h.make_node('GatherND', ['z', 'end'], ['embedding'], batch_dims=1)
        init['yes'] = np.array(True)
        nodes.insert(-1, h.make_node('If', ['yes'], ['z'], then_branch=branch, else_branch=branch))
    batch = 1 if simplified else 'n'
    shapes = [h.make_tensor_value_info('x', T.FLOAT, [1, LENGTH, WIDTH])] if simplified else []
    graph = h.make_graph(nodes, 'g', [h.make_tensor_value_info('text', kind, [batch, LENGTH])],
                         [h.make_tensor_value_info('embedding', T.FLOAT, [batch, WIDTH])],
                         [numpy_helper.from_array(a, n) for n, a in init.items()], value_info=shapes)
    path.write_bytes(h.make_model(graph, opset_imports=[h.make_opsetid('', 17)], ir_version=8).SerializeToString())


class Tower:
    """more: tokens with ids beyond that of the end, which pads unless pad does."""

    def __init__(self, models, more=(), pad=END, **how):
        words = [*WORDS, *more]
        self.folder = models / 'clip/tower/textual'
        self.folder.mkdir(parents=True)
        (self.folder.parent / 'config.json').write_text(json.dumps({'embed_dim': WIDTH, 'text_cfg': {}}))
        (self.folder / 'tokenizer_config.json').write_text(json.dumps({'pad_token': pad}))
        self.tokenizer = tokenizers.Tokenizer(model.BPE({word: i for i, word in enumerate(words)}, []))
        self.tokenizer.add_special_tokens([START, END, *more])
        self.tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self.tokenizer.post_processor = processors.RobertaProcessing((END, len(WORDS) - 1), (START, len(WORDS) - 2), False, False)
        self.tokenizer.save(str(self.folder / 'tokenizer.json'))
        self.tokenizer.enable_padding(length=LENGTH, pad_token=pad, pad_id=words.index(pad))
        self.tokenizer.enable_truncation(max_length=LENGTH)
        save_tower(self.folder / 'model.onnx', n_ids=len(words), **how)
        self.session = onnxruntime.InferenceSession(str(self.folder / 'model.onnx'), providers=['CPUExecutionProvider'])
        self.kind = np.int64 if how.get('kind') == T.INT64 else np.int32

    def text(self, text):
        ids = self.tokenizer.encode(' '.join(text.split())).ids
        assert len(ids) == LENGTH and max(ids) >= len(WORDS) - 1
        return self.session.run(None, {'text': np.array([ids], self.kind)})[0][0]


def kept(cache):
    return b''.join(f.read_bytes() for f in cache.glob('*.ort'))


AT_END = {'end': len(WORDS) - 1}  # not at the greatest id, as where words were added to a vocabulary


@pytest.mark.parametrize('how, cut', [
    ({}, True), ({'kind': T.INT64}, True), ({'simplified': True}, True), ({'simplified': True, 'kind': T.INT64}, True),
    ({'causal': False}, False), ({'mask': False}, False), ({'within': True}, False), (AT_END, True), ({'pad': 'a'}, True),
    ({**AT_END, 'more': ['zebra']}, False), ({**AT_END, 'more': ['<pad>'], 'pad': '<pad>'}, False)])
def test_answers_are_the_whole_rows(start, tmp_path, how, cut):
    tower, cache = Tower(tmp_path / 'models', **how), tmp_path / 'cache'
    server = start(folder=tmp_path / 'models', FOVEA_CACHE=str(cache), IMMICH_LOG_LEVEL='debug')
    for text in TEXTS[1:]:
        status, answer = server.predict({'clip': {'textual': {'modelName': 'tower'}}}, text=text)
        assert status == 200, answer
        np.testing.assert_allclose(json.loads(answer['clip']), tower.text(text), rtol=0, atol=2e-6, err_msg=text)
    assert kept(cache), 'no network is kept'
    assert (PREFIX in kept(cache)) == cut
    server.stop()
    assert any('rows are read to their end' in line for line in server.log) != cut


def test_a_form_is_made_once_for_all(fovea, tmp_path):
    """The command line and the service share it, and a changed network gets its own."""
    tower, cache = Tower(tmp_path / 'models'), tmp_path / 'cache'
    say = ['embed', '--model', 'tower', '--text', 'a dog']
    env = {'MACHINE_LEARNING_CACHE_FOLDER': str(tmp_path / 'models'), 'FOVEA_CACHE': str(cache)}
    status, first, err = fovea(*say, **env)
    assert status == 0, err
    [file] = cache.glob('*.ort')
    before = file.stat()
    assert fovea(*say, **env)[:2] == (0, first)
    assert file.stat().st_ino == before.st_ino
    save_tower(tower.folder / 'model.onnx', causal=False)
    status, second, err = fovea(*say, **env)
    assert status == 0 and second != first
    assert PREFIX not in kept(cache)
    np.testing.assert_allclose(json.loads(first), tower.text('a dog'), rtol=0, atol=2e-6)


def test_another_length_is_refused_all_the_same(fovea, tmp_path):
    """A network that takes any length still says which it was."""
    tower = Tower(tmp_path / 'models')
    env = {'MACHINE_LEARNING_CACHE_FOLDER': str(tmp_path / 'models'), 'FOVEA_CACHE': str(tmp_path / 'cache')}
    assert fovea('embed', '--model', 'tower', '--text', 'a dog', **env).status == 0
    config = {'embed_dim': WIDTH, 'text_cfg': {'context_length': 32}}
    (tower.folder.parent / 'config.json').write_text(json.dumps(config))
    status, _, err = fovea('embed', '--model', 'tower', '--text', 'a dog', **env)
    assert status == 1 and 'does not take one list of 32 token ids' in err


def test_no_place_to_keep_it(fovea, tmp_path):
    tower = Tower(tmp_path / 'models')
    (tmp_path / 'file').write_text('')
    status, out, err = fovea('embed', '--model', 'tower', '--text', 'a dog', FOVEA_CACHE=str(tmp_path / 'file/none'),
                             MACHINE_LEARNING_CACHE_FOLDER=str(tmp_path / 'models'))
    assert status == 0, err
    np.testing.assert_allclose(json.loads(out), tower.text('a dog'), rtol=0, atol=2e-6)


def test_weights_in_another_file(start, tmp_path):
    tower, cache = Tower(tmp_path / 'models'), tmp_path / 'cache'
    path = tower.folder / 'model.onnx'
    onnx.save(onnx.load(path), path, save_as_external_data=True, location='weights.bin', size_threshold=64)
    assert (tower.folder / 'weights.bin').exists()
    server = start(folder=tmp_path / 'models', FOVEA_CACHE=str(cache))
    status, answer = server.predict({'clip': {'textual': {'modelName': 'tower'}}}, text='a dog')
    assert status == 200, answer
    np.testing.assert_allclose(json.loads(answer['clip']), tower.text('a dog'), rtol=0, atol=2e-6)
