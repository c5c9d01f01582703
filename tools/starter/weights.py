"""Weights as numpy arrays, from the two formats that the starter's sources use.

Both readers treat the file as hostile: no code in it is run, and each size is checked against the
bytes that are there. All they raise is BadWeights.
"""
import collections
import io
import json
import math
import pickle
import struct

import numpy as np

MAX_HEADER_BYTES = 16 << 20
TORCH_MAGIC = 0x1950A86A20F9469CFC6C
STORAGE_TYPES = {'FloatStorage': '<f4', 'LongStorage': '<i8'}
# What reading a damaged or made-up structure raises before a check of ours meets it.
DAMAGE = (pickle.UnpicklingError, EOFError, ArithmeticError, AttributeError, LookupError, TypeError,
          ValueError)


class BadWeights(Exception):
    """The file is not what it should be; the message says where."""


def read_safetensors(data):
    """name -> f32 array (a view into data) of a .safetensors file held in memory."""
    try:
        header_bytes = int.from_bytes(data[:8], 'little')
        if header_bytes > min(MAX_HEADER_BYTES, len(data) - 8):
            raise BadWeights(f'safetensors: header of {header_bytes} bytes in {len(data)}')
        header = json.loads(bytes(data[8:8 + header_bytes]))
        body = memoryview(data)[8 + header_bytes:]
        return {name: _safetensor(name, entry, body) for name, entry in header.items()
                if name != '__metadata__' and entry['dtype'] == 'F32'}
    except DAMAGE as e:
        raise BadWeights(f'safetensors: damaged: {e!r}') from e


def _safetensor(name, entry, body):
    (begin, end), shape = entry['data_offsets'], entry['shape']
    n = math.prod(shape)
    if not 0 <= begin <= end <= len(body) or end - begin != 4 * n:
        raise BadWeights(f'safetensors: {name} {shape} at {begin}..{end} of {len(body)} bytes')
    return np.frombuffer(body, '<f4', n, begin).reshape(shape)


def read_torch(data):
    """name -> array of a state dict as torch.save wrote it before 1.6: five pickles, then the
    storages."""
    file = io.BytesIO(data)
    try:
        magic, _protocol, _system = (_Unpickler(file).load() for _ in range(3))
        if magic != TORCH_MAGIC:
            raise BadWeights('torch: not a file of the legacy format')
        unpickler = _Unpickler(file)
        tensors = unpickler.load()
        for key in _Unpickler(file).load():
            unpickler.storages[key].read(file)
        return {name: tensor.array() for name, tensor in tensors.items()}
    except DAMAGE as e:
        raise BadWeights(f'torch: damaged: {e!r}') from e


class _Unpickler(pickle.Unpickler):
    """Knows the few names that a state dict needs. Any other is refused, so nothing is run."""

    def __init__(self, file):
        super().__init__(file)
        self.storages = {}

    def find_class(self, module, name):
        if (module, name) == ('collections', 'OrderedDict'):
            return collections.OrderedDict
        if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
            return _Tensor
        if module == 'torch' and name in STORAGE_TYPES:
            return STORAGE_TYPES[name]
        raise BadWeights(f'torch: the pickle asks for {module}.{name}, which weights do not need')

    def persistent_load(self, pid):
        match pid:
            case ('storage', str(dtype), str(key), _, int(n), None) if n >= 0:
                return self.storages.setdefault(key, _Storage(dtype, n))
        raise BadWeights(f'torch: a storage described as {pid!r}')


class _Storage:
    """A run of numbers that tensors look into. Its bytes come after the pickles."""

    def __init__(self, dtype, n):
        self.dtype, self.n, self.values = np.dtype(dtype), n, None

    def read(self, file):
        (n,) = struct.unpack('<q', file.read(8).ljust(8))
        raw = file.read(self.n * self.dtype.itemsize)
        if n != self.n or len(raw) != self.n * self.dtype.itemsize:
            raise BadWeights(f'torch: a storage of {self.n} says {n} and has {len(raw)} bytes')
        self.values = np.frombuffer(raw, self.dtype)


class _Tensor:
    """Where a tensor lies in its storage, until the storage's bytes have been read."""

    def __init__(self, storage, offset, shape, strides, *_):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def array(self):
        last = self.offset + sum((d - 1) * s for d, s in zip(self.shape, self.strides, strict=True))
        if min((self.offset, *self.shape, *self.strides)) < 0 or max(
                math.prod(self.shape) - 1, last) >= self.storage.n:
            raise BadWeights(f'torch: {self.shape} at {self.offset} leaves its {self.storage.n}')
        view = np.lib.stride_tricks.as_strided(
            self.storage.values[self.offset:], self.shape,
            [self.storage.dtype.itemsize * s for s in self.strides], writeable=False)
        return np.ascontiguousarray(view).reshape(self.shape)
