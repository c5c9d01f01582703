"""Weights as numpy arrays, from the two formats that the starter's sources use.

Both readers treat the file as hostile: no code in it is run, and each size is checked against the
bytes that are there.
"""

import collections
import io
import json
import pickle
import struct

import numpy as np

MAX_HEADER_BYTES = 16 << 20
TORCH_MAGIC = 0x1950A86A20F9469CFC6C
STORAGE_TYPES = {'FloatStorage': '<f4', 'LongStorage': '<i8'}


class BadWeights(Exception):
    """The file is not what it should be; the message says where."""


def read_safetensors(data):
    """name -> array (f32, a view into data) of a .safetensors file held in memory."""
    if len(data) < 8:
        raise BadWeights('safetensors: shorter than its length field')
    header_bytes = struct.unpack_from('<Q', data)[0]
    if header_bytes > min(MAX_HEADER_BYTES, len(data) - 8):
        raise BadWeights(f'safetensors: header of {header_bytes} bytes in a file of {len(data)}')
    header = json.loads(bytes(data[8 : 8 + header_bytes]))
    body = memoryview(data)[8 + header_bytes :]
    return {n: _safetensor(n, e, body) for n, e in header.items() if n != '__metadata__' and e['dtype'] == 'F32'}


def _safetensor(name, entry, body):
    begin, end = entry['data_offsets']
    n = int(np.prod(entry['shape'], dtype=object))
    if not 0 <= begin <= end <= len(body) or end - begin != 4 * n:
        raise BadWeights(f"safetensors: {name} at {begin}..{end} does not fit {entry['shape']} in {len(body)} bytes")
    return np.frombuffer(body, '<f4', n, begin).reshape(entry['shape'])


class _Storage:
    """A run of numbers that tensors look into; its bytes come after the pickles."""

    def __init__(self, dtype, n):
        self.dtype, self.n, self.values = np.dtype(dtype), n, None


class _Tensor:
    """Where a tensor lies in its storage, until the storage's bytes have been read."""

    def __init__(self, storage, offset, shape, strides, *_):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def array(self):
        n = int(np.prod(self.shape, dtype=object))
        last = self.offset + sum((d - 1) * s for d, s in zip(self.shape, self.strides, strict=True))
        if min((self.offset, *self.shape, *self.strides)) < 0 or max(n - 1, last) >= self.storage.n:
            raise BadWeights(f'torch: tensor {self.shape} at {self.offset} leaves its storage of {self.storage.n}')
        step = self.storage.dtype.itemsize
        view = np.lib.stride_tricks.as_strided(
            self.storage.values[self.offset :], self.shape, [step * s for s in self.strides], writeable=False
        )
        return np.ascontiguousarray(view).reshape(self.shape)


class _Unpickler(pickle.Unpickler):
    """Knows the four names that a state dict needs; every other global is refused, so nothing runs."""

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


def read_torch(data):
    """name -> array of a state dict in torch's format from before 1.6 (five pickles, then the raw storages)."""
    file = io.BytesIO(data)
    try:
        magic, _protocol, _system = (_Unpickler(file).load() for _ in range(3))
        if magic != TORCH_MAGIC:
            raise BadWeights("torch: not a file of torch.save's legacy format")
        unpickler = _Unpickler(file)
        tensors = unpickler.load()
        keys = _Unpickler(file).load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError) as e:
        raise BadWeights(f'torch: damaged pickle: {e}') from e
    for key in keys:
        _read_storage(file, key, unpickler.storages)
    return {name: tensor.array() for name, tensor in tensors.items()}


def _read_storage(file, key, storages):
    storage = storages.get(key)
    head = file.read(8)
    if storage is None or len(head) < 8 or struct.unpack('<q', head)[0] != storage.n:
        raise BadWeights(f'torch: storage {key!r} is missing, cut short or of another size than announced')
    raw = file.read(storage.n * storage.dtype.itemsize)
    if len(raw) < storage.n * storage.dtype.itemsize:
        raise BadWeights(f'torch: storage {key!r} is cut short')
    storage.values = np.frombuffer(raw, storage.dtype)
