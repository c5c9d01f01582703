"""Execution providers as an administrator meets them: what aborts, hangs or lies leaves the service on the CPU.

The providers are stand-ins (tests/provider); nothing here needs a GPU, and nothing of it says how one behaves."""
import json
import os
import signal
import time

import pytest

np = pytest.importorskip('numpy', reason='numpy is not installed')
onnx = pytest.importorskip('onnx', reason='onnx is not installed')

VISUAL = {'clip': {'visual': {'modelName': 'fake'}}}
# How the plug-in behaves, and what is said of it.
BAD = {
    'abort-create': 'killed by signal 6',
    'hang-create': 'took longer than 1 s',
    'error-create': 'libcudart.so.13',
    'crash-devices': 'killed by signal 11',
    'no-devices': 'has no device here',
    'many-devices': 'has no device here',
    'error-session': 'no driver for the device',
    'abort-run': 'killed by signal 6',
    'error-run': 'the device was lost',
    'wrong-run': 'it computes',
    'nothing': 'assigned to the default CPU EP',
}


@pytest.fixture
def network(models):
    """The model fake, its visual tower a real network: one product of matrices."""
    from onnx import TensorProto as T, helper as h, numpy_helper
    m = np.random.default_rng(1).standard_normal((768, 24), np.float32)
    nodes = [h.make_node('Flatten', ['image'], ['row']), h.make_node('MatMul', ['row', 'm'], ['embedding'])]
    graph = h.make_graph(nodes, 'tower', [h.make_tensor_value_info('image', T.FLOAT, ['n', 3, 16, 16])],
                         [h.make_tensor_value_info('embedding', T.FLOAT, ['n', 24])], [numpy_helper.from_array(m, 'm')])
    model = h.make_model(graph, opset_imports=[h.make_opsetid('', 17)], ir_version=8)
    (models / 'clip/fake/visual/model.onnx').write_bytes(model.SerializeToString())


@pytest.fixture
def plugin(build):
    library = build / 'tests/libfake_plugin.so'
    if not (build / 'libonnxruntime.so.1').exists():
        pytest.skip('no ONNX Runtime library')
    return {'FOVEA_EP_LIBRARY': str(library), 'FOVEA_PROVIDER_TIMEOUT_S': '20'}


@pytest.fixture
def gpu_library(build, tmp_path):
    if not (build / 'libonnxruntime.so.1').exists():
        pytest.skip('no ONNX Runtime library')
    return {'FOVEA_ORT_LIBRARY': str(build / 'tests/libgpu_ort.so'),
            'FAKE_ORT_REAL': str(build / 'libonnxruntime.so.1')}


def embed(server, photo):
    status, answer = server.predict(VISUAL, image=photo)
    assert status == 200, answer
    return np.array(json.loads(answer['clip']))


def provider(server):
    page = server.ask('GET', '/metrics')[2].decode()
    return next(line for line in page.splitlines() if line.startswith('fovea_inference_info')).split('"')[1]


def warnings(server):
    server.stop()
    return [line for line in server.log if 'WARN' in line.upper()]


@pytest.fixture
def on_cpu(start, network, photo):
    server = start(FOVEA_PROVIDER='cpu')
    return embed(server, photo)


@pytest.mark.parametrize('mode', BAD)
def test_a_bad_provider_leaves_the_service_on_the_cpu(mode, start, build, plugin, photo, on_cpu):
    if mode == 'crash-devices' and any(s in (build / 'fovea').read_bytes() for s in (b'__asan_init', b'__tsan_init')):
        pytest.skip('a sanitizer makes a report of a crash')
    timeout = {'FOVEA_PROVIDER_TIMEOUT_S': '1'} if 'hang' in mode else {}
    server = start(FAKE_EP=mode, **{**plugin, **timeout})
    for _ in range(2):
        assert (embed(server, photo) == on_cpu).all()
    assert provider(server) == 'cpu'
    told = warnings(server)
    assert len(told) == 1 and 'networks run on the CPU, plugin: ' in told[0] and BAD[mode] in told[0], told


def test_a_good_provider_is_used(start, plugin, photo, on_cpu, tmp_path):
    runs = tmp_path / 'runs'
    server = start(FAKE_EP='good', FAKE_EP_LOG=str(runs), **plugin)
    assert provider(server) == 'cpu'  # nothing is loaded: nothing is decided
    np.testing.assert_allclose(embed(server, photo), on_cpu, rtol=1e-4, atol=1e-4)
    assert provider(server) == 'plugin'
    assert f'MatMul {server.process.pid}' in runs.read_text().splitlines()
    assert not warnings(server)
    assert [line for line in server.log if 'networks run on plugin' in line]


def test_one_that_fails_after_its_trial_is_given_up(start, plugin, photo, on_cpu):
    server = start(FAKE_EP='late-error', **plugin)
    for _ in range(3):
        assert (embed(server, photo) == on_cpu).all()
    told = warnings(server)
    assert len(told) == 1 and 'visual/model.onnx runs on the CPU from now on' in told[0]
    assert 'the device was lost' in told[0]


def test_the_cpu_needs_no_trial(start, plugin, photo, network, tmp_path):
    runs = tmp_path / 'runs'
    server = start(FAKE_EP='abort-create', FOVEA_PROVIDER='cpu', FAKE_EP_LOG=str(runs), **plugin)
    embed(server, photo)
    assert provider(server) == 'cpu' and not runs.exists() and not warnings(server)


@pytest.mark.parametrize('name, ort_name', [('cuda', 'CUDA'), ('migraphx', 'MIGraphX'), ('rocm', 'ROCM'),
                                            ('openvino', 'OpenVINO')])
def test_a_provider_that_is_listed_but_does_not_load(name, ort_name, start, gpu_library, photo, on_cpu):
    server = start(FAKE_ORT_PROVIDERS=f'{ort_name}ExecutionProvider,CPUExecutionProvider', **gpu_library)
    assert (embed(server, photo) == on_cpu).all()
    assert provider(server) == 'cpu'
    told = warnings(server)
    assert len(told) == 1 and f'{name}: it cannot be added: {ort_name} execution provider is not' in told[0]


def test_one_that_leaves_all_to_the_cpu_is_not_named(start, gpu_library, photo, on_cpu, tmp_path):
    """It says that it was added, and the CPU would do its work."""
    server = start(FAKE_ORT_PROVIDERS='CUDAExecutionProvider', FAKE_ORT_LOG=str(tmp_path / 'told'), **gpu_library)
    assert (embed(server, photo) == on_cpu).all()
    assert provider(server) == 'cpu'
    assert 'cuda: ' in warnings(server)[0]


def test_doctor_tells_what_networks_run_on(fovea, plugin, models):
    settings = {'MACHINE_LEARNING_CACHE_FOLDER': str(models), 'FOVEA_MODEL': 'fake'}
    assert 'ok     provider         cpu\n' in fovea('doctor', **settings).out
    assert 'ok     provider         plugin\n' in fovea('doctor', FAKE_EP='good', **plugin, **settings).out
    done = fovea('doctor', FAKE_EP='error-create', **plugin, **settings)
    assert '--     provider         cpu; not used: plugin: ' in done.out and 'libcudart.so.13' in done.out
    assert done.status == 0 and not done.err
    assert 'cuda: this ONNX Runtime library does not have it' in fovea('doctor', FOVEA_PROVIDER='cuda', **settings).out
    assert 'plugin: FOVEA_EP_LIBRARY is not set' in fovea('doctor', FOVEA_PROVIDER='plugin', **settings).out


def test_indexing_uses_it_and_searching_does_not(library, plugin, pictures, network, tmp_path):
    runs = tmp_path / 'runs'
    pictures('a.jpg', 1)
    settings = {'FAKE_EP': 'good', 'FAKE_EP_LOG': str(runs), **plugin}
    assert library('index', pictures.folder, **settings).status == 0
    n = len(runs.read_text().splitlines())
    assert n > 2  # two of the trial
    assert library('similar', pictures.folder / 'a.jpg', **settings).status == 0
    assert len(runs.read_text().splitlines()) == n


def trial_of(pid):
    """The process that tries a provider for pid."""
    for _ in range(100):
        children = open(f'/proc/{pid}/task/{pid}/children').read().split() + [
            child for task in os.listdir(f'/proc/{pid}/task')
            for child in open(f'/proc/{pid}/task/{task}/children').read().split()]
        for child in children:
            if 'infer-probe' in open(f'/proc/{child}/cmdline').read():
                return int(child)
        time.sleep(.1)
    raise AssertionError('no trial began')


def is_gone(pid):
    for _ in range(50):
        try:
            if open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()[0] == 'Z':
                return True
        except OSError:
            return True
        time.sleep(.1)
    return False


def test_a_service_stops_while_a_provider_hangs(start, plugin, network):
    server = start(FAKE_EP='hang-create', MACHINE_LEARNING_PRELOAD__CLIP__VISUAL='fake', **plugin)
    trial = trial_of(server.process.pid)
    status, seconds = server.stop()
    assert status == 0 and seconds < 8 and is_gone(trial)


def test_a_trial_does_not_outlive_a_killed_service(start, plugin, network):
    server = start(FAKE_EP='hang-create', MACHINE_LEARNING_PRELOAD__CLIP__VISUAL='fake', **plugin)
    trial = trial_of(server.process.pid)
    time.sleep(.5)  # it has got its question
    server.stop(signal.SIGKILL)
    assert is_gone(trial)
