"""What disks, clocks, links and people do to a library and its folders, apart from failing calls (test_faults.py)
and crashes (test_crash.py)."""
import errno
import hashlib
import os
import random
import shutil
import sqlite3
import subprocess
import threading
import time

import pytest

N_FILES = int(os.environ.get('FOVEA_MANY', 20000))


@pytest.fixture
def mount():
    """mount('-t', 'tmpfs', 'none', folder), undone at the end; skips where that may not be."""
    done = []

    def run(*args):
        if os.getuid() or subprocess.run(['mount', *map(str, args)], capture_output=True).returncode:
            pytest.skip('only root can mount, and not everywhere')
        done.append(args[-1])
    yield run
    for folder in reversed(done):
        subprocess.run(['umount', '-l', folder], capture_output=True)


@pytest.fixture
def five(lab):
    """Five pictures, and a library of them."""
    for i in range(5):
        lab.add(f'{i}.jpg', i)
    lab.library = lab.folder / 'library'
    assert lab.index(lab.library)[0] == 0
    lab.answer = lab.found(lab.library)
    return lab


def summary(result):
    """'0 added, 5 unchanged' of an index run that went well."""
    status, out, err = result
    assert status == 0 and not err, result
    return next(line for line in out.splitlines() if ' added' in line).split(' in ')[0]


def says(result, *words):
    """One line on stderr with these words, status 1."""
    status, out, err = result
    assert status == 1 and err.count('\n') == 1 and all(w in err for w in words), result


def names(lab):
    return sorted(name for name, _ in lab.found(lab.library))


# ---- the library's disk ----

def test_a_full_disk(lab, mount):
    for i in range(300):
        lab.add(f'{i}.jpg', i)
    disk = lab.folder / 'disk'
    disk.mkdir()
    mount('-t', 'tmpfs', '-o', 'size=400k', 'none', disk)
    library = disk / 'library'
    says(lab.index(library, clock_speed=1000000), 'full', 'library.db')
    status, _, err = lab.run(library, 'search', 'red')
    assert status == 0 or 'no photos yet' in err
    says(lab.index(library), 'full')
    subprocess.run(['mount', '-o', 'remount,size=20m', disk], check=True)
    assert lab.index(library)[0] == 0
    assert lab.index(lab.folder / 'elsewhere')[0] == 0
    assert lab.dump(library) == lab.dump(lab.folder / 'elsewhere')


def check_read_only(lab, library, run):
    """Reading commands work on a library that cannot be written; index says why it does not."""
    for command in (('status',), ('search', 'red dog'), ('similar', lab.pictures / '1.jpg')):
        status, out, err = run(*command)
        assert status == 0 and not err and 'jpg' in out or command == ('status',), (command, status, err)
    status, out, err = run('index')
    assert status == 1 and err.count('\n') == 1 and str(library) in err, (status, out, err)
    return err


@pytest.mark.parametrize('left', ['nothing', 'by a reader', 'by a killed run'])
def test_a_read_only_disk(five, mount, left):
    if left == 'by a reader':
        assert five.run(five.library, 'search', 'red')[0] == 0
    if left == 'by a killed run':
        five.add('more.jpg', 9)
        n = five.count(shutil.copytree(five.library, five.folder / 'counted'), 'index', '-q', '-j1', five.pictures,
                       kind='write', below=five.folder / 'counted')
        assert five.index(five.library, kind='write', below=five.library, at=n - 3, how='kill')[0] == -9
        assert (five.library / 'library.db-wal').stat().st_size
    mount('--bind', five.library, five.library)
    mount('-o', 'remount,bind,ro', five.library)
    before = {p.name for p in five.library.iterdir()}
    err = check_read_only(five, five.library, lambda *args: five.run(five.library, *args))
    assert 'Read-only file system' in err and {p.name for p in five.library.iterdir()} == before


def test_a_library_that_may_not_be_written(lab, as_nobody):
    for i in range(3):
        lab.add(f'{i}.jpg', i)
    lab.folder.chmod(0o755)
    lab.pictures.chmod(0o755)

    def run(*args):
        done = as_nobody(*args)
        return done.returncode, done.stdout, done.stderr
    assert run('index', '-q', lab.pictures)[0] == 0
    library = lab.folder / 'nobody/library'
    for path in library.iterdir():
        path.chmod(0o444)
    library.chmod(0o555)
    assert 'Permission denied' in check_read_only(lab, library, run)
    library.chmod(0o755)


@pytest.mark.parametrize('how', [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_that_has_no_locks(lab, how):
    lab.add('1.jpg', 1)
    library = lab.folder / 'library'
    n = lab.count(lab.folder / 'counted', 'index', '-q', lab.pictures, kind='lock', below=lab.folder / 'counted')
    assert n > 5
    faults = {'kind': 'lock', 'below': library, 'how': how, 'for': 0}
    says(lab.index(library, at=0, **faults), 'lock', str(library))
    begun = time.monotonic()
    says(lab.index(library, at=1, **faults), str(library))
    faults['below'] = library = lab.folder / 'counted'
    status, _, err = lab.run(library, 'search', 'red', at=0, **faults)
    assert status == 0 or err.count('\n') == 1 and str(library) in err
    if how == errno.ENOLCK:  # which SQLite takes for a lock of somebody else's, and waits ten seconds
        assert 'no locks' in err and time.monotonic() - begun < 8


def test_a_library_that_was_copied_or_moved(five):
    for how in (shutil.copytree, os.rename):
        there = five.folder / how.__name__
        how(five.library, there)
        assert five.found(there) == five.answer
        assert '0 added, 5 unchanged' in summary(five.index(there))


# ---- others at work ----

def test_readers_beside_a_writer(lab):
    lab.library = lab.folder / 'library'
    for i in range(300):
        lab.add(f'{i}.jpg', i)
    lab.add('../first/first.jpg', 999)
    assert lab.index(lab.library, lab.folder / 'first')[0] == 0
    writer = lab.start(lab.library, 'index', '-q', '-j1', lab.pictures, clock_speed=1000000)
    n_last, n_read = 1, 0
    while writer.poll() is None or not n_read:
        n = len(names(lab))
        assert n >= n_last, 'a later reader sees less'
        n_last, n_read = n, n_read + 1
    out, err = writer.communicate()
    assert writer.returncode == 0 and not err and len(names(lab)) == 301


def test_two_writers(lab):
    for i in range(100):
        lab.add(f'{i}.jpg', i)
    library = lab.folder / 'library'
    for _ in range(5):
        both = [lab.start(library, 'index', '-q', lab.pictures) for _ in range(2)]
        ends = [(p.communicate(), p.returncode) for p in both]
        assert 0 in [status for _, status in ends]
        for (out, err), status in ends:
            assert status == 0 and not err or status == 1 and 'process' in err and err.count('\n') == 1, (out, err)
    assert lab.index(library)[0] == 0 and lab.index(lab.folder / 'other')[0] == 0
    assert lab.dump(library) == lab.dump(lab.folder / 'other')


def test_pictures_that_change_while_they_are_read(lab):
    """Whatever a run made of them, the next finds what is there then."""
    versions = [lab.add(f'../versions/{i}.jpg', i, size=(640, 16 + 160 * (i % 5))).read_bytes() for i in range(10)]
    library, going = lab.folder / 'library', True
    rng = random.Random(1)

    def rewrite():
        while going:
            for name in 'abcdef':
                path, content = lab.pictures / f'{name}.jpg', rng.choice(versions)
                match rng.randrange(4):
                    case 0:  # in place, in pieces
                        with open(path, 'wb') as f:
                            for at in range(0, len(content), 4096):
                                f.write(content[at:at + 4096])
                                f.flush()
                    case 1:
                        (lab.folder / 'new').write_bytes(content)
                        os.rename(lab.folder / 'new', path)
                    case 2 if path.exists():
                        os.truncate(path, len(content) // 2)
                    case 3 if path.exists():
                        path.unlink()
    thread = threading.Thread(target=rewrite)
    thread.start()
    try:
        for _ in range(30):
            result = lab.index(library)
            assert lab.told(*result), result
    finally:
        going = False
        thread.join()
    for name in 'abcdef':
        (lab.pictures / f'{name}.jpg').write_bytes(rng.choice(versions))
    assert lab.index(library)[0] == 0
    with sqlite3.connect(library / 'library.db') as db:
        held = dict(db.execute('SELECT CAST(f.path AS TEXT), hex(p.content) FROM file f JOIN photo p ON'
                               ' p.id = f.photo_id WHERE f.gone_ns IS NULL'))
    assert held == {f'{name}.jpg': hashlib.sha256((lab.pictures / f'{name}.jpg').read_bytes()).hexdigest().upper()
                    for name in 'abcdef'}


@pytest.mark.parametrize('how', [errno.ENOENT, errno.EACCES, errno.ESTALE])
def test_a_picture_that_goes_while_it_is_looked_at(five, how):
    n = five.count(five.folder / 'counted', 'index', '-q', '-j1', five.pictures, kind='read', below=five.pictures)
    want = five.dump(five.library)
    for at in range(n):
        library = five.folder / f'library-{at}'
        result = five.index(library, kind='read', below=five.pictures, at=at, how=how)
        assert five.told(*result), (at, result)
        assert five.index(library)[0] == 0 and five.dump(library) == want, (at, result)


# ---- clocks ----

TIMES = {'1901': -2145916800, '1970': 0, '2038': 1 << 31, '2106': 1 << 32, '2262': 9223372037, '2400': 13569465600,
         'future': 4102444800}


def test_times_of_all_ages(lab):
    lab.library = lab.folder / 'library'
    for i, (name, s) in enumerate(TIMES.items()):
        os.utime(lab.add(f'{name}.jpg', i), (s, s))
    assert f'{len(TIMES)} added' in summary(lab.index(lab.library))
    assert f'0 added, {len(TIMES)} unchanged' in summary(lab.index(lab.library))
    for i, (name, s) in enumerate(TIMES.items()):
        os.utime(lab.add(f'{name}.jpg', i + 50), (s - 1, s - 1))
    assert f'{len(TIMES)} changed' in summary(lab.index(lab.library))
    assert names(lab) == sorted(f'{name}.jpg' for name in TIMES)


@pytest.mark.parametrize('wall_s', [-10 ** 9, 10 ** 9, -5 * 10 ** 9])
def test_a_clock_that_jumps(five, wall_s):
    five.add('new.jpg', 9)
    (five.pictures / '0.jpg').unlink()
    assert '1 added, 4 unchanged, 1 removed' in summary(five.index(five.library, wall_s=wall_s))
    five.add('newer.jpg', 10)
    assert '1 added, 5 unchanged' in summary(five.index(five.library))
    assert names(five) == ['1.jpg', '2.jpg', '3.jpg', '4.jpg', 'new.jpg', 'newer.jpg']
    assert five.run(five.library, 'status', wall_s=wall_s)[0] == 0


# ---- names, links and folders ----

def test_links(five):
    outside = five.folder / 'outside'
    five.add('../outside/deep/outside.jpg', 9)
    os.symlink(outside, five.pictures / 'to-outside')
    os.symlink(five.pictures, outside / 'deep/back')
    os.symlink('loop', five.pictures / 'loop')
    os.symlink('b', five.pictures / 'a')
    os.symlink('a', five.pictures / 'b')
    assert '1 added, 5 unchanged' in summary(five.index(five.library))
    assert '0 added, 6 unchanged' in summary(five.index(five.library))
    (five.pictures / 'to-outside').unlink()
    assert '0 added, 5 unchanged, 1 removed' in summary(five.index(five.library))
    assert (outside / 'deep/outside.jpg').exists()


def test_a_root_of_two_names(five, mount):
    link, bound = five.folder / 'link', five.folder / 'bound'
    os.symlink(five.pictures, link)
    for way in (link, f'{five.pictures}/', f'{five.pictures}/../pictures/.', f'//{five.pictures}'):
        assert '0 added, 5 unchanged' in summary(five.index(five.library, way))
    bound.mkdir()
    mount('--bind', five.pictures, bound)
    assert '0 added, 5 unchanged' in summary(five.index(five.library, bound))
    assert len(five.dump(five.library)['roots']) == 1


def test_case_and_folder_renames(five):
    os.rename(five.pictures / '0.jpg', five.pictures / '0.JPG')
    assert '0 added, 1 copied or moved, 4 unchanged, 1 removed' in summary(five.index(five.library))
    assert names(five) == ['0.JPG', '1.jpg', '2.jpg', '3.jpg', '4.jpg']
    five.add('trip/5.jpg', 5)
    five.index(five.library)
    os.rename(five.pictures / 'trip', five.pictures / 'Trip')
    assert '0 added, 1 copied or moved, 5 unchanged, 1 removed' in summary(five.index(five.library))
    os.rename(five.pictures, five.folder / 'renamed')
    assert '0 added, 6 copied or moved' in summary(five.index(five.library, five.folder / 'renamed'))
    assert len(names(five)) == 6


def test_long_names_and_paths(five):
    os.rename(five.pictures / '0.jpg', five.pictures / ('n' * 251 + '.jpg'))
    os.chdir(five.pictures)
    try:
        for _ in range(20):
            os.mkdir('d' * 250)
            os.chdir('d' * 250)
        shutil.copyfile(five.add('6.jpg', 6), 'deep.jpg')
        os.remove(five.pictures / '6.jpg')
        with open('bad.jpg', 'w') as f:
            f.write('no photo')
    finally:
        os.chdir('/')
    status, out, err = five.index(five.library)  # longer than PATH_MAX
    assert status == 1 and not err and '1 added' in out and '1 failed' in out, (status, out, err)
    assert len(names(five)) == 6 and 'deep.jpg' in names(five)
    says_it = five.run(five.library, 'status', '--failed')
    assert says_it[0] == 0 and 'bad.jpg: cannot identify' in says_it[1]
    assert five.run(five.library, 'export', five.folder / 'out')[0] == 0
    assert five.run(five.folder / 'copy', 'import', five.folder / 'out')[0] == 0
    assert five.dump(five.folder / 'copy') == five.dump(five.library)


def test_a_disk_that_is_not_mounted(lab, mount):
    lab.library = lab.folder / 'library'
    lab.add('own.jpg', 1)
    disk = lab.pictures / 'disk'
    disk.mkdir()
    mount('-t', 'tmpfs', 'none', disk)
    lab.add('disk/2.jpg', 2)
    assert '2 added' in summary(lab.index(lab.library, lab.pictures, disk))
    subprocess.run(['umount', disk], check=True)
    status, out, err = lab.index(lab.library)
    assert status == 1 and '0 added, 1 unchanged, 1 folder offline in' in out, (status, out, err)
    assert names(lab) == ['2.jpg', 'own.jpg']


@pytest.mark.parametrize('order', ['outer first', 'inner first', 'at once'])
def test_a_root_inside_a_root(lab, order):
    lab.library = lab.folder / 'library'
    for name, seed in (('a.jpg', 1), ('in/b.jpg', 2), ('in/deep/c.jpg', 3), ('inside/d.jpg', 4)):
        lab.add(name, seed)
    inner = lab.pictures / 'in'
    for roots in {'outer first': [[lab.pictures], [inner]], 'inner first': [[inner], [lab.pictures]],
                  'at once': [[lab.pictures, inner]]}[order]:
        assert lab.index(lab.library, *roots)[0] == 0
    assert len(lab.dump(lab.library)['files']) == 4, 'a file belongs to one root'
    assert '0 added, 4 unchanged' in summary(lab.index(lab.library))
    assert '0 added, 4 unchanged' in summary(lab.index(lab.library, lab.pictures))
    (inner / 'deep/c.jpg').unlink()
    assert '0 added, 1 unchanged, 1 removed' in summary(lab.index(lab.library, inner))
    assert names(lab) == ['a.jpg', 'b.jpg', 'd.jpg']
    lab.add('in/deep/c.jpg', 3)
    (inner / 'b.jpg').unlink()
    assert '1 copied or moved, 2 unchanged, 1 removed' in summary(lab.index(lab.library, lab.pictures))
    assert names(lab) == ['a.jpg', 'c.jpg', 'd.jpg']


def test_the_library_inside_a_root(lab):
    lab.library = lab.pictures / 'library'
    lab.add('1.jpg', 1)
    lab.add('library/thumbs/2.jpg', 2)  # derived from a picture, and none itself
    assert '1 added' in summary(lab.index(lab.library))
    assert '0 added, 1 unchanged' in summary(lab.index(lab.library))
    assert names(lab) == ['1.jpg']


def test_a_sidecar_of_another_library(lab):
    """Same model, as many photos, as many runs: only whose it is differs."""
    mine, other = lab.folder / 'mine', lab.folder / 'other'
    for i in range(200):
        lab.add(f'{i}.jpg', i)
        lab.add(f'../others/{i}.jpg', 500 + i)
    assert lab.index(mine)[0] == lab.index(other, lab.folder / 'others')[0] == 0
    answers = [lab.found(mine, n=n) for n in (1, 5, 1000)]
    name = next(other.glob('vectors-*.i8')).name
    shutil.copy(other / name, mine / name)
    assert [lab.found(mine, n=n) for n in (1, 5, 1000)] == answers
    assert 'another generation' in lab.run(mine, 'doctor')[1]
    assert lab.index(mine)[0] == 0 and 'another generation' not in lab.run(mine, 'doctor')[1]
    assert [lab.found(mine, n=n) for n in (1, 5, 1000)] == answers


# ---- many ----

def test_many_files_in_one_folder(lab):
    """As many different pictures as FOVEA_MANY says: one, with other bytes behind its end."""
    n_files = N_FILES // 10 if lab.sanitized else N_FILES
    lab.library = lab.folder / 'library'
    content = lab.add('0.jpg', 1, size=(8, 8)).read_bytes()
    for i in range(1, n_files):
        (lab.pictures / f'{i}.jpg').write_bytes(content + str(i).encode())
    assert f'{n_files} added' in summary(lab.run(lab.library, 'index', '-q', lab.pictures))
    start = time.monotonic()
    assert f'0 added, {n_files} unchanged' in summary(lab.index(lab.library))
    assert time.monotonic() - start < 2 + n_files / 10000
    (lab.pictures / '7.jpg').unlink()
    assert f'0 added, {n_files - 1} unchanged, 1 removed' in summary(lab.index(lab.library))
