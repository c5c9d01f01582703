"""Models fetched from a stand-in of the hub, which answers as that does and errs in the ways that a network
and a server can."""
import concurrent.futures
import hashlib
import http.server
import json
import os
import pathlib
import shutil
import socketserver
import ssl
import subprocess
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
        hub = self.server.hub
        with hub.lock:
            hub.n_active += 1
            hub.n_most = max(hub.n_most, hub.n_active)
        try:
            self.answer()
        finally:
            with hub.lock:
                hub.n_active -= 1

    def answer(self):
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
        self.n_active = self.n_most = 0  # requests under way, now and ever
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


def cut_list(h):
    """The list's connection ends within it."""
    h.send(b'{"siblings": [', length=5000)


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
        return fovea('models', *args, **{**run.settings, **settings})
    run.folder = tmp_path / 'fetched'
    run.settings = {'MACHINE_LEARNING_CACHE_FOLDER': str(run.folder), 'HF_ENDPOINT': hub.url,
                    'FOVEA_OCR_ENDPOINT': hub.url, 'HF_HUB_OFFLINE': '0', 'no_proxy': '*'}
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


@pytest.mark.parametrize('faults', [
    [cut(0)], [cut(1000000)], [cut(1000000), cut(1), cut(1000000)],
    [status(500)], [status(503), status(502)], [status(429, Retry_After='1')],
    [altered], [other(b'short')], [other(b'x' * 4000000)], [cut(1000000), altered], [cut(1000000), without_ranges],
    [cut(1000000), status(416)], [cut(1000000), other(b'x' * 10, status=206, Content_Range='bytes 7-16/3072000')],
    [endless],
], ids=lambda f: '-'.join(getattr(x, '__qualname__', str(x)).split('.')[0] for x in f))
def test_a_fault_that_passes_is_got_over(models, hub, faults):
    hub.faults['/' + WEIGHTS] = list(faults)
    done = models('pull', NAME)
    assert done.status == 0, done.err
    assert is_whole(models, hub)
    assert len(hub.asked('/' + WEIGHTS)) == len(faults) + (faults[-1] != without_ranges)


def test_a_cut_download_goes_on_where_it_ended(models, hub):
    hub.faults['/' + WEIGHTS] = [cut(2000000)]
    assert models('pull', NAME).status == 0 and is_whole(models, hub)
    assert [h.get('Range') for _, h in hub.asked('/' + WEIGHTS)] == [None, 'bytes=2000000-']


@pytest.mark.parametrize('fault, said, tries', [
    (status(401), 'set HF_TOKEN', 1), (status(403), 'set HF_TOKEN', 1), (status(404), 'no such file', 1),
    (status(429, Retry_After='3600'), 'too many requests', 1), (status(500), 'status 500 (tried 5 times)', 5),
    (cut(10), '(tried 5 times)', 5), (altered, 'SHA-256', 2), (other(b'short'), 'the list says 3072000', 2),
], ids=['401', '403', '404', '429', '500', 'cut', 'hash', 'size'])
def test_a_fault_that_stays_is_told(models, hub, fault, said, tries):
    hub.faults['/' + WEIGHTS] = [fault, 'always']
    done = models('pull', NAME)
    assert done.status == 1 and said in done.err and f'{hub.url}/immich-app/{NAME}' in done.err
    assert not (models.clip / WEIGHTS).exists() and not (models.clip / '.sha256sums').exists()
    assert len(hub.asked('/' + WEIGHTS)) == tries
    hub.faults.clear()
    assert models('pull', NAME).status == 0 and is_whole(models, hub)


def test_a_drip_is_given_up(models, hub):
    hub.faults['/' + WEIGHTS] = [drip]
    assert models('pull', NAME, HF_HUB_DOWNLOAD_TIMEOUT='1').status == 0 and is_whole(models, hub)


def test_the_list_is_asked_for_again(models, hub):
    hub.faults['/api/'] = [status(500), cut_list, other(b'{"siblings"')]
    done = models('pull', NAME)
    assert done.status == 1 and 'api/models' in done.err
    hub.faults['/api/'] = [status(500), cut_list]
    assert models('pull', NAME).status == 0 and is_whole(models, hub)


def test_what_the_list_may_not_say(models, hub):
    def pull(change):
        hub.change = change
        done = models('pull', NAME)
        hub.change = lambda siblings: siblings
        return done
    for size in (-1, 1 << 40, 1 << 62, 'many', 1e30):
        done = pull(lambda s: [{**f, 'size': size, 'lfs': f.get('lfs') and {**f['lfs'], 'size': size}} for f in s])
        assert done.status == 1 and 'config.json: ' in done.err, done.err
    done = pull(lambda s: s * 1000)
    assert done.status == 1 and 'the limit is 4096' in done.err
    done = pull(lambda s: [f for f in s if f['rfilename'] != VISUAL])
    assert done.status == 1 and f'lists no {VISUAL}' in done.err
    done = pull(lambda s: [{**f, 'lfs': {'sha256': 'zz', 'size': 1}} for f in s])
    assert done.status == 1 and 'hexadecimal' in done.err
    hub.repositories[NAME]['big'] = b'x' * (5 << 20)
    done = pull(lambda s: [{**f, 'pad': 'x' * 2000000} for f in s])
    assert done.status == 1 and 'api/models' in done.err
    assert not models.clip.exists()


def test_a_list_that_leads_elsewhere_is_not_followed(models, hub, tmp_path):
    before = files_below(tmp_path)
    names = ['../x', 'visual/../../x', '/tmp/fovea-x', 'visual/..', 'visual/.', 'visual//x', 'visual/a/b', '..\\x',
             'visual/x\\y', 'visual/x\ny', 'visual/.x', 'x', 'config.json\x00/../x', 'visual/' + 'x' * 300]
    for name in names:
        hub.repositories[NAME][name] = b'evil'
    assert models('pull', NAME).status == 0 and is_whole(models, hub)
    new = {p for p in files_below(tmp_path) - before if not p.startswith(f'fetched/clip/{NAME}/')}
    assert new == {'fetched/.fovea.lock'}


@pytest.fixture
def second(hub):
    """Another host, by its port, that has the same files."""
    other_hub = Hub()
    other_hub.repositories = hub.repositories
    yield other_hub
    other_hub.close()


def test_the_token_goes_to_the_hub_alone(models, hub, second):
    to = f'{second.url}/immich-app/{NAME}/resolve/main/{WEIGHTS}'
    hub.faults['/' + WEIGHTS] = [redirect(to)]
    hub.faults['/' + VISUAL] = [redirect(f'{hub.url}/immich-app/{NAME}/resolve/main/{VISUAL}')]
    assert models('pull', NAME, HF_TOKEN='secret').status == 0 and is_whole(models, hub)
    assert all(h.get('Authorization') == 'Bearer secret' for _, h in hub.requests)
    assert [h.get('Authorization') for _, h in second.requests] == [None]


def test_a_refused_token_is_told_without_showing_it(models, hub):
    hub.faults['/api/'] = [status(401)]
    done = models('pull', NAME, HF_TOKEN='secret')
    assert done.status == 1 and 'HF_TOKEN is not accepted' in done.err and 'secret' not in done.err


def test_redirects_without_end(models, hub):
    hub.faults['/api/'] = [redirect('/api/again'), 'always']
    done = models('pull', NAME)
    assert done.status == 1 and 'redirects' in done.err


def test_offline_says_what_is_missing(models, hub):
    done = models('pull', NAME, HF_HUB_OFFLINE='1')
    assert done.status == 1 and 'HF_HUB_OFFLINE' in done.err and not hub.requests
    for name in NEEDED:
        assert f'{models.clip}/{name}\n    from {hub.url}/immich-app/{NAME}/resolve/main/{name}\n' in done.err
    assert done.err.count('    from ') == len(NEEDED)
    assert models('pull', NAME).status == 0
    (models.clip / VISUAL).unlink()
    done = models('pull', NAME, HF_HUB_OFFLINE='true')
    assert done.status == 1 and done.err.count('    from ') == 1


@pytest.mark.parametrize('path, fault', [('/api/', status(403)), ('/' + WEIGHTS, status(404)), ('/' + WEIGHTS, altered)],
                         ids=['list', 'file', 'hash'])
def test_a_mirror_s_password_is_not_told(server, hub, photo, path, fault):
    hub.faults[path] = [fault, 'always']
    mirror = hub.url.replace('://', '://me:secret@')
    _, body = server(HF_ENDPOINT=mirror).predict(VISUAL_ENTRY, image=photo)
    assert hub.url in body['detail'] and 'secret' not in body['detail']


@pytest.mark.parametrize('settings', [{'HF_HUB_OFFLINE': '1'}, {}, {'port': '1'}], ids=['offline', 'list', 'nobody'])
@pytest.mark.parametrize('password', ['xyzzy', 'xyz/zy', 'xyz@zy'])
def test_pull_does_not_tell_a_mirror_s_password(models, hub, settings, password):
    hub.faults['/api/'] = [status(404), 'always']
    mirror = hub.url.replace('://', f'://me:{password}@')
    if 'port' in settings:
        mirror = mirror.rpartition(':')[0] + ':1'
    done = models('pull', NAME, HF_ENDPOINT=mirror, **settings)
    assert done.status == 1 and 'missing of' in done.err and '://127.0.0.1:' in done.err, done
    assert 'xyz' not in done.err and 'zy@' not in done.err, done


def test_the_service_s_fault_is_not_the_client_s(server, hub, photo):
    hub.faults['/api/'] = [redirect('/api/again'), 'always']
    status, body = server(HF_ENDPOINT=hub.url + '/').predict(VISUAL_ENTRY, image=photo)
    assert status == 500 and f'{hub.url}/api/models' in body['detail']


def test_nobody_answers(models, hub):
    hub.close()
    done = models('pull', NAME)
    assert done.status == 1 and f'{hub.url}/api/models' in done.err and '    from ' in done.err


def test_a_name_that_is_none(models, hub):
    done = models('pull', 'ViT-Z')
    assert (done.status, done.out) == (1, '') and '`fovea models list`' in done.err and not hub.requests


def test_a_full_disk_is_told(models, hub, build):
    binary = (build / 'fovea').read_bytes()
    if b'__asan_init' in binary or b'__tsan_init' in binary:
        pytest.skip('calls fail in the plain build, where no sanitizer stands before libc too')
    faults = {'LD_PRELOAD': str(build / 'tests/libpreload.so'), 'FAULT_KIND': 'write', 'FAULT_AT': '100', 'FAULT_FOR': '0',
              'FAULT_HOW': '28', 'FAULT_BELOW': str(models.folder)}
    done = models('pull', NAME, **faults)
    assert done.status == 1 and 'No space left on device' in done.err and 'trying again' not in done.err
    assert models('pull', NAME).status == 0 and is_whole(models, hub)


def test_room_is_looked_for_before(models, hub):
    disk, size = os.statvfs(models.folder.parent), 15 << 30
    n = disk.f_bavail * disk.f_frsize // size + 1
    hub.change = lambda s: s + [{'rfilename': f'visual/w{i}', 'lfs': {'sha256': 'ab' * 32, 'size': size}}
                                for i in range(n)]
    done = models('pull', NAME)
    assert done.status == 1 and 'free on that disk' in done.err and not hub.asked('/resolve/')


def test_what_an_earlier_try_left_is_no_more_room_wanted(models, hub):
    """A disk that holds the model and what is to stay free once, but not the part twice."""
    models.folder.mkdir()
    if os.getuid() or subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=20500k', 'none', models.folder]).returncode:
        pytest.skip('only root can mount a small disk')
    try:
        hub.faults['/' + WEIGHTS] = [cut(2900000), status(404)]
        assert models('pull', NAME).status == 1
        assert models('pull', NAME).status == 0 and is_whole(models, hub)
        assert models('import', hub.folder).status == 1  # a second time is too much
        assert models('import', models.clip).status == 0  # in its place it takes nothing
    finally:
        subprocess.run(['umount', models.folder], check=True)


def test_a_killed_download_goes_on(models, hub, build, environment):
    hub.pause_s = 0.05
    env = {**environment, **models.settings}
    process = subprocess.Popen([build / 'fovea', 'models', 'pull', NAME], env=env)
    part = None
    while not part or part[0].stat().st_size < 500000:
        assert process.poll() is None
        part = list(models.clip.glob('visual/.weights.bin.*.part'))
    process.kill()
    process.wait()
    hub.pause_s, n = 0, part[0].stat().st_size
    assert models('pull', NAME).status == 0 and is_whole(models, hub)
    assert hub.asked('/' + WEIGHTS)[-1][1]['Range'] == f'bytes={n}-'


def test_a_part_that_was_damaged_is_dropped(models, hub):
    hub.faults['/' + WEIGHTS] = [cut(2000000), status(404)]
    assert models('pull', NAME).status == 1
    part, = models.clip.glob('visual/.weights.bin.*.part')
    with open(part, 'r+b') as f:
        f.write(b'damage')
    done = models('pull', NAME)
    assert done.status == 0 and 'fetching it once more' in done.err and is_whole(models, hub)


def test_two_processes_fetch_it_once(models, hub, build, environment):
    hub.pause_s = 0.01
    env = {**environment, **models.settings}
    both = [subprocess.Popen([build / 'fovea', 'models', 'pull', '-q', NAME], env=env, text=True, stdout=subprocess.PIPE)
            for _ in range(2)]
    assert [p.communicate(timeout=60)[0] for p in both] == [f'{NAME}: fetched\n'] * 2
    assert is_whole(models, hub) and len(hub.asked('/' + WEIGHTS)) == 1


def test_files_come_side_by_side(models, hub):
    hub.pause_s = 0.01
    assert models('pull', NAME).status == 0 and hub.n_most >= 2


def test_the_cap_holds(models, hub):
    begun = time.monotonic()
    assert models('pull', NAME, FOVEA_DOWNLOAD_MAX_KIB_S='1000').status == 0 and is_whole(models, hub)
    assert time.monotonic() - begun > 1.5 and hub.n_most == 1  # 3 MB, one file after another


def test_a_terminal_shows_how_far_it_is(models, hub, build, environment, terminal):
    hub.pause_s = 0.01
    ours, theirs = terminal
    process = subprocess.Popen([build / 'fovea', 'models', 'pull', NAME], env={**environment, **models.settings},
                               stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown = b''
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
    assert process.wait() == 0
    assert b'[#' in shown and f'{NAME}  '.encode() in shown and b' of 2.9 MiB' in shown
    assert shown.endswith(b'\r\x1b[K')  # a clean line is left


def test_what_is_there_already_is_kept(models, hub):
    """A folder that lacks a file, from another program: the rest is compared, not fetched again."""
    shutil.copytree(hub.folder, models.clip)
    (models.clip / VISUAL).unlink()
    (models.clip / 'config.json').write_text('{}')
    assert models('pull', NAME).status == 0 and is_whole(models, hub)
    assert {p.split(hub.revision(NAME) + '/')[1] for p, _ in hub.asked('/resolve/')} == {VISUAL, 'config.json'}


def test_text_recognition_has_its_own_source(models, hub):
    """Its hashes are pinned, so what the stand-in can give is not taken."""
    name = '/models/RapidAI/RapidOCR/resolve/v3.8.0/onnx/PP-OCRv5/det/ch_PP-OCRv5_det_mobile.onnx'
    hub.pinned[name] = b'no network'
    done = models('pull', 'EN__PP-OCRv5_mobile', HF_TOKEN='secret')
    assert done.status == 1 and 'SHA-256' in done.err
    assert f'{models.folder}/ocr/PP-OCRv5_mobile/detection/model.onnx' in done.err
    assert f'{models.folder}/ocr/EN__PP-OCRv5_mobile/recognition/model.onnx' in done.err
    assert [p for p, _ in hub.requests] == [name] * 2
    assert not any('Authorization' in h for _, h in hub.requests)


def test_room_is_looked_for_once_the_size_is_known(models, hub):
    """The list of text recognition has no sizes: the answer does."""
    disk = os.statvfs(models.folder.parent)
    hub.faults['_det_'] = [lambda h: h.send(b'x', length=disk.f_blocks * disk.f_frsize)]
    done = models('pull', 'EN__PP-OCRv5_mobile')
    assert done.status == 1 and 'free on that disk' in done.err and 'trying again' not in done.err, done
    assert len(hub.requests) == 1


VISUAL_ENTRY = {'clip': {'visual': {'modelName': NAME}}}
TEXT_ENTRY = {'clip': {'textual': {'modelName': NAME.replace('__', '::')}}}


@pytest.fixture
def server(start, models):
    """server(SETTING=...) serves from the folder that models are pulled into."""
    return lambda **settings: start(folder=models.folder, **{**models.settings, **settings})


def test_the_service_fetches_what_it_is_asked_for(server, models, hub, photo):
    s = server()
    assert s.predict(VISUAL_ENTRY, image=photo)[0] == 200
    assert s.predict(TEXT_ENTRY, text='a dog')[0] == 200
    assert is_whole(models, hub) and len(hub.asked('/api/')) == 1
    s.stop()
    assert any(f'fetched {NAME}: ' in line for line in s.log)


def test_many_requests_share_a_download(server, models, hub, photo):
    hub.pause_s = 0.005
    s = server(MACHINE_LEARNING_REQUEST_THREADS='8')
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: s.predict(*[(VISUAL_ENTRY,), (TEXT_ENTRY,)][i % 2], **[{'image': photo},
                                {'text': 'a dog'}][i % 2])[0], range(8)))
    assert answers == [200] * 8 and is_whole(models, hub)
    assert len(hub.asked('/' + WEIGHTS)) == 1 == len(hub.asked('/api/'))


def test_the_service_answers_others_while_it_fetches(server, models, hub, fake_model, photo):
    shutil.copytree(fake_model('own'), models.folder / 'clip/own')
    hub.pause_s = 0.02
    s = server(MACHINE_LEARNING_REQUEST_THREADS='2')
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        slow = pool.submit(s.predict, VISUAL_ENTRY, image=photo)
        while not hub.asked('/' + WEIGHTS):
            time.sleep(0.01)
        assert s.predict({'clip': {'textual': {'modelName': 'own'}}}, text='a dog')[0] == 200
        assert s.ask('GET', '/ping')[0] == 200 and not slow.done()
        assert slow.result()[0] == 200


def test_a_damaged_network_is_fetched_once_more(server, models, hub, photo):
    assert models('pull', NAME).status == 0
    (models.clip / VISUAL).write_bytes(b'damaged')
    s = server()
    assert s.predict(VISUAL_ENTRY, image=photo)[0] == 200
    assert is_whole(models, hub) and len(hub.asked('/' + VISUAL)) == 2
    hub.repositories[NAME][VISUAL] = b'damaged at the hub too'
    s.stop()
    (models.clip / VISUAL).write_bytes(b'damaged again')
    s = server()
    assert [s.predict(VISUAL_ENTRY, image=photo)[0] for _ in range(2)] == [500, 500]
    assert len(hub.asked('/' + VISUAL)) == 3


def test_a_model_of_somebody_else_is_left_alone(server, models, hub, photo):
    shutil.copytree(hub.folder, models.clip)
    (models.clip / VISUAL).write_bytes(b'damaged')
    assert server().predict(VISUAL_ENTRY, image=photo)[0] == 500
    assert (models.clip / VISUAL).read_bytes() == b'damaged' and not hub.requests


def test_what_failed_is_not_tried_at_once(server, models, hub, photo):
    """Later requests do not wait for what the first has found out; other models are asked for."""
    hub.faults['/api/'] = [status(503), 'always']
    s = server()
    first = s.predict(VISUAL_ENTRY, image=photo)
    n, begun = len(hub.requests), time.monotonic()
    assert first[0] == 500 and n == 5
    assert [s.predict(VISUAL_ENTRY, image=photo) for _ in range(3)] == [first] * 3
    assert s.predict(TEXT_ENTRY, text='a dog') == first
    assert len(hub.requests) == n and time.monotonic() - begun < 3
    hub.faults.clear()
    assert s.predict({'clip': {'textual': {'modelName': 'RN50__openai'}}}, text='a dog')[0] == 404
    assert len(hub.requests) == n + 1
    assert models('pull', NAME).status == 0  # by another process: from then on it is there
    assert s.predict(VISUAL_ENTRY, image=photo)[0] == 200


def test_the_service_offline(server, models, hub, photo):
    status, body = server(HF_HUB_OFFLINE='1').predict(VISUAL_ENTRY, image=photo)
    assert status == 404 and f'{models.folder}/clip' in body['detail'] and VISUAL in body['detail']
    assert 'HF_HUB_OFFLINE' in body['detail'] and not hub.requests


def test_a_signal_ends_a_download(server, models, hub, photo):
    hub.pause_s = 0.2
    s = server(MACHINE_LEARNING_PRELOAD__CLIP__VISUAL=NAME)
    while not hub.asked('/' + WEIGHTS):
        time.sleep(0.01)
    assert s.ask('GET', '/readyz')[0] == 503
    status, seconds = s.stop()
    assert status == 0 and seconds < 5 and list(models.clip.glob('visual/.*.part'))


@pytest.mark.parametrize('command', [('index', '.'), ('search', 'a dog'), ('embed', '--text', 'a dog')])
def test_commands_say_how_to_get_a_model(fovea, models, hub, command, tmp_path):
    shutil.copytree(hub.folder, models.folder / 'clip/own')
    (tmp_path / 'no photos').mkdir()
    assert fovea('index', tmp_path / 'no photos', FOVEA_MODEL='own', **models.settings).status == 0
    done = fovea(*command, FOVEA_MODEL=NAME, **models.settings)
    assert done.status == 1 and f'`fovea models pull {NAME}`' in done.err and not hub.requests
    done = fovea(*command, **models.settings)
    assert done.status == 1 and 'FOVEA_MODEL=ViT-B-32__openai' in done.err and 'make_starter' not in done.err


def test_models_are_listed(models, hub, fake_model):
    shutil.copytree(fake_model('own'), models.folder / 'clip/own')
    assert models('pull', NAME).status == 0
    (models.folder / 'clip/RN50__openai').mkdir()
    done = models('list')
    there, absent = done.out.split('to be had')
    assert f'clip                {NAME}  2.9 MiB\n' in there and 'RN50__openai  0 B, not whole\n' in there
    assert 'own' in there and "not one of Immich's" in there
    assert NAME not in absent.split() and 'RN50__openai' in absent.split() and 'buffalo_l' in absent.split()


def test_verify(models, hub, fake_model):
    assert models('pull', NAME).status == 0
    assert models('verify').out == f'clip/{NAME}: 7 files, 2.9 MiB: whole\n'
    shutil.copytree(fake_model('own'), models.folder / 'clip/own')
    assert models('verify').status == 0 and models('verify', NAME).status == 0
    done = models('verify', 'own')
    assert done.status == 1 and 'no hash is known' in done.out
    (models.clip / VISUAL).write_bytes(b'altered')
    (models.clip / WEIGHTS).unlink()
    done = models('verify')
    assert done.status == 1 and f'{models.clip / VISUAL}: not what was fetched' in done.out
    assert f'{models.clip / WEIGHTS}: missing' in done.out and '2 of 7 files' in done.out
    assert '`fovea models remove NAME`' in done.err
    (models.clip / '.sha256sums').write_text('ab' * 32 + '  ../../x\n')
    shutil.copytree(fake_model('own'), models.folder / 'clip/zebra')
    done = models('verify')
    assert done.status == 1 and f'clip/{NAME}: {models.clip}/.sha256sums: line 1 is no hash and name of a' in done.out
    assert 'clip/zebra: no hash is known' in done.out, 'a bad record of one model ended it for all'


def test_a_file_beside_the_models_is_none(models, fovea, fake_model):
    shutil.copytree(fake_model('own'), models.folder / 'clip/own')
    (models.folder / 'clip/README').write_text('what these are')
    (models.folder / 'ocr').write_text('not even a folder of them')
    for command in [('list',), ('verify',)]:
        done = models(*command)
        assert done.status == 0 and 'own' in done.out and 'README' not in done.out
    for command in [('verify', 'README'), ('remove', 'README'), ('remove', 'clip/README')]:
        done = models(*command)
        assert done.status == 1 and 'README" in ' in done.err and (models.folder / 'clip/README').exists()
    done = fovea('doctor', FOVEA_MODEL='own', **models.settings)
    assert done.status == 0 and 'README' not in done.out, done


def test_the_record_is_as_sha256sum_reads_it(models):
    assert models('pull', NAME).status == 0
    done = subprocess.run(['sha256sum', '-c', '--strict', '.sha256sums'], cwd=models.clip, capture_output=True)
    assert done.returncode == 0


def test_remove(models, hub, fake_model, tmp_path):
    assert models('pull', NAME).status == 0
    done = models('remove', NAME)
    assert (done.status, done.out) == (0, f'removed clip/{NAME}: 8 files, 2.9 MiB\n')
    assert not models.clip.exists()
    done = models('remove', NAME)
    assert done.status == 1 and f'no model "{NAME}" in {models.folder}' in done.err
    own = fake_model('own')
    (models.folder / 'ocr/own').mkdir(parents=True)
    (models.folder / 'clip').mkdir(exist_ok=True)
    (models.folder / 'clip/own').symlink_to(own)
    done = models('remove', 'own')
    assert done.status == 1 and 'TASK/own' in done.err
    assert models('remove', 'clip/own').status == 0
    assert not (models.folder / 'clip/own').is_symlink() and (own / VISUAL).exists()
    assert (models.folder / 'ocr/own').is_dir()
    for hostile in ('..', '../..', 'clip/..', 'clip/', '/', '.', 'clip/../ocr'):
        assert models('remove', hostile).status == 1 and (models.folder / 'ocr/own').is_dir()


def test_import(models, hub):
    assert models('import', hub.folder).out == f'{NAME}: imported\n'
    assert is_whole(models, hub) and not hub.requests
    assert models('verify', NAME).status == 0
    assert 'already there' in models('pull', NAME).out


def test_import_in_place_and_of_another_name(models, hub, tmp_path):
    shutil.copytree(hub.folder, models.clip)
    assert models('import', f'{models.clip}/').status == 0 and is_whole(models, hub)
    hub.folder.rename(tmp_path / 'download')
    done = models('import', tmp_path / 'download')
    assert done.status == 1 and 'no model "' in done.err
    assert models('import', tmp_path / 'download', NAME).status == 0 and is_whole(models, hub)


def test_import_takes_what_is_needed_alone(models, hub):
    for name in ('README.md', 'visual/.hidden', 'visual/model.armnn', 'visual/rknpu/x/model.rknn', 'other/model.onnx'):
        (hub.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (hub.folder / name).write_text('x')
    assert models('import', hub.folder).status == 0 and is_whole(models, hub)


def test_import_of_what_is_not_whole(models, hub):
    (hub.folder / VISUAL).rename(hub.folder / 'elsewhere')
    done = models('import', hub.folder)
    assert done.status == 1 and f'{hub.folder}: lacks {VISUAL} of model {NAME}' in done.err
    (hub.folder / 'elsewhere').rename(hub.folder / VISUAL)
    (hub.folder / '.sha256sums').write_text('ab' * 32 + f'  {VISUAL}\n')
    done = models('import', hub.folder)
    assert done.status == 1 and f'{hub.folder / VISUAL}: its SHA-256' in done.err
    assert not (models.clip / VISUAL).exists()


def test_import_of_text_recognition_is_held_to_its_pins(models, tmp_path):
    folder = tmp_path / 'EN__PP-OCRv5_mobile'
    done = models('import', folder)
    assert done.status == 1 and 'detection/model.onnx' in done.err
    (folder / 'detection').mkdir(parents=True)
    (folder / 'detection/model.onnx').write_bytes(b'no network')
    done = models('import', folder)
    assert done.status == 1 and 'its SHA-256' in done.err and not list(models.folder.rglob('*.onnx'))


@pytest.mark.parametrize('args', [[], ['fetch'], ['pull'], ['remove'], ['import'], ['import', 'a', 'b', 'c'], ['list', 'a']])
def test_what_is_no_request(models, args):
    assert models(*args).status == 2


def test_the_page_s_commands(commands, models, hub, build, environment, tmp_path):
    """Each command of docs/models.md, in turn."""
    env = {**environment, **models.settings, 'PATH': f'{build}:{environment["PATH"]}'}
    said = []
    for command in commands(pathlib.Path(__file__).resolve().parents[2] / 'docs/models.md'):
        command = command.replace('/media/stick', str(hub.folder.parent))
        done = subprocess.run(command, shell=True, env=env, text=True, capture_output=True)
        said.append(done.stdout)
        assert done.returncode == command.startswith('HF_HUB_OFFLINE=1'), done.stderr
    assert f'{models.folder}/ocr/PP-OCRv5_mobile/recognition/model.onnx\n    from {hub.url}/models/' in done.stderr
    assert 'fetched' in said[0] and 'whole' in said[2] and 'removed' in said[3] and 'imported' in said[4]


def test_a_certificate_of_one_s_own(models, hub, tmp_path):
    key, cert = tmp_path / 'key.pem', tmp_path / 'cert.pem'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost',
                    '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    hub.server.socket = context.wrap_socket(hub.server.socket, server_side=True)
    url = hub.url.replace('http://127.0.0.1', 'https://localhost')
    done = models('pull', NAME, HF_ENDPOINT=url)
    assert done.status == 1 and 'certificate' in done.err.lower() and 'trying again' not in done.err
    assert models('pull', NAME, HF_ENDPOINT=url, SSL_CERT_FILE=str(cert)).status == 0 and is_whole(models, hub)


def test_a_proxy_is_used_but_for_no_proxy(models, hub, second):
    hub.faults['/api/'] = [status(500), 'always']
    url = 'http://hub.invalid'
    second.file, second.proxied = lambda path: hub.file(path.removeprefix(url)), []
    second.server.RequestHandlerClass = type('Proxy', (Handler,), {
        'parse_request': lambda h: Handler.parse_request(h) and (second.proxied.append(h.path) or
                                                                 setattr(h, 'path', h.path.removeprefix(url)) or True)})
    assert models('pull', NAME, HF_ENDPOINT=url, http_proxy=second.url, no_proxy='').status == 0
    assert is_whole(models, hub) and all(path.startswith(url) for path in second.proxied)
    models('remove', NAME)
    n = len(second.proxied)
    assert models('pull', NAME, HF_ENDPOINT=url, http_proxy=second.url, no_proxy='hub.invalid').status == 1
    assert len(second.proxied) == n
