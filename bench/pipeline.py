"""The plain Python way to the vectors of a CLIP model folder: Pillow, tokenizers and ONNX Runtime.

It is what fovea is measured against, for speed by the benches and for value by tests/golden. It
follows Immich's machine-learning service (immich_ml/models/clip, transforms.py) in its arithmetic;
a picture is read as the library reads it: upright, alpha over black.

    model = Model('~/.cache/fovea/models/clip/starter')
    score = model.embed_image('cat.jpg') @ model.embed_text('a cat')
"""
import json
import pathlib

import numpy as np
import onnxruntime
import PIL.Image
import PIL.ImageOps
import tokenizers


class Model:
    """Both towers of a folder in the layout of Immich. Sessions are made when first asked for."""

    def __init__(self, folder, threads=0):
        self.folder = pathlib.Path(folder).expanduser()
        self.threads = threads  # of one run; 0: one a core
        self._opened = {}

    def embed_image(self, path):
        """[dim] f32, as the network gives it."""
        return self.embed_images([path])[0]

    def embed_images(self, paths):
        """[n, dim] f32, in one run of the network."""
        return self.embed_tensors(np.stack([self.prepare(view(path)) for path in paths]))

    def embed_tensors(self, tensors):
        """[n, 3, size, size] f32 -> [n, dim] f32"""
        session = self._open('visual')
        return session.run(None, {session.get_inputs()[0].name: tensors})[0]

    def embed_text(self, text):
        """[dim] f32, as the network gives it."""
        session = self._open('textual')
        encoded = self._tokenizer(session).encode(' '.join(text.split()))
        feed = {}
        for port in session.get_inputs():
            row = encoded.attention_mask if port.name == 'attention_mask' else encoded.ids
            kind = np.int64 if port.type == 'tensor(int64)' else np.int32
            feed[port.name] = np.array([row], kind)
        return session.run(None, feed)[0][0]

    def prepare(self, image):
        """An RGB image -> [3, size, size] f32 by visual/preprocess_cfg.json."""
        cfg = self._json('visual/preprocess_cfg.json')
        size = cfg['size'] if isinstance(cfg['size'], int) else cfg['size'][0]
        if cfg['resize_mode'] != 'shortest':
            raise ValueError(f'{self.folder}: resize_mode {cfg["resize_mode"]} is not done here')
        width, height = size, size
        if image.width < image.height:
            height = int(image.height / image.width * size)
        else:
            width = int(image.width / image.height * size)
        image = image.resize((width, height), PIL.Image.Resampling[cfg['interpolation'].upper()])
        left, top = int(image.width / 2 - size / 2), int(image.height / 2 - size / 2)
        pixels = np.asarray(image.crop((left, top, left + size, top + size)), np.float32) / 255
        mean, std = (np.array(cfg[name], np.float32) for name in ('mean', 'std'))
        pixels *= 1 / std
        pixels -= mean / std
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def _open(self, tower):
        if tower not in self._opened:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self.threads
            self._opened[tower] = onnxruntime.InferenceSession(
                self.folder / tower / 'model.onnx', options, providers=['CPUExecutionProvider'])
        return self._opened[tower]

    def _tokenizer(self, session):
        """Cut at the context length; padded to it where the network is not told what is padding."""
        if 'tokenizer' not in self._opened:
            tokenizer = tokenizers.Tokenizer.from_file(str(self.folder / 'textual/tokenizer.json'))
            length = self._json('config.json')['text_cfg'].get('context_length', 77)
            tokenizer.enable_truncation(max_length=length)
            tokenizer.no_padding()
            if 'attention_mask' not in [port.name for port in session.get_inputs()]:
                pad = self._json('textual/tokenizer_config.json')['pad_token']
                tokenizer.enable_padding(length=length, pad_token=pad,
                                         pad_id=tokenizer.token_to_id(pad))
            self._opened['tokenizer'] = tokenizer
        return self._opened['tokenizer']

    def _json(self, name):
        if name not in self._opened:
            self._opened[name] = json.loads((self.folder / name).read_text())
        return self._opened[name]


def view(path):
    """The picture as a person sees it: RGB, upright, transparent parts over black."""
    with PIL.Image.open(path) as file:
        image = PIL.ImageOps.exif_transpose(file)
    if image.has_transparency_data:
        image = image.convert('RGBA')
        image = PIL.Image.alpha_composite(PIL.Image.new('RGBA', image.size, (0, 0, 0, 255)), image)
    return image.convert('RGB')
