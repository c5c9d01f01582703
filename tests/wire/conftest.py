"""A model that needs no weights and pictures that need no files: what the tests of the library run on."""
import http.client
import json
import os
import pty
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import pytest

def commands_of(page):
    """The lines of a page's sh blocks, without their comments; a line that ends in a backslash goes on."""
    blocks = re.findall(r'```sh\n(.*?)```', page.read_text(), re.S)
    lines = [line for block in blocks for line in block.replace('\\\n', ' ').splitlines()]
    return [' '.join(re.sub(r'(^|\s)#.*', '', line).split()) for line in lines if line.strip()]


@pytest.fixture(scope='session')
def commands():
    """commands(page) are those that a page of the documentation tells its reader to type."""
    return commands_of


def pytest_generate_tests(metafunc):
    """A test that takes page_command is run once for each command of the module's PAGES that it is_run."""
    if 'page_command' in metafunc.fixturenames:
        of = metafunc.module
        metafunc.parametrize('page_command', [pytest.param(command, id=f'{of.name(page)}-{command}') for page in of.PAGES
                                              for command in commands_of(page) if of.is_run(page, command)])


VOCABULARY = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'red', 'green', 'blue', 'photo', 'of', 'a', 'dog', 'snow']
TOKENIZER = {
    'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': [],
    'normalizer': {'type': 'BertNormalizer', 'clean_text': True, 'handle_chinese_chars': True,
                   'strip_accents': None, 'lowercase': True},
    'pre_tokenizer': {'type': 'BertPreTokenizer'},
    'post_processor': {'type': 'BertProcessing', 'sep': ['[SEP]', 3], 'cls': ['[CLS]', 2]},
    'decoder': None,
    'model': {'type': 'WordPiece', 'unk_token': '[UNK]', 'continuing_subword_prefix': '##',
              'max_input_chars_per_word': 100, 'vocab': {w: i for i, w in enumerate(VOCABULARY)}},
}
DIM = 24


def write_fake_model(models, name='fake', delay_ms=0, seed=7):
    """clip/NAME under models: the toy network of src/infer/fake.c behind the ordinary files."""
    folder = models / 'clip' / name
    for part in ('visual', 'textual'):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / 'config.json').write_text(json.dumps({'embed_dim': DIM, 'text_cfg': {'context_length': 16}}))
    (folder / 'visual/preprocess_cfg.json').write_text(json.dumps({
        'size': [16, 16], 'mode': 'RGB', 'mean': [.5, .5, .5], 'std': [.5, .5, .5],
        'interpolation': 'bicubic', 'resize_mode': 'shortest', 'fill_color': 0}))
    (folder / 'visual/model.onnx').write_text(
        f'fovea-fake 1\nseed {seed}\ninput image f32 -1 3 16 16\noutput embedding f32 -1 {DIM}\n'
        f'delay_ms {delay_ms}\n')
    (folder / 'textual/model.onnx').write_text(
        f'fovea-fake 1\nseed {seed + 1}\ninput input_ids i64 -1 -1\noutput embedding f32 -1 {DIM}\n')
    (folder / 'textual/tokenizer.json').write_text(json.dumps(TOKENIZER))
    (folder / 'textual/tokenizer_config.json').write_text(json.dumps({'pad_token': '[PAD]'}))
    return folder


@pytest.fixture
def fake_model(tmp_path):
    """fake_model(name, delay_ms=, seed=) writes one more, or another, toy model."""
    def write(name='fake', **how):
        return write_fake_model(tmp_path / 'models', name, **how)
    return write


@pytest.fixture
def models(tmp_path, fake_model):
    fake_model()
    return tmp_path / 'models'


@pytest.fixture
def terminal():
    """(ours, theirs) of a pair of terminal devices; the test closes theirs."""
    try:
        ours, theirs = pty.openpty()
    except OSError:
        pytest.skip('no terminal devices here')
    yield ours, theirs
    os.close(ours)


@pytest.fixture
def library(fovea, models, tmp_path):
    """library('index', folder) runs a command on a library of this test with the toy model."""
    def run(*args, **settings):
        return fovea(*args, **{'FOVEA_LIBRARY': str(tmp_path / 'library'), 'FOVEA_MODEL': 'fake',
                               'MACHINE_LEARNING_CACHE_FOLDER': str(models), **settings})
    run.folder = tmp_path / 'library'
    return run


@pytest.fixture
def pictures(tmp_path):
    """A folder and a function that puts a picture of a colour gradient into it, different for each seed."""
    from PIL import Image
    folder = tmp_path / 'pictures'
    folder.mkdir()

    def add(name, seed, size=(48, 32), **how):
        def pixel(x, y):
            return ((seed * 53 + x * 3) % 256, (seed * 97 + y * 5) % 256, (seed * 31 + x + y) % 256)
        image = Image.new('RGB', size)
        image.putdata([pixel(x, y) for y in range(size[1]) for x in range(size[0])])
        path = folder / name if isinstance(name, str) else os.fsencode(folder) + b'/' + name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as f:
            image.save(f, how.pop('format', 'JPEG'), **how)
        return path
    add.folder = folder
    return add


@pytest.fixture
def as_nobody(build, environment, models, tmp_path):
    """Runs the binary as a user without rights, so that permissions mean something to root's tests."""
    if os.getuid():
        pytest.skip('only root can become nobody')
    home = tmp_path / 'nobody'
    home.mkdir()
    binary = home / 'fovea'
    for name in ('fovea', 'fovea-decode'):
        shutil.copy(build / name, home / name)
    for folder, _, files in os.walk(models):
        os.chmod(folder, 0o755)
        for name in files:
            os.chmod(os.path.join(folder, name), 0o644)
    for folder in [home, *tmp_path.parents][:4]:
        if folder != home and str(folder).startswith('/tmp/'):
            os.chmod(folder, os.stat(folder).st_mode | 0o711)
    os.chmod(tmp_path, 0o711)
    os.chown(home, 65534, 65534)

    def run(*args):
        env = {**environment, 'HOME': str(home), 'XDG_CACHE_HOME': str(home / 'cache'), 'FOVEA_MODEL': 'fake',
               'FOVEA_LIBRARY': str(home / 'library'), 'MACHINE_LEARNING_CACHE_FOLDER': str(models)}
        return subprocess.run([binary, *map(str, args)], env=env, text=True, user=65534, group=65534,
                              extra_groups=[], cwd='/', capture_output=True, stdin=subprocess.DEVNULL,
                              timeout=120)
    if run('--version').returncode:
        pytest.skip('nobody cannot run the binary here')
    return run


class Raw:
    """A connection on which bytes are sent as they are."""

    def __init__(self, port, host='127.0.0.1'):
        self.socket = socket.create_connection((host, port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile('rb')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, *pieces, pause_s=0):
        for piece in pieces:
            self.socket.sendall(piece)
            time.sleep(pause_s)

    def answer(self, has_body=True):
        """(status, headers, body) of the next response; None: the server has hung up."""
        try:
            first = self.file.readline()
            if not first:
                return None
            headers = http.client.parse_headers(self.file)
            n = int(headers.get('content-length', 0)) if has_body else 0
            return int(first.split()[1]), headers, self.file.read(n)
        except ConnectionError:
            return None


class Server:
    """fovea serve on a free port of 127.0.0.1."""

    def __init__(self, binary, environment, *args):
        self.process = subprocess.Popen([binary, 'serve', '--host', '127.0.0.1', '--port', '0', *args],
                                        env=environment, stderr=subprocess.PIPE, text=True)
        self.log = []
        while not self.log or 'listening on' not in self.log[-1]:
            line = self.process.stderr.readline()
            assert line, f'did not start: {self.log}'
            self.log.append(line)
        self.port = int(self.log[-1].rsplit(maxsplit=1)[-1].rstrip('"}'))  # as text or as JSON
        self.reader = threading.Thread(target=self.read_log)  # a full pipe would hold up the server
        self.reader.start()

    def read_log(self):
        self.log += (line.rstrip('\n') for line in self.process.stderr)

    @staticmethod
    def form(boundary='XX', **fields):
        """(body, content type); text values are fields, bytes are files."""
        body = b''
        for name, value in fields.items():
            filename = '; filename="a.jpg"' if isinstance(value, bytes) else ''
            body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n'.encode()
            body += (value if isinstance(value, bytes) else value.encode()) + b'\r\n'
        return body + f'--{boundary}--\r\n'.encode(), f'multipart/form-data; boundary={boundary}'

    def raw(self):
        return Raw(self.port)

    def connect(self):
        return http.client.HTTPConnection('127.0.0.1', self.port, timeout=60)

    def ask(self, method, path, body=None, content_type=None, connection=None):
        """(status, headers, body)"""
        c = connection or self.connect()
        c.request(method, path, body, {'Content-Type': content_type} if content_type else {})
        r = c.getresponse()
        return r.status, r.headers, r.read()

    def predict(self, entries, connection=None, **fields):
        body, content_type = self.form(entries=entries if isinstance(entries, str) else json.dumps(entries), **fields)
        status, _, body = self.ask('POST', '/predict', body, content_type, connection)
        return status, json.loads(body)

    def stop(self, how=signal.SIGTERM):
        """(exit status, seconds it took)"""
        begun = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(timeout=60)
        self.reader.join()
        assert not [line for line in self.log if 'Sanitizer' in line], self.log
        return self.process.returncode, time.monotonic() - begun


@pytest.fixture
def start(build, environment, models):
    """start('--port', ..., SETTING=...) gives a running Server with the toy model."""
    running = []

    def run(*args, folder=models, **settings):
        env = {**environment, 'MACHINE_LEARNING_CACHE_FOLDER': str(folder), **settings}
        running.append(Server(build / 'fovea', env, *args))
        return running[-1]
    yield run
    for server in running:
        if server.process.poll() is None:
            assert server.stop()[0] == 0


@pytest.fixture
def server(start):
    return start()


@pytest.fixture
def photo(pictures):
    return pictures('a.jpg', 1).read_bytes()


class Lab:
    """Libraries of one folder of small pictures, made by the binary under the faults of tests/fault/preload.c."""

    def __init__(self, build, environment, folder, delay_ms=0):
        self.binary, self.preload = build / 'fovea', build / 'tests/libpreload.so'
        if not self.binary.exists():
            pytest.skip('no fovea binary in this build')
        self.sanitized = b'__asan_init' in self.binary.read_bytes()
        self.folder, self.pictures = folder, folder / 'pictures'
        self.models = folder / 'models'
        write_fake_model(self.models, delay_ms=delay_ms)
        self.environment = {**environment, 'FOVEA_MODEL': 'fake', 'HOME': str(folder),
                            'XDG_CACHE_HOME': str(folder / 'cache'),
                            'MACHINE_LEARNING_CACHE_FOLDER': str(self.models)}

    def add(self, name, seed, size=(16, 16)):
        """A picture of its own for each seed."""
        from PIL import Image
        path = self.pictures / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new('RGB', size)
        image.putdata([(seed * 53 % 256, (seed * 97 + x * 9) % 256, (seed // 5 * 31 + y * 7) % 256)
                       for y in range(size[1]) for x in range(size[0])])
        image.save(path, 'JPEG', quality=95)
        return path

    def start(self, library, *args, cwd='/', **faults):
        """A process; faults: kind='read', at=3, ... are FAULT_KIND, FAULT_AT, ..."""
        env = {**self.environment, 'FOVEA_LIBRARY': str(library)}
        if faults:
            if self.sanitized:
                pytest.skip('calls fail in the plain build, where no sanitizer stands before libc too')
            env['LD_PRELOAD'] = str(self.preload)
            env.update({'FAULT_' + name.upper(): str(value) for name, value in faults.items()})
        return subprocess.Popen([self.binary, *map(str, args)], env=env, text=True, cwd=cwd, errors='replace',
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, library, *args, **faults):
        """(status, stdout, stderr); status is -N for death by signal N."""
        process = self.start(library, *args, **faults)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def index(self, library, *args, **faults):
        return self.run(library, 'index', '-q', '-j1', *(args or [self.pictures]), **faults)

    def count(self, library, *args, **faults):
        """How many calls of a kind a run makes."""
        report = self.folder / 'report'
        self.run(library, *args, report=report, **faults)
        return int(report.read_text())

    def dump(self, library):
        """All that a library knows, by path and content: no ids, no times, no order of arrival."""
        with sqlite3.connect(f'file:{library}/library.db?mode=ro', uri=True) as db:
            db.text_factory = bytes
            assert db.execute('PRAGMA integrity_check').fetchall() == [(b'ok',)]
            assert db.execute('PRAGMA foreign_key_check').fetchall() == []
            wrong = db.execute('SELECT count(*) FROM photo WHERE n_live <> (SELECT count(*) FROM file'
                               ' WHERE photo_id = photo.id AND gone_ns IS NULL)').fetchone()
            assert wrong == (0,), 'photos that count their files wrong'
            dump = {
                'roots': db.execute('SELECT path, offline FROM root').fetchall(),
                'files': db.execute('SELECT r.path, f.path, f.size_bytes, f.mtime_ns, p.content, f.error, f.gone_ns'
                                    ' IS NULL FROM file f JOIN root r ON r.id = f.root_id'
                                    ' LEFT JOIN photo p ON p.id = f.photo_id').fetchall(),
                'photos': db.execute('SELECT content, size_bytes, format, width_px, height_px, taken_ns, latitude,'
                                     ' longitude, camera, n_live FROM photo').fetchall(),
                'vectors': db.execute('SELECT s.hash, p.content, v.v FROM vector v JOIN space s ON s.id = v.space_id'
                                      ' JOIN photo p ON p.id = v.photo_id').fetchall(),
            }
        db.close()
        return {what: sorted(rows, key=repr) for what, rows in dump.items()}

    def found(self, library, query='red dog', n=1000):
        """The answer to a query: [(name, score)]."""
        status, out, err = self.run(library, 'search', '--json', '-n', n, query)
        assert status == 0, err
        return [(os.path.basename(r['path']), round(r['score'], 6)) for r in json.loads(out)['results']]

    def contents(self):
        return {p: p.read_bytes() for p in self.pictures.rglob('*') if p.is_file()}


def told(status, out, err):
    """A run that was disturbed ended by itself and, where it failed, said why in one line or in its summary."""
    lines = [line for line in err.splitlines() if 'warning:' not in line]
    if status == 0:
        return not lines
    return status == 1 and (len(lines) == 1 and lines[0].startswith('fovea: ') or
                            not lines and ('failed' in out or 'offline' in out))


@pytest.fixture
def lab(build, environment, tmp_path):
    lab = Lab(build, environment, tmp_path)
    lab.told = told
    return lab
