"""Every command of the README and of docs/ is run; every setting, option, link and message that they name exists."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]

# What is not run here, and why.
NOT_RUN = {
    './dev check': 'it runs this test',
    'build/fovea forget /media/old-disk': 'needs a disk that is in the library; test_upkeep.py forgets folders',
    'build/fovea serve': 'it serves until it is stopped; test_serve.py runs it',
    'build/fovea models pull ViT-B-32__openai': 'needs the network; test_models.py runs it',
    'build/fovea index --model ViT-B-32__openai ~/Pictures': 'needs the weights of a real CLIP',
    'deploy/build-deb': 'builds for minutes; tools/test_deb runs it in a bare root, and what follows',
    'sudo apt install ./build-deb/fovea_*.deb': 'tools/test_deb does it',
    'fovea verify --against http://immich-ml:3003 ~/Pictures': 'needs the other service; test_verify.py has a stand-in',
    'python3 -m pip download --no-deps onnxruntime-gpu && unzip -o onnxruntime_gpu-*.whl -d onnxruntime-gpu':
        'a download of 300 MB, of use with a GPU',
    'FOVEA_ORT_LIBRARY=$(echo $PWD/onnxruntime-gpu/onnxruntime/capi/libonnxruntime.so.1*) build/fovea doctor':
        'the library that the line before it fetches',
    'sudo systemctl restart fovea': 'no systemd runs where tests do; tools/test_deb runs the unit by its command line',
    'sudo env MACHINE_LEARNING_CACHE_FOLDER=/var/cache/fovea/models fovea models pull ViT-B-32__openai':
        'needs the network; test_models.py pulls',
    'sudo chown -R --reference=/var/cache/fovea/. /var/cache/fovea/models': 'needs the package; tools/test_deb runs it',
}
# No engine runs where tests do; tools/test_image takes the Dockerfile's steps.
ENGINE = ('docker ',)
# Pages whose commands are run by a test of their own.
ELSEWHERE = {'docs/models.md': 'test_models.py', 'docs/operations.md': 'test_docs_operations.py',
             'docs/upstream.md': 'test_upstream.py', 'docs/verify.md': 'test_verify.py'}
# Of Immich's server, not of its machine-learning service; proxies are libcurl's.
NOT_OURS = {'IMMICH_MACHINE_LEARNING_URL', 'IMMICH_VERSION'}


def name(page):
    return str(page.relative_to(ROOT))


def prose(page):
    return re.sub(r'```.*?```', '', page.read_text(), flags=re.S)


def links(page):
    return re.findall(r'\]\(([^)\s]+)\)', prose(page))


def anchors(page):
    """As GitHub makes them of headings."""
    return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in re.findall(r'^#+ (.*)', prose(page), re.M)}


def is_run(page, command):
    return name(page) not in ELSEWHERE and command not in NOT_RUN and not command.startswith(ENGINE)


def test_what_is_not_run_is_there(commands):
    said = {command: page for page in PAGES for command in commands(page)}
    assert set(NOT_RUN) <= set(said), set(NOT_RUN) - set(said)
    assert sum(is_run(page, command) for command, page in said.items()) > 15


@pytest.fixture(scope='module')
def home(tmp_path_factory, photos, build):
    """Somebody's home with a few pictures, and no setting but the models folder."""
    folder = tmp_path_factory.mktemp('home')
    (folder / 'Pictures').mkdir()
    for source, to in (('chelsea.png', 'cat.png'), ('rocket.jpg', 'rocket.jpg'), ('rocket.jpg', 'cat.jpg'), ('coffee.png', 'coffee.png')):
        shutil.copy(photos / source, folder / 'Pictures' / to)
    return folder


@pytest.fixture
def serving(start, starter_models):
    """A service for the commands that ask one at http://localhost:3003."""
    return start(folder=starter_models)


def test_command(page_command, home, build, starter_models, request):
    command = page_command
    if command.startswith(('./dev demo', 'PHOTOS=')) and build != ROOT / 'build':
        pytest.skip('./dev demo makes the plain build')
    if 'curl' in command and not shutil.which('curl'):
        pytest.skip('curl is not installed')
    env = {k: v for k, v in os.environ.items() if not k.startswith(('FOVEA_', 'XDG_', 'MACHINE_'))}
    env.update(HOME=str(home), MACHINE_LEARNING_CACHE_FOLDER=str(starter_models), PATH=f'{build}:{env["PATH"]}')
    if './dev demo' in command:
        env['FOVEA_LIBRARY'] = str(home / 'demo')
    command = command.replace('build/fovea', str(build / 'fovea'), 1)
    if 'localhost:3003' in command:
        command = command.replace('localhost:3003', f'127.0.0.1:{request.getfixturevalue("serving").port}')
    done = subprocess.run(command, shell=True, cwd=ROOT, env=env, text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=300)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    if ' search ' in command or ' similar ' in command:
        assert '/Pictures/' in done.stdout
    if 'curl' in command or 'ping' in command:
        assert done.stdout


@pytest.fixture(scope='module')
def settings(build):
    """{name: (values, default, whether it does something)}, by the table of src/app/config.c."""
    text = subprocess.run([build / 'config_doc'], text=True, capture_output=True, check=True).stdout
    rows = re.findall(r'^\| `([A-Z_0-9]+)` \| ([^|]*) \| ([^|]*)', text, re.M)
    works = text.split('## Accepted')[0]
    return {env: (values, third.strip(' `') if env in works else '', env in works) for env, values, third in rows}


@pytest.mark.parametrize('page', [*PAGES, *(ROOT / 'deploy' / file for file in ('fovea.default', 'fovea.service', 'Dockerfile'))],
                         ids=name)
def test_settings_that_a_page_names(page, settings):
    named = set(re.findall(r'\b(?:FOVEA|MACHINE_LEARNING|IMMICH|HF)_[A-Z0-9_]*[A-Z0-9]\b(?!_)', page.read_text()))
    assert named - NOT_OURS <= set(settings), named - NOT_OURS - set(settings)


def a_value(values, default, tmp_path):
    return default if default and '$' not in default else str(tmp_path) if values == 'a folder' else \
        re.split(r' to |, ', values)[0] if values != 'text' else '1'


def test_every_setting_is_taken(settings, start, models, tmp_path):
    """All of them at once: what has no effect is told, and the service answers."""
    given = {env: a_value(values, default, tmp_path) for env, (values, default, _) in settings.items()
             if env not in ('FOVEA_ORT_LIBRARY', 'SSL_CERT_FILE', 'MACHINE_LEARNING_CACHE_FOLDER')
             and not env.startswith(('FOVEA_TOKEN', 'FOVEA_TLS'))}
    given = {**given, **{env: 'fake' for env in given if '_PRELOAD__' in env}, 'IMMICH_HOST': '127.0.0.1',
             **{env: 'http://127.0.0.1:1' for env in given if '_UPSTREAM_' in env and not env.endswith('_MS')}}
    server = start(folder=models, **given)
    assert server.ask('GET', '/ping')[2] == b'pong'
    told = {env for env in settings for line in server.log if f'{env} does nothing here' in line}
    assert told == {env for env, (_, _, works) in settings.items() if not works}


def test_every_range_is_held(settings, fovea):
    bounded = {env: int(re.search(r'to (-?\d+)', values)[1]) + 1 for env, (values, *_) in settings.items() if ' to ' in values}
    worded = {env: 'nonsense' for env, (values, *_) in settings.items() if ', ' in values and env != 'FOVEA_SIMD'}
    assert len(bounded) > 25 and len(worded) > 5
    for env, value in {**bounded, **worded}.items():
        result = fovea('serve', **{env: str(value)})
        assert result.status == 1 and env in result.err and str(value) in result.err, (env, result)


@pytest.fixture(scope='module')
def interface(build):
    """{command: its --help}"""
    def run(*args):
        return subprocess.run([build / 'fovea', *args, '--help'], text=True, capture_output=True, check=True).stdout
    return {command: run(command) for command in re.findall(r'^  (\w+)  ', run().split('commands:')[1].split('\n\n')[0], re.M)}


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_commands_that_a_page_names(page, interface, commands):
    for span in re.findall(r'`([^`\n]+)`', prose(page)) + commands(page):
        found = re.match(r'(?:[A-Z_]+=\S+ )*(?:sudo )?(?:build/)?fovea ([a-z]+)(.*)', span)
        if not found or found[1] == 'help':
            continue
        assert found[1] in interface, (page, span)
        for option in re.findall(r' (--?[a-z][a-z-]*)', found[2].split(' -- ')[0]):
            assert re.search(rf'{option}\b', interface[found[1]]), (page, span, option)


@pytest.mark.parametrize('page', [*PAGES, ROOT / 'ARCHITECTURE.md', ROOT / 'CONTRIBUTING.md'], ids=name)
def test_links_lead_somewhere(page):
    for link in links(page):
        if re.match(r'[a-z]+:', link):
            continue
        path, _, anchor = link.partition('#')
        to = (page.parent / path).resolve() if path else page
        assert to.exists(), link
        assert not anchor or anchor in anchors(to), link


def test_the_index_has_every_page():
    listed = {(ROOT / 'docs' / link).resolve() for link in links(ROOT / 'docs/README.md')}
    assert {page for page in PAGES if page.parent.name == 'docs'} - {ROOT / 'docs/README.md'} <= listed


def literals():
    """The string literals of the sources, neighbours joined as the compiler does."""
    for path in (ROOT / 'src').rglob('*.c'):
        text = re.sub(r'"\s*\n\s*"', '', path.read_text())
        yield from (s.replace('\\"', '"') for s in re.findall(r'"((?:[^"\\\n]|\\.)+)"', text))


@pytest.mark.parametrize('page', ['docs/hardware.md', 'docs/models.md', 'docs/troubleshooting.md'])
def test_messages_that_a_page_explains(page):
    """The first column of a table headed "it says": `...` stands for what varies."""
    known = list(literals())
    tables = re.findall(r'^\| it says \|.*\n\|[-|]+\n((?:\|.*\n)+)', (ROOT / page).read_text(), re.M)
    said = [span for table in tables for row in table.splitlines() for span in re.findall(r'`([^`]+)`', row.split('|')[1])]
    assert len(said) > 5
    for message in said:
        if message.startswith(LIBCURL):
            continue
        for part in filter(None, (part.strip() for part in message.split('...'))):
            assert any(part in literal for literal in known), (message, part)


# What libcurl says itself, or names a status of.
LIBCURL = ('Could not resolve host', "Couldn't connect", 'Failed to connect', 'SSL certificate problem',
           'certificate verification failed', 'status 4')
