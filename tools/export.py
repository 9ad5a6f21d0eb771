"""Write a trained network for an inference engine, with its preprocessing, classes and origin in the file.

    python tools/export.py configs/tvn1_demo.py work_dirs/tvn1_demo/epoch_12.pth -o tvn1_demo.onnx
    python tools/export.py configs/tvn1_ucf50.py best.pth --engine openvino --precision int8 -o tvn1.xml
    python tools/export.py configs/tvn1_ucf50.py best.pth -o tvn1.safetensors

The scores are compared with PyTorch's on test clips of the config before the file is written; int8 is calibrated on
training clips. For PyTorch itself, the weights are written unchanged.
"""

import argparse
from pathlib import Path

from command_line import ArgumentParser, add_cfg_options, config_file, parse_options, run

SUFFIXES = {'onnxruntime': '.onnx', 'openvino': '.xml', 'torch': '.safetensors'}


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = ArgumentParser(description='Write a trained network for an inference engine.')
    parser.add_argument('config', type=config_file, help='the config that it was trained with')
    parser.add_argument('checkpoint', type=Path, help='the weights')
    parser.add_argument('--engine', choices=SUFFIXES, help="(by FILE's suffix, else onnxruntime)")
    parser.add_argument(
        '--precision', choices=['fp32', 'fp16', 'bf16', 'int8'], default='fp32',
        help='precision of the computation, if the machine supports it; bf16 in OpenVINO only (%(default)s)',
    )  # fmt: skip
    parser.add_argument('-o', '--out', type=Path, metavar='FILE', help='(next to the checkpoint)')
    parser.add_argument('--data-root', help="folder of the manifest, for the checks (the config's own)")
    add_cfg_options(parser)
    args = parser.parse_args()
    engines = {suffix: engine for engine, suffix in SUFFIXES.items()}
    if args.out and args.out.suffix not in engines:
        parser.error(f'-o {args.out}: the suffix is unknown. Use one of {", ".join(engines)}.')
    if args.out and args.engine and args.out.suffix != SUFFIXES[args.engine]:
        parser.error(f'-o {args.out}: a file for {args.engine} ends in {SUFFIXES[args.engine]}. Rename it.')
    if not args.out:
        suffix = SUFFIXES[args.engine or 'onnxruntime']
        args.out = args.checkpoint.with_name(f'{args.checkpoint.stem}_{args.precision}{suffix}')
    if args.out.suffix == SUFFIXES['torch'] and args.precision != 'fp32':
        parser.error(f'--precision {args.precision}: {args.out} has the weights unchanged. Leave it out.')
    return args


def main(args: argparse.Namespace) -> None:
    """Export, and print the checks and the file."""
    from tvn_mmaction.config.loading import read_config
    from tvn_mmaction.datasets.manifest import check_data_root
    from tvn_mmaction.deploy.export.model_export import export_weights
    from tvn_mmaction.utils.output_paths import check_file

    check_file(args.out, '-o')
    if args.data_root:
        check_data_root(args.data_root)
    config = read_config(args.config, data_root=args.data_root, options=parse_options(args.cfg_options))
    if args.out.suffix == SUFFIXES['torch']:
        export_weights(args.checkpoint, config, args.out)
    else:
        export_network(config, args)
    print(f'written      {args.out}, {size_mb(args.out):.1f} MB')
    print(f'next: python tools/predict.py VIDEO --model {args.out}')


def export_network(config, args: argparse.Namespace) -> None:
    """Export for an engine other than PyTorch, and print the checks."""
    from tvn_mmaction.deploy.export.model_export import (
        CALIBRATION_CLIPS,
        FEW_CLIPS,
        MANY_CLIPS,
        export,
        labelled_clips,
        match_clips,
    )
    from tvn_mmaction.deploy.inference_network import load_network

    network, metadata = load_network(args.checkpoint, config)
    match_clips(config, args.checkpoint)
    check = labelled_clips(config, 'test_dataloader', count=FEW_CLIPS if args.precision == 'fp32' else MANY_CLIPS)
    calibration = labelled_clips(config, 'train_dataloader', CALIBRATION_CLIPS) if args.precision == 'int8' else None
    metadata = export(network, metadata, args.out, args.precision, check, calibration)
    result = metadata.provenance['export']
    checked = f'{result["check_clips"]} clips of the test' if result['check_clips'] else 'noise, as there are no clips'
    print(f'checked on   {checked}')
    print(f'scores       differ from those of PyTorch in fp32 by {result["largest_score_difference"]:.1e} at most')
    print(f'predictions  {result["same_answer"]:.1%} equal')
    if 'top1' in result:
        print(f'top-1        {result["top1"]:.1%}, of PyTorch in fp32 {result["top1_fp32"]:.1%}')


def size_mb(file: Path) -> float:
    """Return the size of a file, with the weights that OpenVINO writes next to it, in 10^6 bytes."""
    files = [file, file.with_suffix('.bin')] if file.suffix == '.xml' else [file]
    return sum(path.stat().st_size for path in files) / 1e6


if __name__ == '__main__':
    run(parse_args, main)
