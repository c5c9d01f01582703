"""EfficientNet-Lite0 with ConSE on top: one graph.

The network names what it sees: a probability for each of ImageNet's 1000 classes. ConSE (Norouzi
et al., "Zero-Shot Learning by Convex Combination of Semantic Embeddings", 2014) makes a vector of
that: the mean of the class texts' vectors, weighted by the probabilities. So the image lands in the
space of the text tower.

Matches the PyTorch port that the weights come from: batch norms (folded into the convolutions
here), ReLU6, TensorFlow's "same" padding for 224 x 224, of which an odd column or row goes right or
below. Of 1000 of ImageNet's photos, one a class, it names 87 % right (it may have learnt some).
"""
import numpy as np

from .graph import FLOAT, Graph, f32, i64, unit_rows

SIZE = 224
BN_EPS = 1e-3
# Above 1, the second and third guess count for more; chosen as classes.py says.
TEMPERATURE = 1.25
# (rgb - 127) / 128, as the weights were trained. The PyTorch port's examples normalise otherwise,
# which costs confidence.
PREPROCESS = {
    'size': SIZE,
    'mode': 'RGB',
    'mean': [127 / 255] * 3,
    'std': [128 / 255] * 3,
    'interpolation': 'bicubic',
    'resize_mode': 'shortest',
    'fill_color': 0,
}
# Strides of the 16 blocks. All other shapes are in the weights.
STRIDES = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]


def build(w, class_vectors):
    """w: name -> array of the checkpoint. class_vectors: f32 [1000, dim]. Gives the onnx model:
    image f32 [batch, 3, 224, 224] -> embedding f32 [batch, dim]."""
    g = Graph('image')
    share = g('Softmax', classify(g, w, TEMPERATURE), axis=1)
    unit_rows(g, g('MatMul', share, class_vectors), 'embedding')
    return g.model({'image': (FLOAT, ['batch', 3, SIZE, SIZE])},
                   {'embedding': (FLOAT, ['batch', class_vectors.shape[1]])})


def classify(g, w, temperature):
    """Appends the network; gives the name of its logits [batch, 1000] over the temperature."""
    x, size = _conv(g, w, 'image', SIZE, '_conv_stem', '_bn0', stride=2)
    for i, stride in enumerate(STRIDES):
        x, size = _block(g, w, f'_blocks.{i}.', x, size, stride)
    x, size = _conv(g, w, x, size, '_conv_head', '_bn1')
    pooled = g('ReduceMean', x, i64(2, 3), keepdims=0)
    divisor = np.float32(temperature)
    return g('Gemm', pooled, w['_fc.weight'] / divisor, w['_fc.bias'] / divisor, transB=1)


def _block(g, w, prefix, x, size, stride):
    """Inverted bottleneck: widen, convolve each channel, narrow; added to its input where the
    shapes agree."""
    y, channels = x, w[prefix + '_depthwise_conv.weight'].shape[0]
    if prefix + '_expand_conv.weight' in w:
        channels = w[prefix + '_expand_conv.weight'].shape[1]
        y, _ = _conv(g, w, y, size, prefix + '_expand_conv', prefix + '_bn0')
    y, out_size = _conv(g, w, y, size, prefix + '_depthwise_conv', prefix + '_bn1', stride)
    y, _ = _conv(g, w, y, out_size, prefix + '_project_conv', prefix + '_bn2', relu6=False)
    if stride == 1 and channels == w[prefix + '_project_conv.weight'].shape[0]:
        y = g('Add', y, x)
    return y, out_size


def _conv(g, w, x, size, name, bn, stride=1, relu6=True):
    """Convolution with its batch norm folded in, then ReLU6. Gives the result's name and its
    height = width."""
    weight = w[name + '.weight']
    scale = w[bn + '.weight'] / np.sqrt(w[bn + '.running_var'] + np.float32(BN_EPS))
    bias = w[bn + '.bias'] - w[bn + '.running_mean'] * scale
    kernel = weight.shape[2]
    out_size = -(-size // stride)
    pad = max((out_size - 1) * stride + kernel - size, 0)
    before, after = pad // 2, pad - pad // 2
    y = g('Conv', x, weight * scale[:, None, None, None], bias, strides=[stride, stride],
          pads=[before, before, after, after],
          group=weight.shape[0] if name.endswith('_depthwise_conv') else 1)
    return (g('Clip', y, f32(0)[0], f32(6)[0]) if relu6 else y), out_size
