#!/usr/bin/env python3
"""Write the tiny networks beside this file, which the C tests of infer/ load. Needs PyPI's onnx.

  scale.onnx   x f32 [n, 3] -> y = 2x + 1
  three.onnx   x i64 [n] -> x as f32, as i32, as u8
  half.onnx    x f16 [n] -> x: a type that infer/ does not hold
  huge.onnx    shape i64 [2] -> zeros f32 of that shape, so a run asks for any amount of memory
  rows.onnx    x f32 [n, 16] -> y f32 [n, 4], one product of matrices
  conv.onnx    x f32 [n, 3, 8, 8] -> two convolutions, mean: what is laid out for the CPU when prepared
"""
import pathlib

import numpy as np
import onnx
from onnx import TensorProto as T, helper as h, numpy_helper

here = pathlib.Path(__file__).parent


def save(name, nodes, inputs, outputs, init=()):
    values = [[h.make_tensor_value_info(*v) for v in group] for group in (inputs, outputs)]
    graph = h.make_graph(nodes, name, *values, [numpy_helper.from_array(a, n) for n, a in init])
    model = h.make_model(graph, opset_imports=[h.make_opsetid('', 17)], ir_version=8, producer_name='fovea tests')
    onnx.checker.check_model(model)
    (here / f'{name}.onnx').write_bytes(model.SerializeToString())


save('scale', [h.make_node('Mul', ['x', 'two'], ['d']), h.make_node('Add', ['d', 'one'], ['y'])],
     [('x', T.FLOAT, ['n', 3])], [('y', T.FLOAT, ['n', 3])],
     [('two', np.full(3, 2, np.float32)), ('one', np.ones(3, np.float32))])
save('three', [h.make_node('Cast', ['x'], [o], to=t) for o, t in (('f', T.FLOAT), ('i', T.INT32), ('u', T.UINT8))],
     [('x', T.INT64, ['n'])], [('f', T.FLOAT, ['n']), ('i', T.INT32, ['n']), ('u', T.UINT8, ['n'])])
save('half', [h.make_node('Identity', ['x'], ['y'])], [('x', T.FLOAT16, ['n'])], [('y', T.FLOAT16, ['n'])])
save('huge', [h.make_node('ConstantOfShape', ['shape'], ['y'])], [('shape', T.INT64, [2])], [('y', T.FLOAT, ['a', 'b'])])
save('rows', [h.make_node('MatMul', ['x', 'm'], ['y'])], [('x', T.FLOAT, ['n', 16])], [('y', T.FLOAT, ['n', 4])],
     [('m', np.arange(64, dtype=np.float32).reshape(16, 4) / 8 - 4)])

random = np.random.default_rng(1)
save('conv',
     [h.make_node('Conv', ['x', 'w1', 'b1'], ['c1'], pads=[1, 1, 1, 1]), h.make_node('Relu', ['c1'], ['r1']),
      h.make_node('Conv', ['r1', 'w2', 'b2'], ['c2']), h.make_node('GlobalAveragePool', ['c2'], ['p']),
      h.make_node('Flatten', ['p'], ['y'])],
     [('x', T.FLOAT, ['n', 3, 8, 8])], [('y', T.FLOAT, ['n', 16])],
     [('w1', random.standard_normal((16, 3, 3, 3), np.float32)), ('b1', random.standard_normal(16, np.float32)),
      ('w2', random.standard_normal((16, 16, 1, 1), np.float32)), ('b2', random.standard_normal(16, np.float32))])
