"""Measure the costs of networks of configs, side by side.

    python tools/benchmark.py configs/tvn1_ucf50.py configs/baselines/ts[mn]_r50_ucf50.py
    python tools/benchmark.py configs/tvn*_ucf50.py --cfg-options clip.size=112 --threads 1
    python tools/benchmark.py configs/tvn1_ucf50.py --engines torch onnxruntime "openvino int8"

Parameters, multiply-accumulates, latency, memory and training steps are measured without videos, and decoding if the
data root has some.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from command_line import ArgumentParser, add_cfg_options, config_file, count, parse_options, run

if TYPE_CHECKING:
    from mmengine.config import Config


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = ArgumentParser(description='Measure the costs of networks of configs, side by side.')
    parser.add_argument(
        'configs', nargs='+', type=config_file, metavar='CONFIG', help='the first is the reference of ratios'
    )
    parser.add_argument('--data-root', help="folder of the manifest whose clips are decoded (each config's own)")
    parser.add_argument('--device', choices=['cpu', 'cuda'], help='(cuda if there is a GPU)')
    parser.add_argument('--threads', type=count, metavar='N', help="of the CPU (PyTorch's own choice)")
    parser.add_argument(
        '--rounds', type=count, default=10, metavar='N', help='repetitions of all models, in turns (%(default)s)'
    )
    parser.add_argument(
        '--train-batch', type=count, default=8, metavar='N', help='clips of a training step (%(default)s)'
    )
    parser.add_argument('--no-train', action='store_true', help='do not measure training steps')
    parser.add_argument(
        '--engines', nargs='+', metavar='ENGINE', type=engine_name,
        help='measure the forward pass alone, in engines and precisions such as "openvino int8"',
    )  # fmt: skip
    add_cfg_options(parser, 'change the configs that have the variable, such as clip.size=112')
    parser.add_argument('--out', type=Path, default=Path('benchmark.json'), help='the record (%(default)s)')
    args = parser.parse_args()
    if args.engines and args.device == 'cuda':
        parser.error('--device cuda: engines are measured on the CPU. Leave it out.')
    return args


def engine_name(text: str) -> str:
    """Return the name of an engine with its precision, by default fp32; for the `type` of an argument."""
    return text if ' ' in text else f'{text} fp32'


def main(args: argparse.Namespace) -> None:
    """Measure, print the table, and write the record."""
    import torch

    from tvn_mmaction.benchmark.benchmark_record import benchmark_table, describe_benchmark
    from tvn_mmaction.benchmark.engine_latency import measure_engines
    from tvn_mmaction.benchmark.engine_record import describe_engines, engine_table
    from tvn_mmaction.benchmark.timing import measure

    check(args)
    if args.threads:
        torch.set_num_threads(args.threads)
    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        if args.engines:
            networks = [(config, args.engines) for config in read_configs(args)]
            benchmark = measure_engines(networks, args.rounds, args.threads)
            texts = engine_table(benchmark), describe_engines(benchmark)
        else:
            benchmark = measure(read_configs(args), args.rounds, args.train_batch, not args.no_train, device)
            texts = benchmark_table(benchmark), describe_benchmark(benchmark)
    except KeyboardInterrupt as interruption:
        raise type(interruption)('interrupted; nothing was written') from None
    benchmark.save(args.out)
    print(*texts, sep='\n')
    print(f'written: {args.out}')


def check(args: argparse.Namespace) -> None:
    """Raise a UserError if this machine lacks the GPU or the data, or the record cannot be written."""
    import torch

    from tvn_mmaction.datasets.manifest import check_data_root
    from tvn_mmaction.utils.errors import UserError
    from tvn_mmaction.utils.output_paths import check_file

    check_file(args.out, '--out')
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise UserError('--device cuda: PyTorch finds no GPU. Use --device cpu.')
    if args.data_root:
        check_data_root(args.data_root)


def read_configs(args: argparse.Namespace) -> list[Config]:
    """Return the configs, each with those options whose variable it has."""
    from tvn_mmaction.config.loading import read_config
    from tvn_mmaction.utils.errors import UserError

    given = parse_options(args.cfg_options)
    configs, unused = [], dict(given)
    for file in args.configs:
        config = read_config(file, data_root=args.data_root)
        options = {name: value for name, value in given.items() if name.partition('.')[0] in config}
        configs.append(read_config(file, data_root=args.data_root, options=options) if options else config)
        unused = {name: value for name, value in unused.items() if name not in options}
    if unused:
        raise UserError(
            f'--cfg-options {", ".join(unused)}: none of the configs has such a variable. Correct or remove it.'
        )
    return configs


if __name__ == '__main__':
    run(parse_args, main)
