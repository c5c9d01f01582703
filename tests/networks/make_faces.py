#!/usr/bin/env python3
"""make_faces.py [FOLDER]: write toy models of faces, FOLDER being tests/models. Needs PyPI's onnx.

  toy               the signatures of InsightFace's SCRFD (nine heads) and ArcFace (any batch)
  toy_yunet_sface   those of OpenCV Zoo's YuNet (twelve heads) and SFace (a batch of one)

The detectors take bright places for faces. Weights are seeded, so the files are always the same."""
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto as T, helper as h, numpy_helper

folder = pathlib.Path(sys.argv[1] if sys.argv[1:] else pathlib.Path(__file__).parent.parent / 'models')
random = np.random.default_rng(5)
POINTS = np.array([-.6, -.4, .6, -.4, 0, 0, -.5, .6, .5, .6])  # in half boxes, from the centre


def save(model, kind, nodes, inputs, outputs, init):
    values = [[h.make_tensor_value_info(n, T.FLOAT, shape) for n, shape in group] for group in (inputs, outputs)]
    graph = h.make_graph(nodes, kind, *values, [numpy_helper.from_array(a, n) for n, a in init])
    proto = h.make_model(graph, opset_imports=[h.make_opsetid('', 17)], ir_version=8, producer_name='fovea tests')
    onnx.checker.check_model(proto)
    path = folder / 'facial-recognition' / model / kind / 'model.onnx'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(proto.SerializeToString())


def detector(model, heads, anchors, lead, unit, black):
    """heads: (name, width, bias, is it squashed to 0..1), each once a stride. Pixels are black at `black`,
    white at `black` + 2 / `unit`."""
    nodes, outputs, init = [], [], []
    for stride in (8, 16, 32):
        nodes.append(h.make_node('AveragePool', ['input'], [f'cells{stride}'], kernel_shape=[stride] * 2,
                                 strides=[stride] * 2))
    for name, width, bias, squashed in heads:
        for stride in (8, 16, 32):
            n = (640 // stride) ** 2 * anchors
            weight = random.normal(2, .1, (anchors * width, 3)) if squashed else random.normal(0, .02, (anchors * width, 3))
            b = np.tile(np.broadcast_to(bias, width), anchors) + random.normal(0, .05, anchors * width)
            weight, b = weight * unit, b - (weight.sum(1) * (1 + black * unit) if squashed else 0)
            b -= squashed * (3 if stride == 16 else 5)
            o, shape = f'{name}_{stride}', [*lead, n, width]
            init += [(f'{o}.w', weight.astype(np.float32)[..., None, None]), (f'{o}.b', b.astype(np.float32)),
                     (f'{o}.s', np.array(shape))]
            nodes += [h.make_node('Conv', [f'cells{stride}', f'{o}.w', f'{o}.b'], [f'{o}.c']),
                      h.make_node('Transpose', [f'{o}.c'], [f'{o}.t'], perm=[0, 2, 3, 1]),
                      h.make_node('Reshape', [f'{o}.t', f'{o}.s'], [f'{o}.r' if squashed else o])]
            if squashed:
                nodes.append(h.make_node('Sigmoid', [f'{o}.r'], [o]))
            outputs.append((o, shape))
    save(model, 'detection', nodes, [('input', [1, 3, 640, 640])], outputs, init)


def recognizer(model, batch, dim, unit):
    weight = random.normal(0, unit, (48, dim)).astype(np.float32)
    save(model, 'recognition',
         [h.make_node('AveragePool', ['data'], ['cells'], kernel_shape=[28, 28], strides=[28, 28]),
          h.make_node('Flatten', ['cells'], ['flat']), h.make_node('MatMul', ['flat', 'w'], ['fc1'])],
         [('data', [batch, 3, 112, 112])], [('fc1', [batch, dim])], [('w', weight)])


detector('toy', [('score', 1, 0, True), ('box', 4, 2, False), ('points', 10, 2 * POINTS, False)], 2, [], 1, -1)
recognizer('toy', 'batch', 32, 1)
detector('toy_yunet_sface', [('cls', 1, 0, True), ('obj', 1, 0, True), ('bbox', 4, [.5, .5, 1, 1.2], False),
                             ('kps', 10, 1.5 * POINTS + .5, False)], 1, [1], 1 / 128, 0)
recognizer('toy_yunet_sface', 1, 128, 1 / 128)
