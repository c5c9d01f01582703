"""Models fetched from a stand-in of the hub, which answers as that does and errs in the ways that a network
and a server can."""
import hashlib
import http.server
import json
import socketserver
import threading
import time
import urllib.parse

import pytest

NAME = 'ViT-B-32__openai'
NEEDED = {'config.json', 'visual/model.onnx', 'visual/preprocess_cfg.json', 'textual/model.onnx',
          'textual/tokenizer.json', 'textual/tokenizer_config.json'}
WEIGHTS = 'visual/weights.bin'
VISUAL = 'visual/model.onnx'
CHUNK = 1 << 14


def git_blob(body):
    return hashlib.sha1(b'blob %d\0' % len(body) + body).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def do_GET(self):
        hub, path = self.server.hub, urllib.parse.unquote(self.path)
        with hub.lock:
            hub.requests.append((path, dict(self.headers)))
            faults = next((f for name, f in hub.faults.items() if name in path), [])
            fault = faults.pop(0) if faults else None
            if faults and faults[0] == 'always':
                faults.insert(0, fault)
        self.close_connection = fault is not None
        if callable(fault):
            return fault(self)
        if path.startswith('/api/models/immich-app/'):
            name = path.split('/')[4]
            return self.send(hub.listing(name)) if name in hub.repositories else self.refuse(404)
        body = hub.file(path)
        return self.send_ranged(body) if body is not None else self.refuse(404)

    def refuse(self, status, **headers):
        body = b'{"error": "no"}'
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        self.send_header('Content-Length', len(body))
        self.end_headers()
        self.wfile.write(body)

    def send(self, body, status=200, length=None, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        self.send_header('Content-Length', len(body) if length is None else length)
        self.end_headers()
        self.trickle(body)

    def trickle(self, body):
        try:
            for at in range(0, len(body), CHUNK):
                self.wfile.write(body[at:at + CHUNK])
                time.sleep(self.server.hub.pause_s)
        except OSError:
            pass

    def send_ranged(self, body):
        asked = self.headers.get('Range', '')
        if not asked:
            return self.send(body)
        start = int(asked.removeprefix('bytes=').rstrip('-'))
        if start >= len(body):
            return self.refuse(416, Content_Range=f'bytes */{len(body)}')
        return self.send(body[start:], 206, Content_Range=f'bytes {start}-{len(body) - 1}/{len(body)}')


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # the other's asks DNS for our name, which can take a minute


class Hub:
    """faults['part of a path'] = [what happens at the first request for it, at the second, ...]: functions of
    the handler, None for nothing, 'always' last to repeat the one before it."""

    def __init__(self):
        self.repositories, self.pinned, self.faults, self.requests = {}, {}, {}, []
        self.lock, self.pause_s = threading.Lock(), 0
        self.change = lambda siblings: siblings
        self.server = Listener(('127.0.0.1', 0), Handler)
        self.server.hub = self
        self.url = f'http://127.0.0.1:{self.server.server_address[1]}'
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def add(self, name, folder):
        """The files of a model's folder as a repository, with what else the hub's have."""
        files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob('*') if p.is_file()}
        files |= {'.gitattributes': b'*.onnx', 'README.md': b'words', 'visual/model.armnn': b'other engine',
                  'visual/rknpu/rk3588/model.rknn': b'other engine'}
        self.repositories[name] = files
        return files

    def revision(self, name):
        return hashlib.sha1(name.encode()).hexdigest()

    def listing(self, name):
        siblings = []
        for path, body in self.repositories[name].items():
            entry = {'rfilename': path, 'size': len(body), 'blobId': git_blob(body)}
            if path.endswith('.onnx') or len(body) > 100000:
                entry['blobId'] = 'ab' * 20
                entry['lfs'] = {'sha256': hashlib.sha256(body).hexdigest(), 'size': len(body), 'pointerSize': 134}
            siblings.append(entry)
        return json.dumps({'id': f'immich-app/{name}', 'sha': self.revision(name),
                           'siblings': self.change(siblings)}).encode()

    def file(self, path):
        if path in self.pinned:
            return self.pinned[path]
        parts = path.strip('/').split('/', 4)
        if len(parts) == 5 and parts[0] == 'immich-app' and parts[3] in ('main', self.revision(parts[1])):
            return self.repositories.get(parts[1], {}).get(parts[4])
        return None

    def asked(self, part):
        return [(path, headers) for path, headers in self.requests if part in path]


# What can happen at a request.
def status(code, **headers):
    return lambda h: h.refuse(code, **headers)


def cut(n):
    """The connection ends after n bytes of the body."""
    def act(h):
        body = h.server.hub.file(urllib.parse.unquote(h.path))
        asked = h.headers.get('Range')
        start = int(asked.removeprefix('bytes=').rstrip('-')) if asked else 0
        extra = {'Content_Range': f'bytes {start}-{len(body) - 1}/{len(body)}'} if asked else {}
        h.send(body[start:start + n], 206 if asked else 200, len(body) - start, **extra)
    return act


def other(body, **headers):
    """Another body than the file's."""
    return lambda h: h.send(body, **headers)


def altered(h):
    body = h.server.hub.file(urllib.parse.unquote(h.path))
    h.send(bytes([body[0] ^ 1]) + body[1:])


def without_ranges(h):
    h.send(h.server.hub.file(urllib.parse.unquote(h.path)))


def redirect(url):
    return lambda h: h.refuse(302, Location=url)


def endless(h):
    """A body of no named length that never ends."""
    h.send_response(200)
    h.end_headers()
    try:
        for _ in range(100000):
            h.wfile.write(b'x' * CHUNK)
    except OSError:
        pass


def drip(h):
    """A byte now and then."""
    h.send_response(200)
    h.send_header('Content-Length', '100000')
    h.end_headers()
    try:
        for _ in range(200):
            h.wfile.write(b'x')
            time.sleep(0.25)
    except OSError:
        pass


def files_below(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob('*') if p.is_file()}


@pytest.fixture
def hub(fake_model):
    """A hub with one CLIP model: the toy network, and weights of 3 MB beside it."""
    h = Hub()
    folder = fake_model(NAME)
    (folder / WEIGHTS).write_bytes(bytes(range(256)) * 12000)
    h.folder = folder
    h.add(NAME, folder)
    h.repositories[NAME][WEIGHTS] = (folder / WEIGHTS).read_bytes()
    yield h
    h.close()


@pytest.fixture
def models(fovea, hub, tmp_path):
    """models('pull', NAME) runs `fovea models`."""
    def run(*args, **settings):
        return fovea('models', *args, **{'MACHINE_LEARNING_CACHE_FOLDER': str(run.folder), 'HF_ENDPOINT': hub.url,
                                         'FOVEA_OCR_ENDPOINT': hub.url, 'no_proxy': '*', **settings})
    run.folder = tmp_path / 'fetched'
    run.clip = run.folder / 'clip' / NAME
    return run


def is_whole(models, hub):
    for name in NEEDED | {WEIGHTS}:
        assert (models.clip / name).read_bytes() == hub.repositories[NAME][name], name
    return files_below(models.clip) == NEEDED | {WEIGHTS, '.sha256sums'}


def test_a_model_is_pulled(models, hub):
    done = models('pull', NAME)
    assert (done.status, done.err) == (0, '') and f'{NAME}: fetched' in done.out
    assert is_whole(models, hub)
    sums = dict(reversed(line.split('  ')) for line in (models.clip / '.sha256sums').read_text().splitlines())
    assert sums == {n: hashlib.sha256(hub.repositories[NAME][n]).hexdigest() for n in NEEDED | {WEIGHTS}}
    assert all(f'/resolve/{hub.revision(NAME)}/' in path for path, _ in hub.asked('/resolve/'))
    n = len(hub.requests)
    assert 'already there' in models('pull', NAME).out and len(hub.requests) == n
