"""A thin hand for writing ONNX graphs: nodes in order, each call gives the name of its result."""
import hashlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Opset 20 is the first with Gelu; every ONNX Runtime since 1.17 has it.
OPSET = 20
IR_VERSION = 9
FLOAT, INT32 = TensorProto.FLOAT, TensorProto.INT32


class Graph:
    def __init__(self, name):
        self.name, self.nodes, self.weights = name, [], []

    def __call__(self, op, *inputs, outputs=1, **attributes):
        """Appends a node. An input is a name, or an array, which becomes a weight; outputs is how
        many there are, or a name for the only one. Gives the result's name, of several the list."""
        names = [i if isinstance(i, str) else self._weight(i) for i in inputs]
        if isinstance(outputs, int):
            results = [f'{op}{len(self.nodes)}_{i}' for i in range(outputs)]
        else:
            results = [outputs]
        self.nodes.append(helper.make_node(op, names, results, **attributes))
        return results if len(results) > 1 else results[0]

    def _weight(self, array):
        name = f'w{len(self.weights)}'
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def model(self, inputs, outputs):
        """inputs, outputs: {name: (TensorProto type, shape)}. Gives the checked model."""
        inputs, outputs = ([helper.make_tensor_value_info(n, *v) for n, v in ports.items()]
                           for ports in (inputs, outputs))
        graph = helper.make_graph(self.nodes, self.name, inputs, outputs, initializer=self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', OPSET)],
                                  ir_version=IR_VERSION, producer_name='fovea make_starter')
        onnx.checker.check_model(model)
        # So that a hash of the graph's file is one of the weights too, wherever they are kept.
        digest = hashlib.sha256(b''.join(w.raw_data for w in self.weights))
        helper.set_model_props(model, {'weights_sha256': digest.hexdigest()})
        return model


def save(model, path):
    onnx.save(model, path)


def save_mappable(model, path):
    """With the weights in a file beside it, which ONNX Runtime maps instead of parsing it: the
    session is there in half the time and with half the memory (docs/starter.md has the figures)."""
    data = path.with_name(path.name + '.data')
    onnx.save(model, path, save_as_external_data=True, location=data.name, size_threshold=1024)
    data.chmod(path.stat().st_mode)


def f32(*values):
    return np.array(values, np.float32)


def i64(*values):
    return np.array(values, np.int64)


def unit_rows(g, x, name):
    """[n, d] rows to length 1, as the graph's output `name`."""
    length = g('ReduceL2', x, i64(1), keepdims=1)
    return g('Div', x, g('Max', length, f32(1e-12)), outputs=name)
