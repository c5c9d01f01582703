"""A thin hand for writing ONNX graphs: nodes in order, each call gives the name of its result."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Opset 20 is the first with Gelu; every ONNX Runtime since 1.17 has it.
OPSET = 20
IR_VERSION = 9


class Graph:
    def __init__(self, name):
        self.name, self.nodes, self.weights = name, [], []

    def weight(self, array):
        """Stores a constant; gives its name."""
        name = f'w{len(self.weights)}'
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def __call__(self, op, *inputs, outputs=None, **attributes):
        """Appends a node. An input is a name or an array, which becomes a weight. Gives the name of the result,
        or the names where `outputs` counts or names several."""
        names = [i if isinstance(i, str) else self.weight(i) for i in inputs]
        if outputs is None:
            outputs = [f'{op}{len(self.nodes)}']
        elif isinstance(outputs, int):
            outputs = [f'{op}{len(self.nodes)}_{i}' for i in range(outputs)]
        self.nodes.append(helper.make_node(op, names, outputs, **attributes))
        return outputs[0] if len(outputs) == 1 else outputs

    def model(self, inputs, outputs, doc):
        """inputs, outputs: {name: (TensorProto type, shape)}. Gives the checked model."""
        values = [[helper.make_tensor_value_info(n, *v) for n, v in group.items()] for group in (inputs, outputs)]
        graph = helper.make_graph(self.nodes, self.name, *values, initializer=self.weights, doc_string=doc)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid('', OPSET)],
            ir_version=IR_VERSION,
            producer_name='fovea make_starter',
        )
        onnx.checker.check_model(model)
        return model


FLOAT, INT32 = TensorProto.FLOAT, TensorProto.INT32


def f32(*values):
    return np.array(values, np.float32)


def i64(*values):
    return np.array(values, np.int64)


def unit_rows(g, x, name):
    """[n, d] rows to length 1, as the graph's output `name`."""
    length = g('ReduceL2', x, i64(1), keepdims=1)
    return g('Div', x, g('Max', length, f32(1e-12)), outputs=[name])
