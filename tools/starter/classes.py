"""What each ImageNet class means in words, and the vector that stands for it in the text space.

classes.tsv gives every class a name and other everyday words for it. groups.tsv says of groups of
classes what they are ("dog", "pet") and what goes with them: places, doings, people ("dog at the
beach", "selfie"). People are no class of ImageNet: they are found by what they wear and hold.

The numbers below were chosen on two sets of 112 and 96 photos with 165 and 177 queries, none of
them in the test set. There, names alone put a right photo among the first three for 66 % of the
queries, names and groups for 78 %. Tried and left out, for no gain: prompts ("a photo of a ..."),
class vectors fitted by ridge regression, probabilities of regions, colours.
"""
import csv
import os
import pathlib

import numpy as np
os.environ['ORT_DISABLE_TELEMETRY'] = '1'  # read as it is imported; else it sends events to its maker
import onnxruntime
from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).parent
WEIGHTS = (0.4, 0.3, 0.3)  # of names, of what it is, of what goes with it
# How much of the mean class is taken out of each: else an unclear photo suits every query.
CENTRING = 0.5
BATCH = 64


def vectors(textual):
    """textual: the folder of the text tower. Gives f32 [1000, 384], a row for each class."""
    classes = read_classes()
    said = texts(classes, read_groups([name for name, _ in classes]))
    every = sorted({t for lists in said for words in lists for t in words})
    row = {t: i for i, t in enumerate(every)}
    embedded = _embed(textual, every)
    rows = np.zeros((len(said), embedded.shape[1]), np.float32)
    for i, lists in enumerate(said):
        for weight, words in zip(WEIGHTS, lists, strict=True):
            if words:
                rows[i] += np.float32(weight) * embedded[[row[t] for t in words]].mean(axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows - np.float32(CENTRING) * rows.mean(axis=0)


def texts(classes, groups):
    """For each class its three lists of texts: names, what it is, what goes with it."""
    said = [([name, *also], {}, {}) for name, also in classes]
    for members, is_, goes_with in groups:
        for i in members:
            said[i][1].update(dict.fromkeys(is_))
            said[i][2].update(dict.fromkeys(goes_with))
    return [(names, list(kinds), list(company)) for names, kinds, company in said]


def read_classes():
    """[(name, [other words])] in the order of the network's outputs."""
    rows = _rows('classes.tsv')
    if [int(r['index']) for r in rows] != list(range(len(rows))):
        raise ValueError('classes.tsv: the indices are not 0, 1, 2, ...')
    return [(r['name'], _list(r['also'])) for r in rows]


def read_groups(names):
    """[(set of class indices, [what they are], [what goes with them])]. A group lists names of
    classes, or `first..last` for all between."""
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


def _embed(textual, words):
    """[n, 384], by the model's own files; short texts with short ones, so that few are padded."""
    tokenizer = Tokenizer.from_file(str(textual / 'tokenizer.json'))
    tokenizer.enable_padding()
    session = onnxruntime.InferenceSession(textual / 'model.onnx',
                                           providers=['CPUExecutionProvider'])
    order = sorted(range(len(words)), key=lambda i: len(words[i]))
    out = [None] * len(words)
    for start in range(0, len(order), BATCH):
        batch = order[start:start + BATCH]
        encoded = tokenizer.encode_batch([words[i] for i in batch])
        feed = {'input_ids': np.array([e.ids for e in encoded], np.int32),
                'attention_mask': np.array([e.attention_mask for e in encoded], np.int32)}
        for i, vector in zip(batch, session.run(None, feed)[0], strict=True):
            out[i] = vector
    return np.stack(out)
