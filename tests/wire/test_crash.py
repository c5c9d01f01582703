"""Runs that are killed and power that fails, at random moments: what was there stays, and a run completes it.

The moments are random but can be had again: FOVEA_SEED=N picks others (0 when not set), FOVEA_CRASHES=N
more of them. Time runs a million times as fast in the process, so that it commits after each batch and not
each second; so a kill falls between any two of its writes, syncs, renames and commits."""
import ctypes
import os
import random
import shutil
import time

import pytest

SEED = int(os.environ.get('FOVEA_SEED', 0))
N_CRASHES = int(os.environ.get('FOVEA_CRASHES', 50))
PAGE = 4096
FAST = 1000000
NOTHING_YET = ('no library in', 'no photos yet', 'the run that made it was cut short')


@pytest.fixture
def many(lab):
    """Pictures enough for some twenty commits, each of several pages."""
    for i in range(160):
        lab.add(f'{i % 7}/{i}.jpg', i)
    whole = lab.folder / 'whole'
    assert lab.index(whole)[0] == 0
    lab.want, lab.answer = lab.dump(whole), lab.found(whole)
    lab.before = lab.contents()
    lab.n_writes = lab.count(lab.folder / 'counted', 'index', '-q', '-j1', lab.pictures, kind='write',
                             below=lab.folder / 'counted', clock_speed=FAST)
    assert lab.n_writes > 300
    return lab


def check_partly(lab, library):
    """What a crash left can be opened, holds nothing wrong, and is what a search finds."""
    for command in (('status',), ('search', '--json', '-n', '1000', 'red dog')):
        status, out, err = lab.run(library, *command)
        if status:
            assert err.count('\n') == 1 and any(words in err for words in NOTHING_YET), (command, status, err)
    if not status:
        dump = lab.dump(library)
        for what in ('files', 'vectors'):
            assert set(dump[what]) <= set(lab.want[what]), what
        live = {os.path.basename(os.fsdecode(f[1])) for f in dump['files'] if f[4]}
        found = lab.found(library)
        assert {name for name, _ in found} == live and set(found) <= set(lab.answer)
        assert lab.found(library, n=2) == found[:2]  # few: what the sidecar says decides


def check_whole(lab, library):
    """An undisturbed run completes it."""
    status, out, err = lab.index(library)
    assert status == 0 and not err, (status, out, err)
    assert lab.dump(library) == lab.want and lab.found(library) == lab.answer
    assert not [p.name for p in library.iterdir() if 'tmp' in p.name]
    assert lab.contents() == lab.before


def rounds(lab, rng, crash):
    """Crashes, now several in a row, now one, each round on a fresh library; N_CRASHES in all."""
    n = 0
    while n < N_CRASHES:
        library = lab.folder / f'library-{n}'
        for _ in range(rng.choice([1, 1, 2, 4])):
            crash(library)
            check_partly(lab, library)
            n += 1
        check_whole(lab, library)
        shutil.rmtree(library)


def test_kill_9_between_any_two_writes(many):
    rng = random.Random(f'kill {SEED}')

    def crash(library):
        at = rng.choice([rng.randrange(60), rng.randrange(many.n_writes), many.n_writes - rng.randrange(60)])
        status, out, err = many.index(library, kind='write', below=library, at=at, how='kill', clock_speed=FAST)
        assert status in (-9, 0), (at, out, err)
    rounds(many, rng, crash)


def test_kill_9_at_any_time(many):
    rng = random.Random(f'time {SEED}')
    start = time.monotonic()
    many.index(many.folder / 'timed')
    whole_s = time.monotonic() - start

    def crash(library):
        process = many.start(library, 'index', '-q', many.pictures, clock_speed=FAST)
        time.sleep(rng.random() * whole_s)
        process.kill()
        process.communicate()
    rounds(many, rng, crash)


def identity(path):
    """As tests/fault/preload.c names a file: an inode's number may come again, with another birth."""
    statx, x = ctypes.CDLL(None).statx, ctypes.create_string_buffer(256)
    assert statx(-100, os.fsencode(path), 0x100, 0x900, x) == 0

    def at(offset, n):
        return int.from_bytes(x.raw[offset:offset + n], 'little')
    return f'{at(32, 8)}-{at(80, 8)}-{at(88, 4)}'


def some_pages(rng, synced, written):
    """The synced content with some of what was written since: each page may have reached the disk or not."""
    size = rng.choice([len(synced), len(written), len(written), rng.randint(*sorted((len(synced), len(written))))])
    how = rng.choice(['none', 'all', 'some', 'some'])
    result = bytearray(synced[:size].ljust(size, b'\0'))
    for at in range(0, size, PAGE):
        if how == 'all' or how == 'some' and rng.random() < 0.5:
            page = written[at:min(at + PAGE, size)]
            result[at:at + len(page)] = page
    return bytes(result)


def cut_power(rng, library, durable):
    """What the disk may hold after the power went: each name as it was when the folder was last synced,
    or as it is now; each file as its last sync left it, with some of the pages that were written since."""
    now = {p.name: identity(p) for p in library.iterdir()} if library.exists() else {}
    written = {now[name]: (library / name).read_bytes() for name in now}
    kept = durable / 'names'
    synced = dict(line.split(' ')[::-1] for line in kept.read_text().splitlines()) if kept.exists() else {}
    files = {}
    for name in {*now, *synced}:
        which = rng.choice([now.get(name), synced.get(name)])
        if which:
            safe = durable / which
            safe = safe.read_bytes() if safe.exists() else b''
            files[name] = some_pages(rng, safe, written.get(which, safe))
    shutil.rmtree(library, ignore_errors=True)
    library.mkdir()
    for name, content in files.items():
        (library / name).write_bytes(content)


def all_is_durable(library, durable):
    shutil.rmtree(durable, ignore_errors=True)
    durable.mkdir()
    names = []
    for p in library.iterdir() if library.exists() else []:
        shutil.copyfile(p, durable / identity(p))
        names.append(f'{identity(p)} {p.name}\n')
    (durable / 'names').write_text(''.join(names))


def test_the_power_may_fail(many):
    rng = random.Random(f'power {SEED}')
    durable = many.folder / 'durable'

    def crash(library):
        all_is_durable(library, durable)
        at = rng.choice([rng.randrange(60), rng.randrange(many.n_writes), many.n_writes - rng.randrange(20),
                         2 * many.n_writes])  # the last: the run was done, and then the power went
        many.index(library, kind='write', below=library, at=at, how='kill', durable=durable, clock_speed=FAST)
        cut_power(rng, library, durable)
    rounds(many, rng, crash)


@pytest.mark.parametrize('command', ['vacuum', 'check', 'import'])
def test_upkeep_is_killed_or_the_power_fails(many, command):
    """The library is as it was or as it was to be; the same command run again completes."""
    rng = random.Random(f'{command} {SEED}')
    whole, out, durable = many.folder / 'whole', many.folder / 'out', many.folder / 'durable'
    assert many.run(whole, 'export', out)[0] == 0
    args = [command, out] if command == 'import' else [command]

    def fresh(name):
        return many.folder / name if command == 'import' else shutil.copytree(whole, many.folder / name)
    if command == 'check':  # something for it to do
        next(whole.glob('vectors-*.i8')).unlink()
    counted = fresh('counted-too')
    n = many.count(counted, *args, kind='write', below=counted)
    assert n > 10
    for i in range(max(1, N_CRASHES // 3)):
        library = fresh(f'library-{i}')
        all_is_durable(library, durable)
        many.run(library, *args, kind='write', below=library, at=rng.randrange(n + 5), how='kill', durable=durable)
        if i % 2:
            cut_power(rng, library, durable)
        check_partly(many, library)
        assert many.run(library, *args)[0] == 0
        assert many.dump(library)['vectors'] == many.want['vectors']
        check_whole(many, library)
        shutil.rmtree(library)
