"""Every call that an index run makes of memory and of the disk fails once: nothing is lost, nothing dies.

Each case counts the calls of one kind that an undisturbed run makes, then lets one of them fail, in a run
of its own on a fresh library. Calls 0 to DENSE - 1 fail one by one, those after in steps that make about
SAMPLES more; FOVEA_FAULTS=all lets every one fail (minutes). After each, an undisturbed run must complete
the library to the same content that a library without faults has, and the pictures be as they were."""
import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

DENSE, SAMPLES = 60, 240


def sample(n):
    if os.environ.get('FOVEA_FAULTS') == 'all' or n <= DENSE + SAMPLES:
        return range(n)
    return [*range(DENSE), *range(DENSE, n, -(-(n - DENSE) // SAMPLES))]


@pytest.fixture
def four(lab):
    """Pictures, a library of them that nothing disturbed, and what it holds."""
    for i in range(3):
        lab.add(f'{i}.jpg', i)
    shutil.copy(lab.pictures / '0.jpg', lab.pictures / 'copy.jpg')
    lab.add('below/3.jpg', 3)
    status, out, err = lab.index(lab.folder / 'whole')
    assert status == 0, err
    lab.want = lab.dump(lab.folder / 'whole')
    lab.answer = lab.found(lab.folder / 'whole')
    lab.before = lab.contents()
    return lab


def check_one(lab, n, prepare, **faults):
    """Fail the n-th call; a string says what was wrong."""
    library = lab.folder / f'library-{n}'
    if prepare:
        shutil.copytree(prepare, library)
    if faults.get('below') == 'library':
        faults['below'] = library
    first = lab.index(library, at=n, **faults)
    if not lab.told(*first):
        return f'call {n}: {first}'
    second = lab.index(library)
    if second[0] != 0 or second[2]:
        return f'after call {n} ({first}): {second}'
    try:
        if lab.dump(library) != lab.want:
            return f'call {n} ({first}): another content, after {second}'
    except AssertionError as e:
        return f'call {n} ({first}): {e}'
    left = [p.name for p in library.iterdir() if '.tmp-' in p.name]
    if left:
        return f'call {n} left {left}'
    shutil.rmtree(library)
    return None


def check_all(lab, n_calls, prepare=None, **faults):
    assert n_calls > 10, 'the calls are not counted'
    with ThreadPoolExecutor(2) as pool:
        wrong = [w for w in pool.map(lambda n: check_one(lab, n, prepare, **faults), sample(n_calls)) if w]
    assert not wrong, '\n'.join(wrong[:20])
    assert lab.contents() == lab.before


@pytest.fixture
def grown(four):
    """A library that knows two of the pictures, one of them as it was before, and one that has gone."""
    old = four.folder / 'old'
    aside = four.folder / 'aside'
    os.rename(four.pictures / 'below', aside)
    now = (four.pictures / '1.jpg').read_bytes()
    stat = os.stat(four.pictures / '1.jpg')
    four.add('1.jpg', 9)
    gone = four.add('gone.jpg', 8)
    assert four.index(old)[0] == 0
    gone.unlink()
    (four.pictures / '1.jpg').write_bytes(now)
    os.utime(four.pictures / '1.jpg', ns=(stat.st_atime_ns, stat.st_mtime_ns))
    os.rename(aside, four.pictures / 'below')
    undisturbed = shutil.copytree(old, four.folder / 'undisturbed')
    assert four.index(undisturbed)[0] == 0
    four.want = four.dump(undisturbed)
    four.old = old
    return four


def test_every_allocation_may_fail(four):
    n = four.count(four.folder / 'counted', 'index', '-q', '-j1', four.pictures, kind='alloc')
    check_all(four, n, kind='alloc', how=errno.ENOMEM)


def test_every_allocation_may_fail_on_a_library_that_is_there(grown):
    counted = shutil.copytree(grown.old, grown.folder / 'counted')
    n = grown.count(counted, 'index', '-q', '-j1', grown.pictures, kind='alloc')
    check_all(grown, n, prepare=grown.old, kind='alloc', how=errno.ENOMEM)


@pytest.mark.parametrize('kind', ['read', 'write'])
def test_every_call_may_fail_on_a_library_that_is_there(grown, kind):
    counted = shutil.copytree(grown.old, grown.folder / 'counted')
    n = grown.count(counted, 'index', '-q', '-j1', grown.pictures, kind=kind, below=counted)
    check_all(grown, n, prepare=grown.old, kind=kind, how=errno.EIO, below='library')


@pytest.mark.parametrize('how', [errno.EIO, 'short'])
def test_every_read_of_a_picture_may_fail(four, how):
    faults = {'kind': 'read', 'below': four.pictures, 'how': how}
    check_all(four, four.count(four.folder / 'counted', 'index', '-q', '-j1', four.pictures, **faults), **faults)


def test_every_read_of_the_library_may_fail(four):
    faults = {'kind': 'read', 'how': errno.EIO}
    n = four.count(four.folder / 'counted', 'index', '-q', '-j1', four.pictures, below=four.folder / 'counted', **faults)
    check_all(four, n, below='library', **faults)


@pytest.mark.parametrize('how', [errno.EIO, errno.ENOSPC, 'short'])
def test_every_write_may_fail(four, how):
    faults = {'kind': 'write', 'how': how}
    n = four.count(four.folder / 'counted', 'index', '-q', '-j1', four.pictures, below=four.folder / 'counted', **faults)
    check_all(four, n, below='library', **faults)


@pytest.mark.parametrize('kind, how', [('write', errno.ENOSPC), ('read', errno.EIO), ('alloc', errno.ENOMEM)])
def test_what_fails_may_go_on_failing(four, kind, how):
    """From some call on, all fail: the disk stays full, or is gone; on a library that has photos already."""
    old = four.folder / 'old'
    away = four.folder / '3.jpg'
    os.rename(four.pictures / 'below/3.jpg', away)
    assert four.index(old)[0] == 0
    os.rename(away, four.pictures / 'below/3.jpg')
    counted = shutil.copytree(old, four.folder / 'counted')
    where = {} if kind == 'alloc' else {'below': counted}
    n = four.count(counted, 'index', '-q', '-j1', four.pictures, kind=kind, **where)
    assert n > 10
    for at in sorted({*range(0, n, max(1, n // 40))}):
        library = shutil.copytree(old, four.folder / f'library-{at}')
        faults = {'kind': kind, 'how': how, 'for': 0, **({} if kind == 'alloc' else {'below': library})}
        result = four.index(library, at=at, **faults)
        assert four.told(*result) or kind == 'alloc' and result[0] == 1, (at, result)
        assert len(four.found(library)) >= 3
        assert four.index(library)[0] == 0 and four.dump(library) == four.want, (at, result)
    assert four.contents() == four.before


@pytest.mark.parametrize('kind, how', [('read', errno.EIO), ('alloc', errno.ENOMEM)])
def test_a_search_that_fails_says_so(four, kind, how):
    library = four.folder / 'whole'
    command = ('search', '--json', '-n', '1000', 'red dog')
    where = {'below': library} if kind == 'read' else {}
    n = four.count(library, *command, kind=kind, **where)
    _, want, _ = four.run(library, *command)

    def check(at):
        status, out, err = four.run(library, *command, kind=kind, how=how, at=at, **where)
        lines = [line for line in err.splitlines() if 'warning:' not in line]
        whole = status == 0 and out == want and not lines
        return None if whole or status == 1 and len(lines) == 1 else f'call {at}: {status} {out} {err}'
    with ThreadPoolExecutor(2) as pool:
        wrong = [w for w in pool.map(check, sample(n)) if w]
    assert not wrong, '\n'.join(wrong[:20])
    assert four.dump(library) == four.want
