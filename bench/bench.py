#!/usr/bin/env python3
"""bench.py [--photos DIR] [--models DIR] [--rounds N]: how fast fovea is, and beside it plain Python.

Indexing is compared with bench/pipeline.py (Pillow, tokenizers, ONNX Runtime on the same model files,
batches of 1 and 8) over the same photos, in turns: ours, theirs, theirs, ours, ... Each run is a process
of its own, so that start-up and peak memory count for both. Ratios are of medians. Formats that Pillow
cannot open are left out of the photos for both."""
import argparse
import importlib.util
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
FOVEA = pathlib.Path(os.environ.get('FOVEA_BUILD', ROOT / 'build')) / 'fovea'
# What one process of the Python side does: every photo of a folder to unit vectors, in batches.
PIPELINE = '''
import pathlib, re, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import pipeline
model = pipeline.Model(sys.argv[2])
paths = sorted(p for p in pathlib.Path(sys.argv[3]).iterdir())
n = int(sys.argv[4])
vectors = [model.embed_images(paths[i:i + n]) for i in range(0, len(paths), n)]
vectors = np.concatenate(vectors)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
np.save(sys.argv[5], vectors)
print('peak', int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read()).group(1)) * 1024)
'''


def environment(models, scratch):
    """Nothing of the developer's settings; the two variables that slow numpy on some hosts are dropped."""
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith(('MACHINE_LEARNING_', 'FOVEA_', 'XDG_', 'OPENBLAS_'))}
    return {**kept, 'MACHINE_LEARNING_CACHE_FOLDER': str(models), 'FOVEA_CACHE': str(scratch / 'cache'),
            'FOVEA_LIBRARY': str(scratch / 'library')}


def run(args, env, cores=None):
    """Seconds and output of one process, on those cores or on all."""
    start = time.monotonic()
    done = subprocess.run(list(map(str, args)), env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          preexec_fn=cores and (lambda: os.sched_setaffinity(0, cores)))
    seconds = time.monotonic() - start
    if done.returncode < 0 or 'Traceback' in done.stdout:
        sys.exit(f'bench: {args[0]} failed:\n{done.stdout}')
    return seconds, done.stdout


def readable(path):
    import PIL.Image
    try:
        with PIL.Image.open(path) as image:
            image.convert('RGB')
        return True
    except (OSError, SyntaxError, ValueError):
        return False


def as_they_are(source, folder):
    for path in sorted(source.iterdir()):
        if path.is_file() and path.suffix.lower() in ('.jpg', '.jpeg', '.png', '.webp', '.gif', '.tif', '.tiff',
                                                       '.bmp', '.avif') and readable(path):
            (folder / path.name).symlink_to(path)


def of_a_phone(source, folder, n=48):
    """The photographs at 12 megapixels as a phone would store them: JPEG 4:2:0, quality 90."""
    import PIL.Image
    photos = [p for p in sorted(source.iterdir()) if p.suffix == '.jpg' and not p.name.startswith('made')
              and readable(p)]
    for i in range(n if photos else 0):
        with PIL.Image.open(photos[i % len(photos)]) as image:
            image = image.convert('RGB').rotate(i // len(photos) * 3, PIL.Image.Resampling.BILINEAR)
            size = (4032, 3024) if image.width >= image.height else (3024, 4032)
            image.resize(size, PIL.Image.Resampling.BICUBIC).save(folder / f'{i:03}.jpg', quality=90)


def index_once(env, scratch, folder, cores=None):
    subprocess.run(['rm', '-rf', scratch / 'library'], check=True)
    seconds, out = run([FOVEA, 'index', '--timing', '--quiet', folder], env, cores)
    stages = {k: float(v) for k, v in re.findall(r'(\w+) ([\d.]+) s', out.split('busy:')[1])}
    peak, helpers = (float(x) * 2**20 for x in re.search(r'memory ([\d.]+) MiB, .* ([\d.]+) MiB', out).groups())
    return {'seconds': seconds, 'peak': peak, 'helpers': helpers, 'stages': stages}


def python_once(env, model, folder, batch, out):
    seconds, text = run([sys.executable, '-c', PIPELINE, HERE, model, folder, batch, out], env)
    return {'seconds': seconds, 'peak': int(text.split()[-1]), 'helpers': 0}


def median(runs, what):
    return statistics.median(r[what] for r in runs)


def mib(n):
    return f'{n / 2**20:.0f} MiB'


def bench_index(title, folder, env, scratch, model, rounds):
    n = len(list(folder.iterdir()))
    print(f'\nindexing {title}: {n} photos, {rounds} rounds, medians (least to most)')
    one = {min(os.sched_getaffinity(0))}
    runs = {'fovea': [], 'fovea, one core': [], 'python, batch 1': [], 'python, batch 8': []}
    how = {'fovea': lambda: index_once(env, scratch, folder),
           'fovea, one core': lambda: index_once(env, scratch, folder, one),
           'python, batch 1': lambda: python_once(env, model, folder, 1, scratch / 'v1.npy'),
           'python, batch 8': lambda: python_once(env, model, folder, 8, scratch / 'v8.npy')}
    index_once(env, scratch, folder)  # the page cache and the prepared graph, once for all
    for r in range(rounds):
        for name in (list(how) if r % 2 == 0 else list(how)[::-1]):
            runs[name].append(how[name]())
    others = [name for name in how if name.startswith('python')]
    best = min(median(runs[name], 'seconds') for name in others)
    least = min(median(runs[name], 'peak') for name in others)
    for name, each in runs.items():
        s = median(each, 'seconds')
        ends = f'{min(r["seconds"] for r in each):.2f}-{max(r["seconds"] for r in each):.2f}'
        extra = '' if name in others else f' + {mib(median(each, "helpers"))} of a decode helper'
        print(f'  {name:16} {s:6.2f} s ({ends})  {n / s:7.1f} photos/s  peak {mib(median(each, "peak"))}{extra}')
    ours = runs['fovea']
    total = median(ours, 'peak') + median(ours, 'helpers')
    print(f'  ratio to the best of Python: {best / median(ours, "seconds"):.2f}x the rate, '
          f'{median(ours, "peak") / least:.2f} of the memory ({total / least:.2f} with the helper)')
    for name in [name for name in how if name not in others]:
        stages = {k: statistics.median(r['stages'][k] for r in runs[name]) for k in ours[0]['stages']}
        print(f'  {name}, photos/s of a core by stage: ' + ', '.join(
            f'{k} {n / v:.0f}' if v > 0 else f'{k} -' for k, v in stages.items()))


def bench_search(env, rounds):
    print(f'\nsearching from the shell, {rounds * 5} runs, medians (least to most)')
    for title, args in (('words', ['search', '--timing', '-n', '10', 'dog on grass']),
                        ('two terms', ['search', '--timing', 'dog', '0.5:snow']),
                        ('start-up alone', ['--version'])):
        times, stages = [], []
        for _ in range(rounds * 5):
            seconds, out = run([FOVEA, *args], env)
            times.append(seconds * 1000)
            stages.append(dict(re.findall(r'(open|vector|scan|paths) ([\d.]+)', out)))
        text = ''
        if stages[0]:
            text = '  ms by stage: ' + ', '.join(
                f'{k} {statistics.median(float(s[k]) for s in stages):.2f}' for k in stages[0])
        print(f'  {title:16} {statistics.median(times):6.1f} ms ({min(times):.1f}-{max(times):.1f}){text}')


def bench_unchanged(env, scratch, n=10000):
    """A second run over n small files of which nothing changed."""
    import PIL.Image
    folder = scratch / 'small'
    folder.mkdir()
    PIL.Image.new('RGB', (32, 32)).save(folder / 'one.jpg')
    one = (folder / 'one.jpg').read_bytes()
    (folder / 'one.jpg').unlink()
    for i in range(n):
        sub = folder / f'{i % 100:02}'
        sub.mkdir(exist_ok=True)
        # A comment makes each a content of its own.
        (sub / f'{i}.jpg').write_bytes(one[:2] + b'\xff\xfe\x00\x0a%08d' % i + one[2:])
    env = {**env, 'FOVEA_LIBRARY': str(scratch / 'small-library')}
    first, _ = run([FOVEA, 'index', '-q', folder], env)
    again = [run([FOVEA, 'index', '-q', folder], env)[0] for _ in range(5)]
    print(f'\n{n} small files: first run {first:.1f} s, unchanged {statistics.median(again) * 1000:.0f} ms')


def write_export(folder, space, n, seed=1):
    """An exported library of n made-up photos with unit vectors of the space."""
    import numpy as np
    dim, random = space['dim'], np.random.default_rng(seed)
    folder.mkdir()
    record = np.dtype([('content', 'V32'), ('vector', '<f2', dim)])
    with open(folder / 'library.jsonl', 'w') as lines, open(folder / 'vectors.f16', 'wb') as vectors:
        lines.write('{"type":"fovea","version":1}\n{"type":"root","path":"/made-up","seen_ns":0}\n')
        for start in range(0, n, 10000):
            rows = np.zeros(min(10000, n - start), record)
            v = random.standard_normal((len(rows), dim), np.float32)
            rows['vector'] = v / np.linalg.norm(v, axis=1, keepdims=True)
            for i in range(len(rows)):
                content = (start + i).to_bytes(32, 'big')
                rows['content'][i] = np.void(content)
                lines.write(f'{{"type":"photo","content":"{content.hex()}","format":"JPEG","size_bytes":1,'
                            f'"width_px":1,"height_px":1,"taken_ns":{random.integers(0, 1 << 60)}}}\n'
                            f'{{"type":"file","root":"/made-up","path":"{(start + i) // 1000}/{start + i}.jpg",'
                            f'"size_bytes":1,"mtime_ns":0,"content":"{content.hex()}"}}\n')
            vectors.write(rows.tobytes())
        lines.write(f'{{"type":"space","hash":"{space["hash"]}","model":"{space["model"]}","dim":{dim},'
                    f'"rows":{n},"vectors":"vectors.f16"}}\n')


def bench_large(env, scratch, models, n=100000):
    """A search among n photos in a process that is warm: text in, paths out."""
    env = {**env, 'FOVEA_LIBRARY': str(scratch / 'large-library')}
    run([FOVEA, 'index', '-q', scratch / 'photos-as-they-are'], env)
    space = json.loads(run([FOVEA, 'status', '--json'], env)[1])['spaces'][0]
    write_export(scratch / 'large', space, n)
    seconds, _ = run([FOVEA, 'import', scratch / 'large'], env)
    ort = FOVEA.parent / 'libonnxruntime.so.1'
    _, out = run([FOVEA.parent / 'bench/bench_search', scratch / 'large-library', models, env['FOVEA_CACHE'],
                  'starter', ort], env)
    shell = [run([FOVEA, 'search', 'dog on grass'], env)[0] for _ in range(9)]
    print(f'\na search of a warm process, medians in ms, among {out.strip()}\n'
          f'  the same from the shell: {statistics.median(shell) * 1000:.0f} ms; the import took {seconds:.1f} s')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--photos', type=pathlib.Path)
    parser.add_argument('--models', type=pathlib.Path, default=ROOT / '.deps/models')
    parser.add_argument('--rounds', type=int, default=5)
    args = parser.parse_args()
    photos = args.photos or next((p for p in [ROOT.parent / 'shared/photos'] if p.is_dir()), None)
    if not photos:
        skimage = importlib.util.find_spec('skimage')
        photos = pathlib.Path(skimage.submodule_search_locations[0]) / 'data'
    model = args.models / 'clip/starter'
    print(subprocess.run([FOVEA, 'doctor'], capture_output=True, text=True,
                         env=environment(args.models, pathlib.Path('/nonexistent'))).stdout.split('\n')[1])
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        env = environment(args.models, scratch)
        for title, make in (('photos as they are', as_they_are), ('photos of 12 megapixels', of_a_phone)):
            folder = scratch / title.replace(' ', '-')
            folder.mkdir()
            make(photos, folder)
            if any(folder.iterdir()):
                bench_index(title, folder, env, scratch, model, args.rounds)
        bench_search(env, args.rounds)
        bench_large(env, scratch, args.models)
        bench_unchanged(env, scratch)


if __name__ == '__main__':
    main()
