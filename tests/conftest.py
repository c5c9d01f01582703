"""What the Python tests share: where the build, the models and the test material are, and the binary.

The tests under golden/ compare our results with reference libraries; those under wire/ drive the
binary as a user does. Both get the build folder by FOVEA_BUILD (./dev check sets it), else build/."""
import collections
import importlib.util
import os
import pathlib
import subprocess

import pytest

os.environ['ORT_DISABLE_TELEMETRY'] = '1'  # for tests that import it themselves; the engine sees to it for itself
ROOT = pathlib.Path(__file__).resolve().parent.parent
# As long as the slowest command takes under a sanitizer on a busy machine, so that a hang ends.
TIMEOUT_S = 120

Result = collections.namedtuple('Result', 'status out err')


@pytest.fixture(scope='session')
def build():
    """The build folder: build/fovea is the binary, build/tests/ has the small tools of golden/."""
    folder = pathlib.Path(os.environ.get('FOVEA_BUILD', ROOT / 'build')).resolve()
    assert folder.is_dir(), f'{folder}: not built; run ./dev build'
    return folder


@pytest.fixture(scope='session')
def shared():
    """The folder of test material that lies beside a checkout and is no part of it."""
    folder = pathlib.Path(os.environ.get('FOVEA_SHARED', ROOT.parent / 'shared'))
    if not folder.is_dir():
        pytest.skip('no test material in ../shared')
    return folder


@pytest.fixture(scope='session')
def starter_models():
    """A models folder with clip/starter in it, which ./dev check makes."""
    folder = ROOT / '.deps/models'
    if not (folder / 'clip/starter/config.json').exists():
        pytest.skip('no starter model: ./dev check makes it')
    return folder


@pytest.fixture(scope='session')
def photos():
    """A folder of freely licensed photographs: those that the package scikit-image carries."""
    skimage = importlib.util.find_spec('skimage')  # found, not imported: its dependencies are not here
    if not skimage:
        pytest.skip('no photographs: scikit-image is not installed')
    return pathlib.Path(skimage.submodule_search_locations[0]) / 'data'


@pytest.fixture
def environment(tmp_path):
    """The environment in which the binary runs: nothing of the developer's own caches or settings, and no
    network but where a test has one of its own."""
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith(('MACHINE_LEARNING_', 'IMMICH_', 'HF_', 'XDG_', 'FOVEA_'))}
    return {**kept, 'HOME': str(tmp_path), 'XDG_CACHE_HOME': str(tmp_path / 'cache'), 'HF_HUB_OFFLINE': '1'}


@pytest.fixture
def fovea(build, environment):
    """fovea('search', 'a cat') runs the binary and gives its exit status, stdout and stderr as text."""
    binary = build / 'fovea'
    assert binary.exists(), f'{binary}: not built; run ./dev build'

    def run(*args, **settings):
        done = subprocess.run([binary, *map(str, args)], env={**environment, **settings}, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S)
        assert done.returncode >= 0, f'killed by signal {-done.returncode}\n{done.stderr}'
        assert 'Sanitizer' not in done.stderr, done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    return run
