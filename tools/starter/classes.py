"""What each ImageNet class means in words, and the vector that stands for it in the text tower's space.

classes.tsv gives every class a name and other everyday words for it. groups.tsv says of groups of classes what
they are ("dog", "pet") and what goes with them: places, doings, people ("dog at the beach", "selfie").

The numbers below were chosen on 112 photos and 165 queries that are not the test set's: names alone found
64 % of them among the first three, names with groups 76 %.
"""

import csv
import pathlib

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).parent
WEIGHTS = (0.4, 0.3, 0.3)  # of names, of what it is, of what goes with it
CENTRING = 0.5  # how much of the mean class is taken out of each: else a photo of anything suits any query
BATCH = 64


def read_classes():
    """[(name, [other words])] in the order of the network's outputs."""
    rows = _rows('classes.tsv')
    if [int(r['index']) for r in rows] != list(range(len(rows))):
        raise ValueError('classes.tsv: the indices are not 0, 1, 2, ...')
    return [(r['name'], _list(r['also'])) for r in rows]


def read_groups(names):
    """[(set of class indices, [what they are], [what goes with them])]. A group lists names, or `first..last`."""
    index = {name: i for i, name in enumerate(names)}
    groups = []
    for row in _rows('groups.tsv'):
        members = set()
        for part in _list(row['classes']):
            first, _, last = part.partition('..')
            members.update(range(index[first], index[last or first] + 1))
        groups.append((members, _list(row['is']), _list(row['goes with'])))
    return groups


def _rows(name):
    with open(HERE / name, newline='') as f:
        return list(csv.DictReader(f, delimiter='\t', quoting=csv.QUOTE_NONE))


def _list(cell):
    return [part for part in cell.split('; ') if part]


def texts(classes, groups):
    """For each class its three lists of texts: names, what it is, what goes with it."""
    said = [([name, *also], {}, {}) for name, also in classes]
    for members, is_, goes_with in groups:
        for i in members:
            said[i][1].update(dict.fromkeys(is_))
            said[i][2].update(dict.fromkeys(goes_with))
    return [(names, list(kinds), list(company)) for names, kinds, company in said]


def vectors(textual):
    """textual: the folder of the text tower. Gives f32 [1000, 384], a row for each class."""
    classes = read_classes()
    said = texts(classes, read_groups([name for name, _ in classes]))
    every = sorted({t for lists in said for texts in lists for t in texts})
    row = {t: i for i, t in enumerate(every)}
    embedded = _embed(textual, every)
    rows = np.zeros((len(said), embedded.shape[1]), np.float32)
    for i, lists in enumerate(said):
        for weight, texts_ in zip(WEIGHTS, lists, strict=True):
            if texts_:
                rows[i] += np.float32(weight) * embedded[[row[t] for t in texts_]].mean(axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows - np.float32(CENTRING) * rows.mean(axis=0)


def _embed(textual, texts):
    """[n, 384], by the model's own files; sorted by length, so that little of a batch is padding."""
    tokenizer = Tokenizer.from_file(str(textual / 'tokenizer.json'))
    tokenizer.enable_padding()
    session = onnxruntime.InferenceSession(str(textual / 'model.onnx'), providers=['CPUExecutionProvider'])
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    out = [None] * len(texts)
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        encoded = tokenizer.encode_batch([texts[i] for i in batch])
        feed = {
            'input_ids': np.array([e.ids for e in encoded], np.int32),
            'attention_mask': np.array([e.attention_mask for e in encoded], np.int32),
        }
        for i, vector in zip(batch, session.run(['embedding'], feed)[0], strict=True):
            out[i] = vector
    return np.stack(out)
