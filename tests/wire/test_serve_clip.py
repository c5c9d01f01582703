"""Every family of CLIP that Immich offers, through `fovea serve` and `fovea embed --contract reference`.

A family is here a tokenizer of its kind, trained on a few sentences, its configuration files, and networks of its
inputs whose answers tell what they were fed. The expected answers are made as Immich's service makes them
(models/clip/textual.py, visual.py): tokenizers, Pillow and ONNX Runtime in Python on the same files."""
import json
import string

import pytest

np = pytest.importorskip('numpy', reason='numpy is not installed')
onnx = pytest.importorskip('onnx', reason='onnx is not installed')
onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
tokenizers = pytest.importorskip('tokenizers', reason='tokenizers is not installed')
Image = pytest.importorskip('PIL.Image', reason='Pillow is not installed')

from onnx import TensorProto as T, helper as h, numpy_helper  # noqa: E402
from tokenizers import (AddedToken, Regex, Tokenizer, models as model, normalizers, pre_tokenizers,  # noqa: E402
                        processors, trainers)

SENTENCES = ['a photo of a dog on the beach', "Don't stop, it's the red car!", 'Zwei Kinder am Strand, 1987',
             'Une fête à la montagne en été', 'Αθήνα, ΣΟΦΟΣ', 'закат над морем', '海辺の犬と夕日', 'snow & ice: 3 cats']
TEXTS = [*SENTENCES, ' \t\n ', '  two   spaces\u3000wide ', 'x ' * 400, 'ΑΣ. “Quoted” — snow_man?! (2024)',
         '👩‍👩‍👧 İstanbul ﬁne', '<mask> deu_Latn </s> a', 'eng_Latn']
LANGUAGES = {'de': 'deu_Latn', 'de-AT': 'deu_Latn', 'pt-BR': 'por_Latn', 'zh-TW': 'zho_Hant', 'xx': 'eng_Latn',
             'zh': 'eng_Latn', '': 'eng_Latn'}


def template(t, single, *tokens):
    t.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[(token, t.token_to_id(token)) for token in tokens])
    return t


def train(m, trainer, normalizer, pre):
    t = Tokenizer(m)
    t.normalizer, t.pre_tokenizer = normalizer, pre
    t.train_from_iterator(SENTENCES * 20, trainer)
    return t


def clip_bpe():
    start, end = '<|startoftext|>', '<|endoftext|>'
    words = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    t = train(model.BPE(unk_token=end, end_of_word_suffix='</w>'),
              trainers.BpeTrainer(vocab_size=700, special_tokens=[start, end], end_of_word_suffix='</w>',
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False),
              normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r'\s+'), ' '), normalizers.Lowercase()]),
              pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(words), 'removed', invert=True),
                                       pre_tokenizers.ByteLevel(add_prefix_space=False)]))
    t.post_processor = processors.RobertaProcessing((end, 1), (start, 0), False, False)
    return t


def unigram(single, *specials):
    t = train(model.Unigram(), trainers.UnigramTrainer(vocab_size=300, unk_token='<unk>', special_tokens=[*specials, '<unk>'],
                                                       show_progress=False),
              normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(' {2,}'), ' ')]),
              pre_tokenizers.Metaspace())
    return template(t, single, *(s for s in specials if s in single))


def gemma():
    t = train(model.BPE(unk_token='<unk>', fuse_unk=True, byte_fallback=True),
              trainers.BpeTrainer(vocab_size=500, special_tokens=['<pad>', '<eos>', '<bos>', '<unk>', *(
                  f'<0x{b:02X}>' for b in range(256))], limit_alphabet=100, show_progress=False),
              normalizers.Replace(' ', '▁'), pre_tokenizers.Split('▁', 'merged_with_next'))
    t.pre_tokenizer = pre_tokenizers.Split(' ', 'merged_with_previous')
    return template(t, '$A <eos>', '<eos>')


def nllb():
    t = train(model.BPE(unk_token='<unk>', fuse_unk=True),
              trainers.BpeTrainer(vocab_size=400, special_tokens=['<s>', '<pad>', '</s>', '<unk>'], show_progress=False),
              normalizers.NFKC(), pre_tokenizers.Metaspace())
    t.add_special_tokens([AddedToken(code, normalized=False) for code in sorted({*LANGUAGES.values(), 'fra_Latn'})])
    return template(t, 'eng_Latn $A </s>', 'eng_Latn', '</s>')


def labse():
    t = train(model.WordPiece(unk_token='[UNK]'),
              trainers.WordPieceTrainer(vocab_size=400, special_tokens=['[PAD]', '[UNK]', '[CLS]', '[SEP]'],
                                        show_progress=False),
              normalizers.BertNormalizer(lowercase=False), pre_tokenizers.BertPreTokenizer())
    t.post_processor = processors.BertProcessing(('[SEP]', 3), ('[CLS]', 2))
    return t


def xlm_roberta():
    return unigram('<s> $A </s>', '<s>', '<pad>', '</s>')


def t5():
    return unigram('$A </s>', '<pad>', '</s>')


CLEAN = {'tokenizer_kwargs': {'clean': 'canonicalize'}}
# name: the tokenizer, its padding, text_cfg, the type of the ids, whether a mask is asked for, a picture's side
FAMILIES = {
    'ViT-B-32__openai': (clip_bpe, '<|endoftext|>', {'context_length': 77}, T.INT32, False, 224),
    'RN50x4__openai': (clip_bpe, '<|endoftext|>', {}, T.INT64, False, [288, 288]),
    'ViT-B-16-SigLIP-256__webli': (t5, '</s>', {'context_length': 64, **CLEAN}, T.INT64, False, [256, 256]),
    'ViT-B-32-SigLIP2-256__webli': (gemma, '<pad>', {'context_length': 64, **CLEAN}, T.INT32, False, [256, 256]),
    'XLM-Roberta-Base-ViT-B-32__laion5b_s13b_b90k': (xlm_roberta, '<pad>', {}, T.INT32, False, 224),
    'nllb-clip-base-siglip__v1': (nllb, '<pad>', {'context_length': 64}, T.INT32, False, [384, 384]),
    'XLM-Roberta-Large-Vit-B-16Plus': (xlm_roberta, '<pad>', {'context_length': 77}, T.INT32, True, 240),
    'LABSE-Vit-L-14': (labse, '[PAD]', {'context_length': 77}, T.INT64, True, 224),
}


def save(path, nodes, inputs, output, init=()):
    ports = [[h.make_tensor_value_info(*p) for p in group] for group in (inputs, [output])]
    graph = h.make_graph(nodes, 'g', *ports, [numpy_helper.from_array(a, n) for n, a in init])
    proto = h.make_model(graph, opset_imports=[h.make_opsetid('', 17)], ir_version=8, producer_name='fovea tests')
    onnx.checker.check_model(proto)
    path.write_bytes(proto.SerializeToString())


def save_text(path, kind, length):
    """OpenCLIP's signature; the vector is the ids."""
    save(path, [h.make_node('Cast', ['text'], ['embedding'], to=T.FLOAT)], [('text', kind, ['n', length])],
         ('embedding', T.FLOAT, ['n', length]))


def save_masked(path, kind):
    """M-CLIP's: the mean over what is no padding of random vectors, one an id, weighted by random ones, one a place."""
    rnd = np.random.default_rng(1)
    save(path,
         [h.make_node('Gather', ['tokens', 'input_ids'], ['v']), h.make_node('Shape', ['input_ids'], ['n'], start=1),
          h.make_node('Slice', ['places', 'zero', 'n'], ['p']), h.make_node('Mul', ['v', 'p'], ['vp']),
          h.make_node('Cast', ['attention_mask'], ['m'], to=T.FLOAT), h.make_node('Unsqueeze', ['m', 'two'], ['m3']),
          h.make_node('Mul', ['vp', 'm3'], ['kept']), h.make_node('ReduceSum', ['kept', 'one'], ['sum'], keepdims=0),
          h.make_node('ReduceSum', ['m', 'one'], ['count'], keepdims=1), h.make_node('Div', ['sum', 'count'], ['y'])],
         [(name, kind, ['n', 'length']) for name in ('input_ids', 'attention_mask')], ('y', T.FLOAT, ['n', 32]),
         [('tokens', rnd.standard_normal((1000, 32), np.float32)), ('places', rnd.standard_normal((77, 32), np.float32)),
          *((name, np.array([i])) for i, name in enumerate(('zero', 'one', 'two')))])


def save_visual(path, side):
    """The means of 8 x 8 squares."""
    save(path, [h.make_node('AveragePool', ['image'], ['p'], kernel_shape=[side // 8] * 2, strides=[side // 8] * 2),
                h.make_node('Flatten', ['p'], ['embedding'])],
         [('image', T.FLOAT, ['n', 3, side, side])], ('embedding', T.FLOAT, ['n', 192]))


class Family:
    """The model of that name under models, and what the reference answers of it."""

    def __init__(self, models, name):
        make, self.pad, self.text_cfg, self.kind, self.masked, size = FAMILIES[name]
        self.name, self.folder = name, models / 'clip' / name
        self.side = size[0] if isinstance(size, list) else size
        self.length = self.text_cfg.get('context_length', 77)
        self.mean, self.std = np.array([.48, .45, .4], np.float32), np.array([.26, .27, .28], np.float32)
        for part in ('textual', 'visual'):
            (self.folder / part).mkdir(parents=True)
        (self.folder / 'config.json').write_text(json.dumps({'embed_dim': 8, 'text_cfg': self.text_cfg}))
        (self.folder / 'textual/tokenizer_config.json').write_text(json.dumps({'pad_token': self.pad}))
        (self.folder / 'visual/preprocess_cfg.json').write_text(json.dumps({
            'size': size, 'mode': 'RGB', 'mean': self.mean.tolist(), 'std': self.std.tolist(),
            'interpolation': 'bicubic', 'resize_mode': 'squash' if 'lip-' in name.lower() else 'shortest', 'fill_color': 0}))
        self.tokenizer = make()
        self.tokenizer.save(str(self.folder / 'textual/tokenizer.json'))
        self.tokenizer.enable_padding(length=self.length, pad_token=self.pad, pad_id=self.tokenizer.token_to_id(self.pad))
        self.tokenizer.enable_truncation(max_length=self.length)
        network = self.folder / 'textual/model.onnx'
        if self.masked:
            save_masked(network, self.kind)
        else:
            save_text(network, self.kind, self.length)
        save_visual(self.folder / 'visual/model.onnx', self.side)
        self.sessions = {part: onnxruntime.InferenceSession(str(self.folder / part / 'model.onnx'),
                                                            providers=['CPUExecutionProvider'])
                         for part in ('textual', 'visual')}

    def text(self, text, language=None):
        text = ' '.join(text.split())
        if 'tokenizer_kwargs' in self.text_cfg:
            text = text.translate(str.maketrans('', '', string.punctuation)).lower()
        if self.name.startswith('nllb') and language is not None:
            text = LANGUAGES[language] + text
        tokens = self.tokenizer.encode(text)
        given = {'input_ids': tokens.ids, 'attention_mask': tokens.attention_mask} if self.masked else {'text': tokens.ids}
        kind = np.int64 if self.kind == T.INT64 else np.int32
        return self.sessions['textual'].run(None, {k: np.array([v], kind) for k, v in given.items()})[0][0]

    def image(self, path):
        im, side = Image.open(path).convert('RGB'), self.side
        scaled = (side, int(im.height / im.width * side)) if im.width < im.height else (int(im.width / im.height * side), side)
        im = im.resize(scaled, Image.Resampling.BICUBIC)
        left, upper = int(scaled[0] / 2 - side / 2), int(scaled[1] / 2 - side / 2)
        x = np.asarray(im.crop((left, upper, left + side, upper + side)), np.float32) / 255
        x = x * (1 / self.std) - self.mean / self.std
        return self.sessions['visual'].run(None, {'image': x.transpose(2, 0, 1)[None]})[0][0]


@pytest.fixture(params=FAMILIES)
def family(models, request):
    return Family(models, request.param)


def entry(family, kind, **options):
    return {'clip': {kind: {'modelName': family.name, 'options': options}}}


def test_words(server, family):
    for text in TEXTS:
        for options in ({}, {'language': None}, *({'language': code} for code in LANGUAGES)):
            status, answer = server.predict(entry(family, 'textual', **options), text=text)
            assert status == 200, (text, options, answer)
            want = family.text(text, options.get('language'))
            got = np.array(json.loads(answer['clip']), np.float32)
            if family.masked:
                np.testing.assert_allclose(got, want, rtol=0, atol=1e-6, err_msg=text)
            else:
                assert got.tolist() == want.tolist(), (text, options)
    server.stop()
    assert any('language "xx" is not known' in line for line in server.log) == family.name.startswith('nllb')


def test_words_on_the_command_line(fovea, models, family):
    for text in (SENTENCES[2], '', 'x ' * 400):
        status, out, err = fovea('embed', '--model', family.name, '--text', text, MACHINE_LEARNING_CACHE_FOLDER=str(models))
        assert status == 0, err
        np.testing.assert_allclose(np.array(json.loads(out), np.float32), family.text(text), rtol=0, atol=1e-6)


@pytest.mark.parametrize('size', [(300, 200), (201, 302), (64, 64), (40, 900)])
def test_a_picture(server, fovea, models, pictures, family, size):
    path = pictures('p.png', 3, size)
    status, answer = server.predict(entry(family, 'visual'), image=path.read_bytes())
    want = family.image(path)
    assert status == 200
    np.testing.assert_allclose(json.loads(answer['clip']), want, rtol=0, atol=2e-5)
    status, out, err = fovea('embed', '--model', family.name, '--contract', 'reference', '--image', path,
                             MACHINE_LEARNING_CACHE_FOLDER=str(models))
    assert status == 0, err
    assert json.loads(out) == json.loads(answer['clip'])
