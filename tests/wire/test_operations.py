"""What an administrator asks the service: is it alive, is it ready, what has it done; ids and the log."""
import collections
import io
import json
import pathlib
import re
import signal
import socket
import time

import pytest
from PIL import Image

MODELS = pathlib.Path(__file__).resolve().parent.parent / 'models'
TOY = {'modelName': 'toy', 'options': {'minScore': .5}}
TEXT = {'clip': {'textual': {'modelName': 'fake'}}}
IMAGE = {'clip': {'visual': {'modelName': 'fake'}}}

Sample = collections.namedtuple('Sample', 'name labels value')
NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')
NUMBER = re.compile(r'(?:[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?|\+Inf|NaN)')


def parse_labels(text):
    labels, at = {}, 0
    while at < len(text):
        m = LABEL.match(text, at)
        assert m and m[1] not in labels, text
        labels[m[1]] = m[2]
        at = m.end()
        assert at == len(text) or text[at] == ',' and at + 1 < len(text), text
        at += 1
    return labels


def parse(page):
    """The page by the letter of the exposition format 0.0.4: families whole, typed, named and in one place."""
    assert page.endswith('\n')
    families, samples, seen, current = {}, [], set(), None
    lines = iter(page.removesuffix('\n').split('\n'))
    for line in lines:
        if line.startswith('#'):
            help_, type_ = line.split(' ', 3), next(lines).split(' ')
            assert help_[:2] == ['#', 'HELP'] and help_[3] and type_[:2] == ['#', 'TYPE'] and type_[2] == help_[2], line
            current = help_[2]
            assert re.fullmatch(NAME, current) and current not in families and len(type_) == 4
            families[current] = type_[3]
            continue
        m = re.fullmatch(rf'({NAME})(?:\{{(.+)\}})? (\S+)', line)
        assert m and NUMBER.fullmatch(m[3]), line
        suffixes = ('_bucket', '_sum', '_count') if families[current] == 'histogram' else ('',)
        assert m[1] in {current + s for s in suffixes}, line
        assert families[current] != 'counter' or m[1].endswith('_total'), line
        sample = Sample(m[1], parse_labels(m[2] or ''), float(m[3]))
        key = (sample.name, tuple(sorted(sample.labels.items())))
        assert key not in seen, line
        seen.add(key)
        samples.append(sample)
    check_histograms(families, samples)
    return samples


def check_histograms(families, samples):
    """Buckets only grow, the last is +Inf and equal to the count; a sum goes with it."""
    for family in (f for f, kind in families.items() if kind == 'histogram'):
        rows = collections.defaultdict(list)
        for s in samples:
            if s.name == family + '_bucket':
                rows[tuple(sorted((k, v) for k, v in s.labels.items() if k != 'le'))].append((s.labels['le'], s.value))
        counts = {tuple(sorted(s.labels.items())): s.value for s in samples if s.name == family + '_count'}
        sums = {tuple(sorted(s.labels.items())): s.value for s in samples if s.name == family + '_sum'}
        assert set(rows) == set(counts) == set(sums) and rows
        for labels, buckets in rows.items():
            bounds, values = [float(b) for b, _ in buckets], [v for _, v in buckets]
            assert bounds == sorted(set(bounds)) and buckets[-1] == ('+Inf', counts[labels])
            assert values == sorted(values) and (counts[labels] > 0) == (sums[labels] > 0)


class Metrics:
    def __init__(self, server):
        status, headers, body = server.ask('GET', '/metrics')
        assert status == 200 and headers['content-type'] == 'text/plain; version=0.0.4; charset=utf-8'
        self.samples = parse(body.decode())

    def all(self, name, **labels):
        return [s for s in self.samples if s.name == name and labels.items() <= s.labels.items()]

    def __call__(self, name, **labels):
        """The value of the one sample, 0 where a series has not begun."""
        found = self.all(name, **labels)
        assert len(found) <= 1, found
        return found[0].value if found else 0

    def series(self):
        return {(s.name, tuple(sorted(s.labels.items()))) for s in self.samples}


def test_what_is_done_is_counted(server, photo):
    before = Metrics(server)
    assert before('fovea_http_requests_total', route='/predict') == 0
    assert before('fovea_cache_lookups_total', cache='text', result='miss') == 0
    for _ in range(2):
        assert server.predict(TEXT, text='red dog')[0] == 200
    for _ in range(3):
        assert server.predict(IMAGE, image=photo)[0] == 200
    assert server.predict(IMAGE, image=photo[:100])[0] == 400
    assert server.predict({'clip': {'visual': {'modelName': 'absent'}}}, image=photo)[0] == 404
    m = Metrics(server)
    visual, textual = {'task': 'clip', 'type': 'visual'}, {'task': 'clip', 'type': 'textual'}
    assert m('fovea_http_requests_total', route='/predict', status='200') == 5
    assert m('fovea_http_requests_total', route='/predict', status='400') == 1
    assert m('fovea_http_requests_total', route='/predict', status='404') == 1
    assert m('fovea_http_requests_total', route='/metrics', status='200') == 1
    assert m('fovea_entries_total', result='answered', **visual) == 3
    assert m('fovea_entries_total', result='failed', **visual) == 1
    assert m('fovea_entries_total', result='answered', **textual) == 2
    assert m('fovea_cache_lookups_total', cache='text', result='hit') == 1
    assert m('fovea_cache_lookups_total', cache='text', result='miss') == 1
    assert m('fovea_cache_lookups_total', cache='picture', result='hit') == 3
    assert m('fovea_cache_lookups_total', cache='picture', result='miss') == 2
    assert m('fovea_decode_errors_total') == 1
    assert m('fovea_stage_seconds_count', stage='decode') == 1
    assert m('fovea_stage_seconds_count', stage='queue') == m('fovea_request_seconds_count') == 7
    assert m('fovea_stage_seconds_count', stage='infer', **visual) == 3
    assert m('fovea_stage_seconds_count', stage='prepare', **textual) == 1
    assert m('fovea_model_loads_total', **visual) == m('fovea_model_loads_total', **textual) == 1
    assert {s.labels['model'] for s in m.all('fovea_model_loaded_bytes')} == {'fake'}
    assert all(s.value > 0 for s in m.all('fovea_model_loaded_bytes'))
    assert m('fovea_queue_depth') == m('fovea_requests_running') == 0
    assert m('process_resident_memory_bytes') > 1 << 20 and 3 < m('process_open_fds') < m('process_max_fds')
    assert abs(m('process_start_time_seconds') - time.time()) < 60 and m('process_cpu_seconds_total') > 0
    assert m.all('fovea_build_info')[0].labels['version'] and m.all('fovea_inference_info')[0].labels['provider']


def test_the_network_is_told_from_the_rest(start, fake_model, photo):
    fake_model('slow', delay_ms=300)
    server = start()
    assert server.predict({'clip': {'visual': {'modelName': 'slow'}}}, image=photo)[0] == 200
    m, visual = Metrics(server), {'task': 'clip', 'type': 'visual'}
    infer, prepare = (m('fovea_stage_seconds_sum', stage=s, **visual) for s in ('infer', 'prepare'))
    assert .3 <= infer < .9 and prepare < .3
    assert m('fovea_request_seconds_sum') >= infer + prepare


def test_what_clients_call_things_makes_no_series(server, photo):
    """Paths, methods, models, tasks and types that nobody knows all fall into what is there already."""
    def hostile(i):
        server.ask('GET', f'/nope{i}')
        server.ask(f'BREW{i}', '/predict')
        server.predict({'clip': {'visual': {'modelName': f'absent{i}'}}}, image=photo)
        server.predict({f'task{i}': {'visual': {'modelName': 'fake'}}}, image=photo)
        server.predict({'clip': {f'type{i}': {'modelName': 'fake'}}}, image=photo)
        server.predict('{}"\\\n', text='"\\\n')
    hostile(0)
    before = Metrics(server)
    for i in range(1, 20):
        hostile(i)
    after = Metrics(server)
    new = after.series() - before.series()
    assert new <= {('fovea_http_requests_total', (('route', '/metrics'), ('status', '200')))}, new
    assert after('fovea_http_requests_total', route='other', status='404') == 20
    assert len(after.samples) < 500


def test_models_that_go_are_counted(start, fake_model, photo):
    fake_model('second')
    server = start(MACHINE_LEARNING_MODEL_TTL='1', MACHINE_LEARNING_MODEL_TTL_POLL_S='1')
    for name in ('fake', 'second'):
        assert server.predict({'clip': {'visual': {'modelName': name}}}, image=photo)[0] == 200
    assert len(Metrics(server).all('fovea_model_loaded_bytes')) == 2
    deadline = time.monotonic() + 20
    while (m := Metrics(server)).all('fovea_model_loaded_bytes') and time.monotonic() < deadline:
        time.sleep(.2)
    assert m('fovea_model_unloads_total', reason='idle') == 2 and not m.all('fovea_model_loaded_bytes')


def test_a_network_that_is_none_is_a_load_failure(server, models, photo):
    (models / 'clip/fake/visual/model.onnx').write_text('fovea-fake 1\nnonsense\n')
    assert server.predict(IMAGE, image=photo)[0] == 500
    m = Metrics(server)
    assert m('fovea_model_load_failures_total', task='clip', type='visual') == 1
    assert m('fovea_model_loads_total', task='clip', type='visual') == 0


def test_the_queue_is_seen_while_it_is_full(start, fake_model, photo):
    fake_model('slow', delay_ms=1500)
    server = start(MACHINE_LEARNING_REQUEST_THREADS='1', FOVEA_HTTP_QUEUE='2')
    body, kind = server.form(entries=json.dumps({'clip': {'visual': {'modelName': 'slow'}}}), image=photo)
    waiting = [server.connect() for _ in range(3)]
    for c in waiting:
        c.request('POST', '/predict', body, {'Content-Type': kind})
        time.sleep(.2)
    assert server.ask('POST', '/predict', body, kind)[0] == 503
    m = Metrics(server)
    assert m('fovea_queue_depth') == 2 and m('fovea_requests_running') == 1
    waiting.pop().close()
    time.sleep(.3)
    m = Metrics(server)
    assert m('fovea_queue_depth') == 1 and m('fovea_http_gone_total') == 1
    assert [c.getresponse().status for c in waiting] == [200, 200]


def test_alive_and_ready(server):
    assert server.ask('GET', '/healthz')[::2] == (200, b'{"status":"alive"}')
    deadline = time.monotonic() + 10
    while server.ask('GET', '/readyz')[0] != 200 and time.monotonic() < deadline:
        time.sleep(.02)
    assert server.ask('GET', '/readyz')[::2] == (200, b'{"status":"ready"}')
    assert server.ask('GET', '/ping')[::2] == (200, b'pong')


def test_not_ready_while_models_are_preloaded_and_while_it_stops(start, fake_model):
    fake_model('slow', delay_ms=1500)
    server = start(MACHINE_LEARNING_PRELOAD__CLIP__VISUAL='slow')
    c = server.connect()
    assert server.ask('GET', '/readyz', connection=c)[::2] == (503, b'{"status":"starting"}')
    assert server.ask('GET', '/healthz')[0] == 200
    deadline = time.monotonic() + 20
    while server.ask('GET', '/readyz')[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(.05)


def test_readiness_ends_before_the_work_does(start, fake_model, photo):
    fake_model('slow', delay_ms=1500)
    server = start(MACHINE_LEARNING_HTTP_KEEPALIVE_TIMEOUT_S='10')
    body, kind = server.form(entries=json.dumps({'clip': {'visual': {'modelName': 'slow'}}}), image=photo)
    idle, c = server.connect(), server.connect()
    server.ask('GET', '/ping', connection=idle)
    c.request('POST', '/predict', body, {'Content-Type': kind})
    time.sleep(.3)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(.2)
    assert server.ask('GET', '/readyz', connection=idle)[::2] == (503, b'{"status":"stopping"}')
    assert c.getresponse().status == 200 and server.process.wait(10) == 0


def ask_with_id(server, raw):
    """The answer's own X-Request-Id, as bytes or None, to a request whose header is written as it is."""
    body, kind = server.form(entries=json.dumps(TEXT), text='dog')
    with socket.create_connection(('127.0.0.1', server.port)) as s:
        s.sendall(b'POST /predict HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Request-Id: ' + raw +
                  f'\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n'.encode() + body)
        head = b''.join(iter(lambda: s.recv(65536), b'')).split(b'\r\n\r\n')[0]
    found = [h.split(b': ', 1)[1] for h in head.split(b'\r\n') if h.lower().startswith(b'x-request-id:')]
    assert len(found) <= 1
    return head, found[0] if found else None


def test_an_id_that_is_sane_is_kept(server):
    for sane in (b'a', b'7f3e0c9a-1b2c-4d5e-8f90-123456789abc', b'A_b.c-9' * 9 + b'x'):
        head, got = ask_with_id(server, sane)
        assert head.startswith(b'HTTP/1.1 200') and got == sane


@pytest.mark.parametrize('hostile', [b'a' * 65, b'a' * 4000, b'a b', b'a\tb', b'a"b', b'\x01', b'a\x7f', b'\xff\xfe',
                                     b'a\r\n X-Evil: 1', b'<script>', b'a;b', b'', b'${jndi}'])
def test_an_id_that_is_not_is_replaced(server, hostile):
    head, got = ask_with_id(server, hostile)
    if head.startswith(b'HTTP/1.1 4'):  # refused as no HTTP at all
        return
    assert head.startswith(b'HTTP/1.1 200') and re.fullmatch(rb'[0-9a-f]{16}', got) and b'evil' not in head.lower()


def test_a_header_cannot_be_smuggled(server):
    head, got = ask_with_id(server, b'a\r\nX-Evil: 1')
    assert got == b'a' and b'evil' not in head.lower()


def test_made_ids_differ_and_pages_have_none(server):
    ids = {server.ask('POST', '/predict')[1]['x-request-id'] for _ in range(20)}
    assert len(ids) == 20 and None not in ids
    assert 'x-request-id' not in server.ask('GET', '/ping')[1]
    c = server.connect()
    c.request('GET', '/ping', headers={'X-Request-Id': 'mine'})
    assert c.getresponse().headers['x-request-id'] == 'mine'


SECRET = 'grandmother in the hospital'


def everything(server, photo):
    """Requests that succeed and fail in all ways, each with the secret text or the picture in it."""
    server.predict(TEXT, text=SECRET)
    server.predict(IMAGE, image=photo)
    server.predict(IMAGE, text=SECRET)
    server.predict(TEXT, image=photo)
    server.predict('nonsense', text=SECRET)
    server.predict({'clip': {'textual': {'modelName': 'absent'}}}, text=SECRET)
    server.predict(TEXT, text=SECRET, image=SECRET)
    server.predict(TEXT, text=SECRET * 100000)
    server.predict(IMAGE, image=SECRET.encode() * 9)
    server.ask('POST', '/predict', SECRET, 'text/plain')
    server.ask('GET', '/' + SECRET.replace(' ', '%20'))


@pytest.mark.parametrize('level', ['info', 'debug'])
def test_the_log_is_json_without_content(start, photo, level):
    server = start(FOVEA_LOG_FORMAT='json', IMMICH_LOG_LEVEL=level)
    everything(server, photo)
    assert server.stop()[0] == 0
    lines = [json.loads(line) for line in server.log]
    for line in lines:
        assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z', line['time'])
        assert line['level'] in ('error', 'warning', 'info', 'debug') and line['message']
    requests = [line for line in lines if line['message'] == 'POST /predict']
    assert len(requests) == (10 if level == 'debug' else 8)
    assert len({line['id'] for line in requests}) == len(requests)
    bad = [line for line in requests if line['status'] != 200]
    assert len(bad) == 8 and all(line['why'] and line['level'] == 'info' for line in bad)
    assert all(line['ms'] >= line['queue_ms'] >= 0 for line in requests if 'queue_ms' in line)
    log = '\n'.join(server.log)
    assert 'grandmother' not in log and 'hospital' not in log and 'JFIF' not in log


def test_the_log_as_text(start, photo):
    server = start(IMMICH_LOG_LEVEL='debug')
    everything(server, photo)
    assert server.stop()[0] == 0
    requests = [line for line in server.log if 'POST /predict' in line]
    assert len(requests) == 10 and all(line.startswith('fovea: ') for line in server.log)
    good = re.fullmatch(r'fovea: POST /predict id=([0-9a-f]{16}) status=200 bytes=\d+ ms=\S+ queue_ms=\S+', requests[0])
    assert good and 'hospital' not in '\n'.join(server.log)
    assert re.search(r' status=400 .* why="Task clip of type visual needs an image, not text"$', requests[2])


def test_who_hangs_up_is_logged(start, fake_model, photo):
    fake_model('slow', delay_ms=1500)
    server = start(FOVEA_LOG_FORMAT='json', IMMICH_LOG_LEVEL='debug')
    body, kind = server.form(entries=json.dumps({'clip': {'visual': {'modelName': 'slow'}}}), image=photo)
    c = server.connect()
    c.request('POST', '/predict', body, {'Content-Type': kind, 'X-Request-Id': 'left'})
    time.sleep(.3)
    c.close()
    time.sleep(.3)
    assert server.stop()[0] == 0
    assert [json.loads(line)['status'] for line in server.log if '"left"' in line] == ['gone']


def doctor(library, **settings):
    """{what: [(mark, text), ...]}"""
    result = library('doctor', **settings)
    assert result.status == 0, result.out + result.err
    lines = collections.defaultdict(list)
    for line in result.out.splitlines():
        mark, what, text = re.fullmatch(r'(ok|--) +(\S+(?: \S+)*?)  +(.+)', line).groups()
        lines[what].append((mark, text))
    return lines


def test_doctor_measures_how_fast_it_goes(library, fake_model):
    fake_model(delay_ms=100)
    (mark, text), = doctor(library)['speed']
    rate, n_threads = re.match(r'([\d.]+) photos a second with (\d+) threads?, ', text).groups()
    assert mark == 'ok' and 5 * int(n_threads) < float(rate) <= 10 * int(n_threads)
    assert 'FOVEA_SIMD' in str(doctor(library, FOVEA_SIMD='c')['speed']) or 'kernels: portable' in str(doctor(library))


@pytest.mark.parametrize('kinds', [('clip',), ('facial-recognition',), ('ocr',), ('clip', 'facial-recognition', 'ocr')],
                         ids='+'.join)
def test_doctor_knows_what_memory_a_service_takes(fovea, start, build, kinds, starter_models, tmp_path):
    """Within a fifth of what one has that was asked of all models that are there."""
    if build.name != 'build':
        pytest.skip("memory is measured in the plain build, where no sanitizer's shadow is resident too")
    sources = {'clip': starter_models / 'clip/starter', **{k: MODELS / k / 'toy' for k in kinds if k != 'clip'}}
    for kind in kinds:
        (tmp_path / 'all' / kind).mkdir(parents=True)
        (tmp_path / 'all' / kind / sources[kind].name).symlink_to(sources[kind])
    photo = io.BytesIO()
    Image.effect_noise((1000, 750), 40).convert('RGB').save(photo, 'JPEG')
    seen = {'clip': {'visual': {'modelName': 'starter'}}, 'ocr': {'detection': TOY, 'recognition': TOY},
            'facial-recognition': {'detection': TOY, 'recognition': {'modelName': 'toy'}}}
    for _ in range(2):  # the first prepares the networks, which leaves more behind
        server = start(folder=tmp_path / 'all')
        for n in (6, 3):  # after some runs weights are packed, which gives back what others computed in
            for i in range(n):
                if 'clip' in kinds:
                    assert server.predict({'clip': {'textual': {'modelName': 'starter'}}}, text=f'{n} dogs, {i}')[0] == 200
                for kind in kinds:
                    status, answer = server.predict({kind: seen[kind]}, image=photo.getvalue())
                    assert status == 200, answer
            time.sleep(1)
        status = open(f'/proc/{server.process.pid}/status').read()
        takes = int(re.search(r'VmRSS:\s+(\d+) kB', status)[1]) / 1024
        assert server.stop()[0] == 0
    told = fovea('doctor', MACHINE_LEARNING_CACHE_FOLDER=str(tmp_path / 'all'))
    forecast = int(re.search(r'uses all models here takes about (\d+) MiB', told.out)[1])
    print(f'takes {takes}, forecast {forecast}')
    assert .8 * takes <= forecast <= 1.2 * takes, (takes, told)


def test_doctor_says_when_the_models_are_too_large(library, models, fake_model):
    assert re.fullmatch(r'a service that uses all models here takes about .*iB; .* free', doctor(library)['memory'][0][1])
    with open(fake_model('huge') / 'visual/weights.bin', 'wb') as f:
        f.truncate(1 << 40)  # a hole
    (mark, text), = doctor(library)['memory']
    assert mark == '--' and re.search(r'free\. Set FOVEA_MODELS_MIB=\d+, so that idle models make room', text), text
