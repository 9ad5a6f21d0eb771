"""Measure the speed targets of the package in one run, and write the record.

    python tools/build_ucf50.py ucf_real --protocol ucf101like --out data/ucf_real --frames
    python tools/dev/speed.py --data-root data/ucf_real --out configs/results/speed.json

Use an idle machine. Takes about half an hour, ten minutes of which a live video plays; `--rounds 1 --live-seconds 20`
takes a few minutes, and `--parts data` repeats one measurement.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / 'tools')]  # for benchmarks/ and command_line.py

from command_line import ArgumentParser, add_parts, count, run, run_parts  # noqa: E402

TOOLS = REPOSITORY / 'tools'
CONFIGS = REPOSITORY / 'configs'
ENGINES = [
    'torch fp32', 'onnxruntime fp32', 'onnxruntime int8', 'openvino fp32', 'openvino bf16', 'openvino int8',
]  # fmt: skip
COMPILED = 'torch-compile fp32'  # TVN-1 only, since compiling takes minutes
# Networks measured in all engines, each at a published input size.
NETWORKS = [
    ('tvn1_ucf50', dict(frames=2, size=224)),
    ('tvn1_ucf50', dict(frames=8, size=200)),
    ('baselines/tsm_r50_ucf50', {}),
    ('baselines/tsm_mobilenetv2_ucf50', {}),
    ('baselines/x3d_s_ucf50', {}),
    ('baselines/x3d_s_ucf50', dict(frames=4, size=160)),  # X3D-XS
    ('baselines/tsn_r18_ucf50', {}),
]
DATA = ('tvn1_ucf50', 'tvn1_quick_ucf50')  # configs whose clips are decoded, and read from the frame store
FILES = 16  # test clips
LIVE_NETWORK_MS = 80
TRAIN = dict(frames=4, size=112)
TRAIN_BATCH = 16
PARTS = ('start_up', 'data', 'files', 'train', 'engines', 'live')


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = ArgumentParser(description='Measure the speed targets of the package.')
    parser.add_argument('--data-root', required=True, help='folder of a manifest and a frame store')
    parser.add_argument(
        '--rounds', type=count, default=15, metavar='N', help='alternating rounds of all engines (%(default)s)'
    )
    parser.add_argument(
        '--live-seconds', type=count, default=600, metavar='N', help='length of a live video (%(default)s)'
    )
    parser.add_argument('--threads', type=count, metavar='N', help="CPU threads (PyTorch's default)")
    add_parts(parser, PARTS)
    parser.add_argument('--out', type=Path, default=CONFIGS / 'results/speed.json', help='the record (%(default)s)')
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    """Run the measurements, print the tables and the path of the record."""
    from benchmarks.targets.live_latency import measure_live_delay
    from benchmarks.targets.startup_time import measure_start_up
    from benchmarks.targets.targets_record import Speed, target_table
    from tvn_mmaction.benchmark.engine_latency import measure_engines
    from tvn_mmaction.benchmark.engine_record import describe_engines, engine_table
    from tvn_mmaction.config.loading import read_config
    from tvn_mmaction.datasets.manifest import check_data_root
    from tvn_mmaction.utils.output_paths import check_file

    check_file(args.out, '--out')
    recorded = {}
    if set(args.parts) != set(PARTS):
        record = Speed.load(args.out)
        recorded = {**record.details, 'engines': record.engines}
    check_data_root(args.data_root)
    for name in DATA:
        read_config(CONFIGS / f'{name}.py', data_root=args.data_root, options={'decoder': 'FrameStore'})
    measurements = {
        'start_up': lambda: measure_start_up(sorted(set(TOOLS.glob('*.py')) - {TOOLS / 'command_line.py'})),
        'data': lambda: measure_data(args.data_root),
        'files': lambda: measure_end_to_end(args.data_root, args.threads),
        'train': measure_training,
        'engines': lambda: measure_engines(network_configs(), args.rounds, args.threads),
        'live': lambda: measure_live_delay(args.live_seconds, LIVE_NETWORK_MS),
    }
    details = run_parts(measurements, args.parts, recorded)
    engines = details.pop('engines')
    speed = Speed(targets(engines, details), engines, details)
    speed.save(args.out)
    print(target_table(speed.targets))
    print(engine_table(engines))
    print(describe_engines(engines))
    print(f'written: {args.out}')


def network_configs() -> list:
    """Return the configs of the networks to measure, each with its engines."""
    from tvn_mmaction.config.loading import read_config

    return [
        (
            read_config(CONFIGS / f'{name}.py', options={f'clip.{part}': value for part, value in clip.items()}),
            [*ENGINES, COMPILED] if name.startswith('tvn1') else ENGINES,
        )
        for name, clip in NETWORKS
    ]


def measure_data(data_root: str) -> dict:
    """Measure data loading for training, decoded and from the frame store, at the inputs of two configs."""
    from benchmarks.targets.data_loading import measure_data_time

    return {name: measure_data_time(CONFIGS / f'{name}.py', data_root) for name in DATA}


def measure_end_to_end(data_root: str, threads: int | None) -> dict:
    """Measure test clips from file to labels with TVN-1 at 8 x 200 pixels in OpenVINO."""
    from benchmarks.targets.file_latency import measure_files
    from tvn_mmaction.benchmark.engine_latency import dummy_recognizer
    from tvn_mmaction.config.loaders import build_without_videos, evenly
    from tvn_mmaction.config.loading import read_config

    config = read_config(CONFIGS / 'tvn1_ucf50.py', data_root=data_root)
    clips = build_without_videos(config, 'test_dataloader')
    files = [Path(clips.get_data_info(index)['filename']) for index in evenly(len(clips), FILES)]
    return measure_files(files, dummy_recognizer(config, 'openvino fp32', threads))


def measure_training() -> dict:
    """Measure training steps of TVN-1 and of TSN with ResNet-18, which has as many multiply-accumulates."""
    from tvn_mmaction.benchmark.timing import measure
    from tvn_mmaction.config.loading import read_config

    options = {f'clip.{part}': value for part, value in TRAIN.items()}
    configs = [
        read_config(CONFIGS / f'{name}.py', options=options) for name in ('tvn1_ucf50', 'baselines/tsn_r18_ucf50')
    ]
    return asdict(measure(configs, rounds=5, train_batch=TRAIN_BATCH))


def targets(engines, details: dict) -> list:
    """Return each speed target with its measurement."""
    from benchmarks.targets.targets_record import Target
    from tvn_mmaction.benchmark.engine_record import EngineTimes

    small, large, tsm = engines.networks[:3]

    def speed_up(network: EngineTimes, engine: str) -> float:
        return network.median_ms('eager fp32') / network.median_ms(engine)

    found = []
    for network, ratio, share in ((small, 2.5, 0.7), (large, 2.6, 0.6)):
        name = f'TVN-1 at {network.input_shape[1]} × {network.input_shape[-1]} px'
        best, half = network.best('fp32'), network.best('bf16')
        # The possible speed-up in fp32 depends on how much of the machine eager leaves unused.
        eager = f'eager, which reaches {engines.sgemm_share(network, "eager fp32"):.0%} of a product of matrices'
        found += [
            Target.at_least(f'{name}: {half} against eager', ratio, speed_up(network, half)),
            Target.at_least(f'{name}, fp32: {best} against {eager}', ratio, speed_up(network, best)),
            Target.at_least(
                f'{name}, fp32: {best}, of the speed of a product of matrices', 100 * share,
                100 * engines.sgemm_share(network, best), '%',
            ),
            Target.at_least(
                f'{name}: {network.best("int8")} against {best}', 1.3,
                network.median_ms(best) / network.median_ms(network.best('int8')),
            ),
        ]  # fmt: skip
    same = small.best('fp32')
    train = [model['train_step']['median_ms'] for model in details['train']['models']]
    files, live, start_up = (details[name] for name in ('files', 'live', 'start_up'))
    return [
        *found,
        Target.at_least(
            f'TVN-1 at 2 × 224 px against TSM-R50, both in {same}', 6, tsm.median_ms(same) / small.median_ms(same)
        ),
        Target.at_most('a file from name to labels, against decoding and network alone', 1.3, files['ratio']),
        Target.at_most(
            f'live for {live["seconds"] / 60:.2g} minutes: the longest delay, against two network times and one frame',
            1, live['max_share'],
        ),
        *(
            Target.at_least(f'data of {name}: frame store against decoding', 10, data['ratio'])
            for name, data in details['data'].items()
        ),
        Target.at_most('training step of TVN-1 at 4 × 112 px, batch 16, against TSN-R18', 2, train[0] / train[1]),
        Target.at_most('--help of the slowest tool', 1, max(start_up['help_s'].values()), 's'),
        Target.at_most('import tvn_mmaction against import mmaction.models', 1.1, start_up['import_ratio']),
    ]  # fmt: skip


if __name__ == '__main__':
    run(parse_args, main)
