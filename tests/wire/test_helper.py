"""The decode helper under attack: broken files of every format, and what happens to its process."""
import io
import os
import random
import signal
import struct
import subprocess
import time
import zlib

import pytest
from PIL import Image

FORMAT = {'png': 2, 'webp': 3, 'gif': 4, 'tiff': 5, 'heic': 6, 'avif': 7, 'jxl': 8, 'bmp': 9, 'raw': 10}
NAME = {'png': 'PNG', 'webp': 'WebP', 'gif': 'GIF', 'tiff': 'TIFF', 'heic': 'HEIC', 'avif': 'AVIF',
        'jxl': 'JPEG XL', 'bmp': 'BMP', 'raw': 'RAW'}
REFUSALS = ('invalid input', 'limit exceeded', 'not supported', 'out of memory')


class Helper:
    def __init__(self, build, timeout_ms=60000):
        self.tool = subprocess.Popen([build / 'tests/decode_tool', build / 'fovea-decode', str(timeout_ms)],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __call__(self, path, kind, contract='view'):
        """'ok', or how the file was refused."""
        self.tool.stdin.write(f'{contract} {FORMAT[kind]} {path}\n'.encode())
        self.tool.stdin.flush()
        return self.answer()

    def answer(self):
        head = self.tool.stdout.readline().decode()
        if head.startswith('ok '):
            w, h = map(int, head.split()[1:])
            self.tool.stdout.read(w * h * 3)
            return 'ok'
        return head.strip()

    def children(self):
        found = []
        for task in os.listdir(f'/proc/{self.tool.pid}/task'):
            found += map(int, open(f'/proc/{self.tool.pid}/task/{task}/children').read().split())
        return found

    def n_descriptors(self):
        return len(os.listdir(f'/proc/{self.tool.pid}/fd'))

    def close(self):
        self.tool.stdin.close()
        assert self.tool.wait(60) == 0
        assert b'Sanitizer' not in (said := self.tool.stderr.read()), said.decode()


@pytest.fixture
def helper(build):
    h = Helper(build)
    yield h
    h.close()


def picture():
    return Image.effect_noise((64, 48), 90).convert('RGB')


def saved(im, fmt, **options):
    out = io.BytesIO()
    im.save(out, fmt, **options)
    return out.getvalue()


@pytest.fixture(scope='module')
def samples():
    """One good file a format that Pillow writes; HEIC and JPEG XL come from ../shared where it is."""
    im = picture()
    return {'png': saved(im, 'PNG'), 'webp': saved(im, 'WEBP'), 'gif': saved(im, 'GIF'), 'bmp': saved(im, 'BMP'),
            'tiff': saved(im, 'TIFF', compression='tiff_lzw'), 'avif': saved(im, 'AVIF', speed=10)}


def run_all(helper, tmp_path, kind, files):
    """Each file must be decoded or refused; a helper that died would say so."""
    path, outcomes = tmp_path / 'file', []
    for data in files:
        path.write_bytes(data)
        got = helper(path, kind)
        assert got == 'ok' or got.startswith(REFUSALS), f'{got}\n{kind}: {data[:64].hex()}... ({len(data)} bytes)'
        outcomes.append(got)
    return outcomes


def damaged(data, seed, n):
    rng = random.Random(seed)
    for i in range(n):
        b = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 5, 20])):
            at = rng.randrange(min(len(b), rng.choice([64, 1 << 30])))
            b[at] = rng.choice([0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)])
        yield bytes(b[:rng.randrange(len(b))] if i % 4 == 0 else b)


def test_500_broken_files_leave_one_helper(helper, samples, tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(samples['png'])
    assert helper(path, 'png') == 'ok'
    before, n_before = helper.children(), helper.n_descriptors()
    for kind, data in samples.items():
        outcomes = run_all(helper, tmp_path, kind, damaged(data, kind, 85))
        assert any(o != 'ok' for o in outcomes), kind
    assert helper.children() == before and helper.n_descriptors() == n_before
    path.write_bytes(samples['png'])
    assert helper(path, 'png') == 'ok'


def test_cut_short_is_said(helper, samples, tmp_path):
    for kind, data in samples.items():
        for n in (0, 1, 12, 30, len(data) // 2, len(data) * 9 // 10):
            got = run_all(helper, tmp_path, kind, [data[:n]])
            assert got[0] != 'ok' and got[0].split(': ')[1] == NAME[kind], (kind, n, got)


@pytest.mark.parametrize('kind', ['heic', 'jxl'])
def test_broken_heic_and_jpeg_xl(helper, shared, tmp_path, kind):
    data = next((shared / 'photos').glob('*.' + kind)).read_bytes()
    run_all(helper, tmp_path, kind, [data[:n] for n in (0, 1, 12, 40, 200, 1000, len(data) // 2)])
    run_all(helper, tmp_path, kind, [d[:200000] for d in damaged(data, kind, 24)])


def test_noise_of_every_format(helper, tmp_path):
    rng = random.Random(7)
    for kind in FORMAT:
        outcomes = run_all(helper, tmp_path, kind, [rng.randbytes(n) for n in (1, 16, 100, 5000)])
        assert 'ok' not in outcomes


def huge_png():
    def chunk(name, data):
        return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 65000, 65000, 8, 2, 0, 0, 0)) +
            chunk(b'IDAT', zlib.compress(bytes(1000))) + chunk(b'IEND', b''))


def huge(kind, samples):
    data = bytearray(samples[kind])
    if kind == 'bmp':
        data[18:26] = struct.pack('<ii', 65000, 65000)
    elif kind == 'gif':
        data[6:10] = struct.pack('<HH', 65000, 65000)
    elif kind == 'tiff':
        at, = struct.unpack('<I', data[4:8])
        for i in range(struct.unpack('<H', data[at:at + 2])[0]):
            tag, = struct.unpack('<H', data[at + 2 + 12 * i:at + 4 + 12 * i])
            if tag in (256, 257):
                data[at + 4 + 12 * i:at + 14 + 12 * i] = struct.pack('<HII', 4, 1, 65000)
    return bytes(data)


def test_sizes_are_refused_before_they_cost(helper, samples, tmp_path):
    files = {'png': huge_png(), **{kind: huge(kind, samples) for kind in ('bmp', 'gif', 'tiff')}}
    path = tmp_path / 'file'
    for kind, data in files.items():
        path.write_bytes(data)
        start = time.monotonic()
        got = helper(path, kind)
        assert got == f'limit exceeded: {NAME[kind]}: 65000 x 65000 pixels, the limit is 400000000'
        assert time.monotonic() - start < 20
    status = open(f'/proc/{helper.children()[0]}/status').read()
    assert int(status.split('VmHWM:')[1].split()[0]) < 1_000_000  # kB; a sanitizer has its share in it


def test_it_is_locked_in(helper, build, samples, tmp_path):
    (tmp_path / 'file').write_bytes(samples['png'])
    assert helper(tmp_path / 'file', 'png') == 'ok'
    pid, = helper.children()
    threads = os.listdir(f'/proc/{pid}/task')
    assert len(threads) > 1
    for thread in threads:
        status = open(f'/proc/{pid}/task/{thread}/status').read().split('\n')
        assert 'Seccomp:\t2' in status and 'NoNewPrivs:\t1' in status
    limits = open(f'/proc/{pid}/limits').read()
    sanitized = b'san_init' in (build / 'fovea-decode').read_bytes()  # which writes reports, to a file perhaps
    for name in ('Max core file size', *([] if sanitized else ['Max file size'])):
        assert limits.split(name)[1].split()[:2] == ['0', '0'], limits


def test_an_interrupt_at_the_terminal_passes_it_by(helper, samples, tmp_path):
    (tmp_path / 'file').write_bytes(samples['png'])
    assert helper(tmp_path / 'file', 'png') == 'ok'
    pid, = helper.children()
    assert os.getpgid(pid) == pid


def test_killed_helper_is_replaced(helper, samples, tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(samples['png'])
    for sig in (signal.SIGKILL, signal.SIGTERM, signal.SIGABRT):
        assert helper(path, 'png') == 'ok'
        pid, = helper.children()
        os.kill(pid, sig)
        time.sleep(0.1)
        assert helper(path, 'png') == 'ok'
        assert helper.children() != [pid] and len(helper.children()) == 1


def stopped_request(helper, path, kind):
    """A request on its way to a helper that is stopped; gives the helper's pid."""
    assert helper(path, kind) == 'ok'
    pid, = helper.children()
    os.kill(pid, signal.SIGSTOP)
    helper.tool.stdin.write(f'view {FORMAT[kind]} {path}\n'.encode())
    helper.tool.stdin.flush()
    time.sleep(0.2)
    return pid


def test_death_while_decoding_names_the_signal(helper, samples, tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(samples['png'])
    os.kill(stopped_request(helper, path, 'png'), signal.SIGKILL)
    assert helper.answer() == 'internal error: PNG: the decode helper was killed by signal 9 (Killed)'
    assert helper.children() == [] and helper(path, 'png') == 'ok'


def test_a_hang_ends_in_time(build, samples, tmp_path):
    helper = Helper(build, timeout_ms=1000)
    path = tmp_path / 'file'
    path.write_bytes(samples['png'])
    stopped_request(helper, path, 'png')
    assert helper.answer() == 'limit exceeded: PNG: decoding took longer than 1000 ms'
    assert helper.children() == []
    helper.close()


def test_the_helper_ends_with_its_engine(build, samples, tmp_path):
    helper = Helper(build)
    (tmp_path / 'file').write_bytes(samples['png'])
    assert helper(tmp_path / 'file', 'png') == 'ok'
    pid, = helper.children()
    helper.tool.kill()
    helper.tool.wait()
    for _ in range(200):
        try:
            state = open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()[0]
        except FileNotFoundError:
            return
        if state == 'Z':  # ended; nobody is left here to reap it
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail('the helper outlives its engine')


def test_started_by_hand_it_says_so(build):
    done = subprocess.run([build / 'fovea-decode'], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert done.returncode == 2 and b'started by fovea' in done.stderr
