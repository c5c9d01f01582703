#!/usr/bin/env python3
"""compare_scan.py [--rows N] [--bench PATH]: our search beside others' over the same vectors, one thread each.

bench_scan makes the vectors and its own figures; then each library gets the same f16 values and the
same texts. Exact ones differ from ours in speed and memory, approximate ones also in recall@10.
Times are the best of three rounds of all queries, as bench_scan's. Needs what
tools/requirements/bench.txt lists:

  tools/setup bench && .deps/venv/bin/python bench/compare_scan.py
"""
import argparse
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import time

# One thread; and nothing of a host's settings that picks slower kernels for numpy's and faiss's BLAS.
os.environ.update(OMP_NUM_THREADS='1', OPENBLAS_NUM_THREADS='1')
for name in ('OPENBLAS_CORETYPE', 'OPENBLAS_L2_SIZE'):
    os.environ.pop(name, None)

import faiss  # noqa: E402
import numpy as np  # noqa: E402
import sqlite_vec  # noqa: E402
import usearch.index  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
DIM, K, ROUNDS = 512, 10, 3


def faiss_index(kind, vectors):
    index = faiss.index_factory(DIM, kind, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    return lambda q: index.search(q[None], K)[1][0]


def usearch_exact(vectors, dtype):
    rows = vectors.astype(dtype)
    return lambda q: usearch.index.search(rows, q.astype(dtype), K, usearch.index.MetricKind.IP,
                                          exact=True, threads=1).keys


def usearch_hnsw(index, vectors, ef):
    """One graph for all: built by the first, which is the one that shows how long it took."""
    if not len(index):
        index.add(np.arange(len(vectors)), vectors, threads=os.cpu_count())

    def search(q):
        index.expansion_search = ef
        return index.search(q, K, threads=1).keys
    return search


def sqlite_vec_table(vectors, kind, quantise):
    db = sqlite3.connect(':memory:')
    db.enable_load_extension(True)
    sqlite_vec.load(db)
    db.execute(f'create virtual table v using vec0(e {kind}[{DIM}] distance_metric=cosine)')
    db.executemany(f'insert into v(rowid, e) values (?, {quantise})',
                   ((i, row.tobytes()) for i, row in enumerate(vectors)))
    sql = f'select rowid from v where e match {quantise} and k = {K} order by distance'
    return lambda q: [row[0] for row in db.execute(sql, (q.tobytes(),))]


def measure(search, queries, best):
    """Milliseconds a query and how many of the ten that are nearest by exact scores come out."""
    least, right = float('inf'), 0
    for _ in range(ROUNDS):
        right = 0
        for q, scores in zip(queries, best):
            start = time.perf_counter()
            ids = search(q)
            least = min(least, time.perf_counter() - start)
            right += sum(scores[i] >= scores['tenth'] for i in map(int, ids))
    return least * 1e3, right / (K * len(queries))


class Scores(dict):
    """Exact scores of one query by row, and the tenth best of them."""

    def __init__(self, vectors, q):
        self.all = np.concatenate([vectors[i:i + 65536].astype(np.float32) @ q
                                   for i in range(0, len(vectors), 65536)])
        super().__init__(tenth=np.sort(self.all)[-K] - 1e-6)

    def __missing__(self, row):
        return self.all[row]


def contestants(vectors):
    """Name and a function that makes the search; made one after the other, for the memory."""
    f32 = lambda: vectors.astype(np.float32)  # noqa: E731
    yield 'faiss flat f32 (exact)', lambda: faiss_index('Flat', f32())
    yield 'faiss flat f16', lambda: faiss_index('SQfp16', f32())
    yield 'faiss flat int8', lambda: faiss_index('SQ8', f32())
    yield 'usearch exact f32', lambda: usearch_exact(vectors, np.float32)
    yield 'usearch exact f16', lambda: usearch_exact(vectors, np.float16)
    yield 'sqlite-vec f32 (exact)', lambda: sqlite_vec_table(f32(), 'float', '?')
    yield 'sqlite-vec int8', lambda: sqlite_vec_table(f32(), 'int8', "vec_quantize_int8(?, 'unit')")
    graph = usearch.index.Index(ndim=DIM, metric='ip', dtype='f16')
    for ef in (64, 128, 512):
        yield f'usearch HNSW f16, ef {ef}', lambda ef=ef: usearch_hnsw(graph, f32(), ef)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--rows', type=int, default=100000)
    parser.add_argument('--bench', default=ROOT / 'build/bench/bench_scan')
    args = parser.parse_args()
    faiss.omp_set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        out = subprocess.run([args.bench, '--json', '--threads', '1', '--dump', folder, str(args.rows)],
                             check=True, stdout=subprocess.PIPE).stdout
        ours = json.loads(out)
        vectors = np.fromfile(f'{folder}/vectors.f16', np.float16).reshape(-1, DIM)
        queries = np.fromfile(f'{folder}/queries.f32', np.float32).reshape(-1, DIM)
    best = [Scores(vectors, q) for q in queries]
    row = ours['results'][0]
    print(f"{ours['cpu']}, {ours['simd']}; {args.rows} rows of {DIM}, {len(queries)} texts, one thread")
    print(f"{'':28} {'ms':>9} {'x ours':>8} {'recall@10':>10} {'ready in s':>11}")
    print(f"{'fovea int8, f16 rescore':28} {row['search_ms']:9.2f} {1:8.2f} {row['recall_at_10']:10.4f}")
    for name, make in contestants(vectors):
        start = time.perf_counter()
        search = make()
        made = time.perf_counter() - start
        ms, recall = measure(search, queries, best)
        print(f'{name:28} {ms:9.2f} {ms / row["search_ms"]:8.2f} {recall:10.4f} {made:11.1f}', flush=True)


if __name__ == '__main__':
    sys.exit(main())
