"""all-MiniLM-L6-v2 (a BERT of 6 layers, 384 wide), its mean pooling and normalisation: one graph.

Matches sentence-transformers: post-layer-norm blocks, GELU by erf, the mean of the token vectors
that the mask keeps, scaled to length 1. What does not depend on the input is folded when the graph
is built: the token type's embedding into the positions', 1/sqrt(head width) into the queries'
weights, and the three projections of a layer into one product.
"""
import numpy as np

from .graph import FLOAT, INT32, Graph, f32, i64, unit_rows

WIDTH, HEADS, LAYERS = 384, 12, 6
HEAD_WIDTH = WIDTH // HEADS
# sentence-transformers' limit for this model; it was not trained on the positions after that.
MAX_TOKENS = 256
LAYER_NORM_EPS = 1e-12


def build(w):
    """w: name -> f32 array of the checkpoint. Gives the onnx model:
    input_ids, attention_mask i32 [batch, seq <= 256] -> embedding f32 [batch, 384]."""
    g = Graph('text')
    x = _embed(g, w)
    bias = _mask_bias(g)
    for i in range(LAYERS):
        x = _layer(g, w, f'encoder.layer.{i}.', x, bias)
    unit_rows(g, _mean(g, x), 'embedding')
    ids = (INT32, ['batch', 'seq'])
    return g.model({'input_ids': ids, 'attention_mask': ids},
                   {'embedding': (FLOAT, ['batch', WIDTH])})


def _embed(g, w):
    """[batch, seq] ids -> [batch, seq, 384]"""
    positions = w['embeddings.position_embeddings.weight'][:MAX_TOKENS]
    positions = positions + w['embeddings.token_type_embeddings.weight'][0]
    seq = g('Shape', 'input_ids', start=1, end=2)
    here = g('Slice', positions, i64(0), seq, i64(0))
    words = g('Gather', w['embeddings.word_embeddings.weight'], 'input_ids')
    return _norm(g, w, 'embeddings.LayerNorm', g('Add', words, here))


def _mask_bias(g):
    """[batch, 1, 1, seq]: 0 where a token counts, hugely negative where it is padding."""
    kept = g('Cast', g('Unsqueeze', 'attention_mask', i64(1, 2)), to=FLOAT)
    return g('Mul', g('Sub', f32(1), kept), f32(np.finfo(np.float32).min))


def _layer(g, w, prefix, x, bias):
    mixed = _attention(g, w, prefix + 'attention.', x, bias)
    x = _norm(g, w, prefix + 'attention.output.LayerNorm', g('Add', x, mixed))
    hidden = g('Gelu', _linear(g, w, prefix + 'intermediate.dense', x))
    out = _linear(g, w, prefix + 'output.dense', hidden)
    return _norm(g, w, prefix + 'output.LayerNorm', g('Add', x, out))


def _attention(g, w, prefix, x, bias):
    names = [prefix + 'self.' + part for part in ('query', 'key', 'value')]
    scales = f32(HEAD_WIDTH**-0.5, 1, 1)
    weight = np.concatenate([w[n + '.weight'].T * s for n, s in zip(names, scales)], axis=1)
    offset = np.concatenate([w[n + '.bias'] * s for n, s in zip(names, scales)])
    parts = g('Split', g('Add', g('MatMul', x, weight), offset), outputs=3, axis=2, num_outputs=3)
    # [batch, seq, 384] -> [batch, heads, seq, 32]; the keys transposed once more for the product
    q, k, v = (g('Transpose', g('Reshape', part, i64(0, 0, HEADS, HEAD_WIDTH)), perm=perm)
               for part, perm in zip(parts, ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])))
    share = g('Softmax', g('Add', g('MatMul', q, k), bias), axis=3)
    mixed = g('Transpose', g('MatMul', share, v), perm=[0, 2, 1, 3])
    return _linear(g, w, prefix + 'output.dense', g('Reshape', mixed, i64(0, 0, WIDTH)))


def _linear(g, w, name, x):
    return g('Add', g('MatMul', x, w[name + '.weight'].T), w[name + '.bias'])


def _norm(g, w, name, x):
    return g('LayerNormalization', x, w[name + '.weight'], w[name + '.bias'],
             axis=2, epsilon=LAYER_NORM_EPS)


def _mean(g, x):
    """[batch, seq, 384] -> [batch, 384]: the mean over the tokens that the mask keeps"""
    kept = g('Cast', g('Unsqueeze', 'attention_mask', i64(1)), to=FLOAT)
    total = g('Squeeze', g('MatMul', kept, x), i64(1))
    return g('Div', total, g('ReduceSum', g('Squeeze', kept, i64(1)), i64(1), keepdims=1))
