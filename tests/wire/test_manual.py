"""The manual page and the shells' completions: all that --help tells is in them, and the shells understand them."""
import os
import re
import shutil
import subprocess

import pytest

FORMS = ('fovea.1', 'fovea', '_fovea', 'fovea.fish')


def needs(program):
    if not shutil.which(program):
        pytest.skip(f'{program} is not installed')


def run(*command, **how):
    done = subprocess.run(command, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, **how)
    assert done.returncode == 0 and not done.stderr, (command, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture(scope='module')
def interface(build):
    """{command: (its options with their values' names, without their values)}, as --help tells."""
    def help_of(*command):
        return run(build / 'fovea', *command, '--help')
    commands = re.findall(r'^  (\w+)  ', help_of().split('commands:')[1].split('\n\n')[0], re.M)
    assert len(commands) > 10
    return {name: re.findall(r'^  (?:-\w, |    )--([\w-]+)', help_of(name), re.M) for name in commands}


@pytest.mark.parametrize('form', FORMS)
def test_every_command_and_option_is_there(form, build, interface):
    text = (build / 'docs' / form).read_text().replace('\\-', '-')
    for command, options in interface.items():
        at = {'fovea.1': f'.SS "fovea {command}"', 'fovea': f'    {command})', '_fovea': f'        {command})',
              'fovea.fish': f"'__fovea_is {command}'"}[form]
        assert at in text or not options[:-1] and f'-a {command} ' in text, command
        part = '\n'.join(line for line in text.splitlines() if at in line) if form == 'fovea.fish' \
            else text.split(at)[1].split({'fovea.1': '\n.S', 'fovea': ';;', '_fovea': ';;'}[form])[0]
        for option in options:
            assert option == 'help' or re.search(rf'(--|-l ){option}\b', part), (command, option)


def test_every_setting_is_on_the_page(build, fovea):
    page = (build / 'docs/fovea.1').read_text()
    told = re.findall(r'^  ([A-Z][A-Z_]+)  ', fovea('--help').out + fovea('serve', '--help').out, re.M)
    assert len(told) > 20 and all(f'\n.B {name}\n' in page for name in told)


def test_mandoc_finds_no_fault(build):
    """But that it has no date, since two builds of one source are the same."""
    needs('mandoc')
    lint = subprocess.run(['mandoc', '-Tlint', '-Wwarning', build / 'docs/fovea.1'], text=True, capture_output=True)
    assert [line for line in lint.stdout.splitlines() if 'missing date' not in line] == [] and not lint.stderr


def test_groff_finds_no_fault(build):
    needs('groff')
    run('groff', '-man', '-ww', '-z', build / 'docs/fovea.1')


BASH = '''. "$0"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _fovea; printf '%s\\n' "${COMPREPLY[@]}"'''


@pytest.fixture
def bash(build, environment, models):
    """bash('fovea', 'ind') gives what a press of Tab there would."""
    env = {**environment, 'PATH': f'{build}:{environment["PATH"]}', 'MACHINE_LEARNING_CACHE_FOLDER': str(models)}
    return lambda *words, **how: run('bash', '-uc', BASH, build / 'docs/fovea', '-', *words, env=env, **how).split('\n')[:-1]


def test_bash_completes(bash, interface, tmp_path):
    assert set(bash('fovea', '')) == {'help', *interface}
    assert bash('fovea', 'ind') == ['index'] and bash('fovea', '--v') == ['--version']
    for command, options in interface.items():
        assert set(bash('fovea', command, '--')) == {f'--{name}' for name in options}, command
    assert bash('fovea', 'models', 'pu') == ['pull']
    assert 'fake' in bash('fovea', 'models', 'verify', 'fa') and 'ViT-B-32__openai' in bash('fovea', 'models', 'pull', 'ViT-B-32__o')
    assert bash('fovea', 'search', '--model', 'fak') == ['fake'] == bash('fovea', 'search', '--model', '=', 'fak')
    assert bash('fovea', 'embed', '--contract', '') == ['view', 'reference']
    assert bash('fovea', 'search', '-n', '') == [''] == bash('fovea', 'search', 'xy')


def test_bash_completes_folders_and_files(bash, tmp_path):
    (tmp_path / 'my photos').mkdir()
    (tmp_path / 'my cat.jpg').touch()
    for words in (('index', 'my'), ('status', '--library', 'my'), ('search', '--library', '=', 'my'), ('models', 'import', 'my')):
        assert bash('fovea', *words, cwd=tmp_path) == ['my photos'], words
    for words in (('similar', 'my'), ('embed', '--image', 'my'), ('embed', '-i', 'my')):
        assert sorted(bash('fovea', *words, cwd=tmp_path)) == ['my cat.jpg', 'my photos'], words


def test_fish_completes(build, environment, models, interface):
    needs('fish')
    env = {**environment, 'PATH': f'{build}:{environment["PATH"]}', 'MACHINE_LEARNING_CACHE_FOLDER': str(models)}

    def fish(line):
        out = run('fish', '--no-config', '-c', 'source $argv[1]; complete -C $argv[2]', build / 'docs/fovea.fish', line, env=env)
        return [answer.split('\t')[0] for answer in out.splitlines()]
    assert set(fish('fovea ')) == set(interface) and fish('fovea ind') == ['index']
    for command, options in interface.items():
        assert {f'--{name}' for name in options} <= set(fish(f'fovea {command} --')), command
    assert fish('fovea models pu') == ['pull'] and fish('fovea search --model fak') == ['fake']
    assert fish('fovea embed --contract ') == ['view', 'reference'] or fish('fovea embed --contract ') == ['reference', 'view']


def test_zsh_completes(build, environment, terminal):
    """A terminal of its own, in which Tab is pressed."""
    needs('zsh')
    os.close(terminal[1])  # zsh makes one of its own
    script = '''
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1= fpath=($1 \\$fpath); autoload -Uz compinit; compinit -u -D; zstyle ':completion:*' list-prompt ''; echo re''ady"
zpty -r -m z got '*ready*'
zpty -w -n z "$2"$'\\t'
sleep 1
zpty -w z ''
while zpty -r -t z got; do print -rn -- "$got"; done
zpty -d z'''
    for line, answer in (('fovea ind', 'fovea index '), ('fovea embed --contr', '--contract='), ('fovea models impo', 'models import ')):
        env = {**environment, 'TERM': 'dumb', 'PATH': f'{build}:{environment["PATH"]}'}
        out = run('zsh', '-fc', script, '-', build / 'docs', line, env=env)
        assert answer in out, (line, out)
