#!/usr/bin/env python3
"""compare_service.py --other COMMAND --models DIR [--photos DIR]: `fovea serve` beside another service of the same API.

COMMAND, a line of shell, starts the other service and reads the same settings as ours (IMMICH_HOST, IMMICH_PORT,
MACHINE_LEARNING_*), as Immich's own does:

  bench/compare_service.py --models DIR --other 'cd CHECKOUT/machine-learning; PATH=VENV/bin:$PATH exec python -m immich_ml'

DIR has clip/ViT-B-32__openai (of full size, or it is the web servers that are compared), facial-recognition/buffalo_s
and ocr/PP-OCRv5_mobile. Photos are sent as Immich sends them, as previews with a short side of 1440 pixels; each
request brings bytes of its own, so that neither side answers from memory.

Both run side by side on one machine, and take turns in the order A B B A; a ratio is the median of the turns' ratios.
Times are the client's, by one connection a request. Memory is the proportional set size of all processes of a
service. With --part only that part is measured."""
import argparse
import itertools
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = pathlib.Path(os.environ.get('FOVEA_BUILD', ROOT / 'build'))
CLIP, FACES, OCR = 'ViT-B-32__openai', 'buffalo_s', 'PP-OCRv5_mobile'
ENTRIES = {
    'visual': {'clip': {'visual': {'modelName': CLIP}}},
    'textual': {'clip': {'textual': {'modelName': CLIP}}},
    'faces': {'facial-recognition': {'detection': {'modelName': FACES, 'options': {'minScore': 0.7}},
                                     'recognition': {'modelName': FACES}}},
    'ocr': {'ocr': {'detection': {'modelName': OCR, 'options': {'minScore': 0.5, 'maxResolution': 736}},
                    'recognition': {'modelName': OCR, 'options': {'minScore': 0.8}}}},
}
WORDS = 'a dog on the beach, sunset over mountains, birthday cake with candles, red car in the snow'.split(', ')
# What ours is to be: throughput by that factor, all else at most this share of the other's.
THROUGHPUT = {'visual': 1.2, 'textual': 1.2, 'faces': 1.4, 'ocr': 1.2}
BOUNDARY = b'--------------------------compare'
IDLE_S = 3


def make_previews(folder):
    """What Immich's server sends: upright, short side 1440, JPEG of quality 80."""
    import io
    import PIL.Image
    import PIL.ImageOps
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in ('.jpg', '.jpeg', '.png') and not path.name.startswith('made'):
            image = PIL.ImageOps.exif_transpose(PIL.Image.open(path)).convert('RGB')
            scale = 1440 / min(image.size)
            out = io.BytesIO()
            image.resize([round(side * scale) for side in image.size]).save(out, 'JPEG', quality=80)
            yield out.getvalue()


class Requests:
    """Bytes to send, no two the same: a picture gets a comment with a number, a text that number. Both sides are
    asked about the same pictures."""

    def __init__(self, photos):
        self.previews, self.count = list(make_previews(photos)), itertools.count()

    def next(self, kind, i=0):
        """About the picture or text i."""
        n = next(self.count)
        fields = [(b'name="entries"', json.dumps(ENTRIES[kind]).encode())]
        if kind == 'textual':
            fields.append((b'name="text"', f'{WORDS[i % len(WORDS)]} {n}'.encode()))
        else:
            jpeg = self.previews[i % len(self.previews)]
            fields.append((b'name="image"; filename="blob"', jpeg[:2] + b'\xff\xfe\x00\x0a%08d' % n + jpeg[2:]))
        body = b''.join(b'--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n' % (BOUNDARY, name, value)
                        for name, value in fields) + b'--%s--\r\n' % BOUNDARY
        return (b'POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n'
                b'Content-Type: multipart/form-data; boundary=%s\r\n\r\n' % (len(body), BOUNDARY)) + body


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Service:
    """One of the two; its processes are those of a session of its own."""

    def __init__(self, name, command, env):
        self.name, self.command, self.env = name, command, env

    def start(self, **settings):
        """Seconds from the start to the first answer to /ping."""
        self.port = free_port()
        env = {**self.env, 'IMMICH_HOST': '127.0.0.1', 'IMMICH_PORT': str(self.port), **settings}
        begun = time.perf_counter()
        self.process = subprocess.Popen(self.command, shell=True, env=env, start_new_session=True,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                self.exchange(b'GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
                return time.perf_counter() - begun
            except OSError:
                if self.process.poll() is not None or time.perf_counter() - begun > 60:
                    sys.exit(f'compare_service: {self.name} does not start: {self.command}')
                time.sleep(.001)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(30)

    def exchange(self, request):
        """Seconds until the whole answer is there."""
        begun, answer = time.perf_counter(), b''
        with socket.create_connection(('127.0.0.1', self.port), 300) as s:
            s.sendall(request)
            while piece := s.recv(1 << 16):
                answer += piece
        seconds = time.perf_counter() - begun
        if not answer.startswith(b'HTTP/1.1 200'):
            raise OSError(f'{self.name}: {answer[:300]}')
        return seconds

    def pids(self):
        return [int(p) for p in os.listdir('/proc') if p.isdigit() and group_of(int(p)) == self.process.pid]

    def memory(self):
        """Bytes."""
        return 1024 * sum(pss_kib(p) for p in self.pids())

    def cpu_s(self):
        return sum(cpu_ticks(p) for p in self.pids()) / os.sysconf('SC_CLK_TCK')

    def load(self, requests, n_clients):
        """Seconds of each request, and of all."""
        taken, begun, at = [], time.perf_counter(), iter(requests)
        lock = threading.Lock()

        def client():
            while True:
                with lock:
                    request = next(at, None)
                if request is None:
                    return
                taken.append(self.exchange(request))

        clients = [threading.Thread(target=client) for _ in range(n_clients)]
        for c in clients:
            c.start()
        for c in clients:
            c.join()
        return taken, time.perf_counter() - begun


def group_of(pid):
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def pss_kib(pid):
    try:
        with open(f'/proc/{pid}/smaps_rollup') as f:
            return int(next(line for line in f if line.startswith('Pss:')).split()[1])
    except (OSError, StopIteration):
        return 0


def cpu_ticks(pid):
    try:
        with open(f'/proc/{pid}/stat') as f:
            return sum(map(int, f.read().rpartition(')')[2].split()[11:13]))
    except OSError:
        return 0


def row(what, ours, other, unit, bar, more=False):
    """One line; bar: ours as a multiple (more) or at most as a share of the other's."""
    ratio = ours / other
    met = ratio >= bar if more else ratio <= bar
    wanted = f'>= {bar:.1f}x' if more else f'<= 1/{1 / bar:.0f}' if bar < 1 else '<= 1'
    got = f'{ratio:.2f}x' if more or ratio >= 1 else f'1/{1 / ratio:.1f}'
    print(f'{what:34} {ours:10.1f} {other:10.1f} {unit:4} {got:>8} {wanted:>8} {"" if met else "missed"}', flush=True)


def turns(pair, n):
    """Both services by turns, n times each: A B B A A B ..."""
    for i in range(n):
        yield from (pair if i % 2 == 0 else pair[::-1])


def compare_start(pair, requests, rounds):
    """Start, memory when fresh, and with all models loaded, each time in a process of its own."""
    seconds, fresh, loaded = ({s: [] for s in pair} for _ in range(3))
    for s in turns(pair, rounds):
        seconds[s].append(s.start() * 1e3)
        time.sleep(1)
        fresh[s].append(s.memory() / 2**20)
        for kind in ENTRIES:
            s.exchange(requests.next(kind))
        loaded[s].append(s.memory() / 2**20)
        s.stop()
    for what, values, unit, bar in (('start to the first /ping', seconds, 'ms', 1 / 20),
                                    ('memory when fresh', fresh, 'MiB', 1 / 8),
                                    ('memory with all models loaded', loaded, 'MiB', 1 / 2)):
        row(what, *(statistics.median(values[s]) for s in pair), unit, bar)


def compare_idle(pair, requests, rounds):
    """The first request after what was idle was unloaded, and what memory is left then."""
    seconds = {(s, kind): [] for s in pair for kind in ENTRIES}
    above = []
    for s in turns(pair, rounds):
        s.start(MACHINE_LEARNING_MODEL_TTL=str(IDLE_S), MACHINE_LEARNING_MODEL_TTL_POLL_S='1')
        time.sleep(1)
        fresh = s.memory()
        for kind in ENTRIES:
            s.exchange(requests.next(kind))
        for kind in ENTRIES:
            time.sleep(2 * IDLE_S + 4)
            if s is pair[0]:
                above.append((s.memory() - fresh) / 2**20)
            seconds[s, kind].append(s.exchange(requests.next(kind)) * 1e3)
        s.stop()
    for kind in ENTRIES:
        row(f'first {kind} after idle', *(statistics.median(seconds[s, kind]) for s in pair), 'ms', 1 / 3)
    print(f'{"memory when idle, over a fresh start":34} {max(above):10.1f} {"":10} MiB', flush=True)


def compare_load(pair, requests, rounds, kinds):
    for s in pair:
        s.start()
    for kind, n_clients in itertools.product(kinds, (1, 2, 8)):
        for s in pair:
            s.load([requests.next(kind, i) for i in range(4)], 2)  # loads, and warms what it uses
        n = max(40, 10 * n_clients)
        rate, taken, cpu = ({s: [] for s in pair} for _ in range(3))
        for s in turns(pair, rounds):
            before = s.cpu_s()
            times, seconds = s.load([requests.next(kind, i) for i in range(n)], n_clients)
            rate[s].append(n / seconds)
            taken[s] += [t * 1e3 for t in times]
            cpu[s].append((s.cpu_s() - before) / n * 1e3)
        ratio = statistics.median(a / b for a, b in zip(*(rate[s] for s in pair)))
        other = statistics.median(rate[pair[1]])
        row(f'{kind}, {n_clients} at once', ratio * other, other, '/s', THROUGHPUT[kind], more=True)
        p50, p99 = ([statistics.quantiles(taken[s], n=100)[q] for s in pair] for q in (49, 98))
        print(f'{"  p50":34} {p50[0]:10.1f} {p50[1]:10.1f} ms')
        row('  p99', *p99, 'ms', 1)
        used = [statistics.median(cpu[s]) for s in pair]
        print(f'{"  CPU time of a request":34} {used[0]:10.1f} {used[1]:10.1f} ms   {used[1] / used[0]:7.2f}x')
    print(f'{"memory after that":34} {pair[0].memory() / 2**20:10.1f} {pair[1].memory() / 2**20:10.1f} MiB')
    for s in pair:
        s.stop()


def share_of_runtime(ours, requests, scratch):
    """What part of a request's time is spent in ONNX Runtime: what is left is all that can be gained around it."""
    log, library = scratch / 'runs', BUILD / 'bench/libort_timer.so'
    for kind in ENTRIES:
        ours.start(FOVEA_ORT_LIBRARY=str(library), FOVEA_BENCH_ORT=str(BUILD / 'libonnxruntime.so.1'),
                   FOVEA_BENCH_RUNS=str(log))
        ours.load([requests.next(kind, i) for i in range(4)], 1)
        before = log.stat().st_size
        times, _ = ours.load([requests.next(kind, i) for i in range(40)], 1)
        with open(log) as f:
            f.seek(before)
            inside = sum(int(line) for line in f) / 1e9
        print(f'{kind + ", share inside ONNX Runtime":34} {100 * inside / sum(times):10.1f} {"":10} %', flush=True)
        ours.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--other', required=True)
    parser.add_argument('--models', type=pathlib.Path, required=True)
    parser.add_argument('--photos', type=pathlib.Path, default=ROOT.parent / 'shared/photos')
    parser.add_argument('--rounds', type=int, default=4)
    parser.add_argument('--part', choices=('start', 'idle', 'load', 'share'))
    parser.add_argument('--kind', choices=list(ENTRIES), help='of the load')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        kept = {k: v for k, v in os.environ.items()
                if not k.startswith(('MACHINE_LEARNING_', 'IMMICH_', 'FOVEA_', 'OPENBLAS_'))}
        env = {**kept, 'MACHINE_LEARNING_CACHE_FOLDER': str(args.models.resolve()), 'HF_HUB_OFFLINE': '1',
               'FOVEA_CACHE': str(scratch / 'cache'), 'MACHINE_LEARNING_MODEL_TTL': '0'}
        pair = (Service('fovea', f'exec {BUILD}/fovea serve', env), Service('the other', args.other, env))
        requests = Requests(args.photos)
        print(f'{"":34} {"fovea":>10} {"the other":>10} {"":4} {"ratio":>8} {"wanted":>8}')
        if args.part in (None, 'start'):
            compare_start(pair, requests, args.rounds)
        if args.part in (None, 'idle'):
            compare_idle(pair, requests, max(1, args.rounds // 2))
        if args.part in (None, 'load'):
            compare_load(pair, requests, args.rounds, [args.kind] if args.kind else ENTRIES)
        if args.part in (None, 'share'):
            share_of_runtime(pair[0], requests, scratch)


if __name__ == '__main__':
    main()
