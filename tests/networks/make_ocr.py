#!/usr/bin/env python3
"""make_ocr.py [FOLDER]: write a toy model of text, FOLDER being tests/models. Needs PyPI's onnx.

  toy       the signatures of PP-OCR's detector and recogniser

The detector takes bright places for lines; the recogniser reads the brightest colour of each eighth of a
line's height: R, G, B and W, of black nothing. XX__toy reads the same as r, g, b and w."""
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto as T, helper as h, numpy_helper

folder = pathlib.Path(sys.argv[1] if sys.argv[1:] else pathlib.Path(__file__).parent.parent / 'models')


def save(model, kind, nodes, y, shape, of, init, metadata=()):
    ports = [[h.make_tensor_value_info(name, T.FLOAT, dims)] for name, dims in (('x', of), (y, shape))]
    graph = h.make_graph(nodes, kind, *ports, [numpy_helper.from_array(a, n) for n, a in init])
    proto = h.make_model(graph, opset_imports=[h.make_opsetid('', 17)], ir_version=8, producer_name='fovea tests')
    for key, value in metadata:
        proto.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(proto)
    path = folder / 'ocr' / model / kind / 'model.onnx'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(proto.SerializeToString())


def weights(rows):
    return np.array(rows, np.float32)[:, :, None, None]


# The reference feeds 0 (black) to 2, and 0.67 is the mean of pure red.
save('toy', 'detection',
     [h.make_node('Conv', ['x', 'w', 'b'], ['light']), h.make_node('Sigmoid', ['light'], ['map'])],
     'map', ['n', 1, 'h', 'w'], ['n', 3, 'h', 'w'],
     [('w', weights([[20 / 3] * 3])), ('b', np.array([-8], np.float32))])
# -1 to 1, blue first. The rows: nothing, R, G, B, W, the space.
for name, letters in (('toy', 'RGBW'), ('XX__toy', 'rgbw')):
    save(name, 'recognition',
         [h.make_node('MaxPool', ['x'], ['cells'], kernel_shape=[48, 6], strides=[48, 6]),
          h.make_node('Conv', ['cells', 'w', 'b'], ['votes']), h.make_node('Softmax', ['votes'], ['soft'], axis=1),
          h.make_node('Squeeze', ['soft', 'axis'], ['flat']), h.make_node('Transpose', ['flat'], ['steps'], perm=[0, 2, 1])],
         'steps', ['n', 't', 6], ['n', 3, 48, 'w'],
         [('w', weights([[-6, -6, -6], [-6, -6, 6], [-6, 6, -6], [6, -6, -6], [6, 6, 6], [0, 0, 0]])),
          ('b', np.array([1, 0, 0, 0, 0, -20], np.float32)), ('axis', np.array([2]))],
         [('character', '\n'.join(letters))])
