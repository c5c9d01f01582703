"""Every command of the README is run: what it promises a newcomer is what happens."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# What a test of the tests would run for ever, and what needs a model that is not to be had offline.
NOT_RUN = {'./dev check': 'it runs this test',
           'build/fovea forget /media/old-disk': 'needs a disk that is in the library',
           'build/fovea serve': 'it serves until it is stopped; test_serve.py runs it',
           'build/fovea models pull ViT-B-32__openai': 'needs the network; test_models.py runs it',
           'build/fovea index --model ViT-B-32__openai ~/Pictures': 'needs the weights of a real CLIP'}


def commands():
    """The lines of the README's sh blocks, without their comments."""
    blocks = re.findall(r'```sh\n(.*?)```', (ROOT / 'README.md').read_text(), re.S)
    return [line.split('#')[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def test_there_are_commands_to_run():
    assert len(commands()) > 8 and set(NOT_RUN) <= set(commands())


@pytest.fixture(scope='module')
def home(tmp_path_factory, photos, build):
    """Somebody's home with a few pictures, and no setting but the models folder."""
    folder = tmp_path_factory.mktemp('home')
    (folder / 'Pictures').mkdir()
    for name, to in (('chelsea.png', 'cat.png'), ('rocket.jpg', 'rocket.jpg'), ('coffee.png', 'coffee.png')):
        shutil.copy(photos / name, folder / 'Pictures' / to)
    subprocess.run(['cp', folder / 'Pictures/rocket.jpg', folder / 'Pictures/cat.jpg'], check=True)
    return folder


@pytest.mark.parametrize('command', [c for c in commands() if c not in NOT_RUN])
def test_command(command, home, build, starter_models):
    if command.startswith(('./dev demo', 'PHOTOS=')) and build != ROOT / 'build':
        pytest.skip('./dev demo makes the plain build')
    env = {k: v for k, v in os.environ.items() if not k.startswith(('FOVEA_', 'XDG_', 'MACHINE_'))}
    env.update(HOME=str(home), MACHINE_LEARNING_CACHE_FOLDER=str(starter_models))
    if './dev demo' in command:
        env['FOVEA_LIBRARY'] = str(home / 'demo')
    command = command.replace('build/fovea', str(build / 'fovea'), 1)
    done = subprocess.run(command, shell=True, cwd=ROOT, env=env, text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=300)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    if ' search ' in command or ' similar ' in command:
        assert '/Pictures/' in done.stdout
