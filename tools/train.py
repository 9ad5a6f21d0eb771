"""Train the model of a config and test it.

python tools/train.py configs/tvn1_demo.py
torchrun --nproc_per_node 2 tools/train.py configs/tvn1_ucf50.py --launcher pytorch
"""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from command_line import ArgumentParser, add_cfg_options, config_file, next_command, parse_options, run

if TYPE_CHECKING:
    from mmengine.config import Config


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments; all but --data-root are those of MMAction2's own tool."""
    parser = ArgumentParser(description='Train the model of a config and test it.')
    parser.add_argument('config', type=config_file, help='the config, such as configs/tvn1_ucf50.py')
    parser.add_argument('--data-root', help="folder of the manifest (the config's own)")
    parser.add_argument('--work-dir', help='folder for checkpoints, logs and results (work_dirs/CONFIG)')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CHECKPOINT', help='resume (from the newest one)')
    parser.add_argument('--amp', action='store_true', help='train in mixed precision (bfloat16 on a CPU)')
    parser.add_argument('--no-validate', action='store_true', help='do not validate between epochs')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate by the batch size')
    parser.add_argument('--seed', type=int, help="seed of the training (the config's)")
    parser.add_argument('--deterministic', action='store_true', help='use deterministic algorithms only')
    add_cfg_options(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def main(args: argparse.Namespace) -> int:
    """Train, test, print the result and its files, and return 1 if test clips could not be read."""
    from tvn_mmaction.apis.train_test import train
    from tvn_mmaction.config.loading import configure_training, read_config
    from tvn_mmaction.evaluation.report import describe

    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    config = read_config(args.config, args.work_dir, args.data_root, parse_options(args.cfg_options))
    configure_training(
        config,
        resume=args.resume,
        amp=args.amp,
        validate=not args.no_validate,
        auto_scale_lr=args.auto_scale_lr,
        seed=args.seed,
        deterministic=args.deterministic,
        launcher=args.launcher,
    )
    try:
        result = train(config)
    except KeyboardInterrupt as interruption:
        raise type(interruption)(
            f'interrupted; the same command with --resume continues from the last checkpoint in {config.work_dir}'
        ) from None
    if result is None:
        return 0
    print(describe(result, config.work_dir))
    if step := next_step(args, config, Path(config.work_dir, result.checkpoint)):
        print(f'next: {step}')
    return int(bool(result.broken_clips['test']))


def next_step(args: argparse.Namespace, config: Config, checkpoint: Path) -> str | None:
    """Return the suggested next command, or None if the model cannot be used on its own."""
    from mmaction.models import Recognizer2D, Recognizer3D
    from mmaction.registry import MODELS

    from tvn_mmaction.deploy.inference_network import deployed_pipeline
    from tvn_mmaction.models.heads.frame_selector_head import FrameSelectorHead
    from tvn_mmaction.models.recognizers.early_exit_recognizer import EarlyExits
    from tvn_mmaction.utils.errors import UserError

    head = (config.model.get('cls_head') or {}).get('type', '')
    if issubclass(MODELS.get(head) or object, FrameSelectorHead):
        return next_command(args, 'select_frames', args.config, checkpoint)
    if issubclass(MODELS.get(config.model.type) or object, EarlyExits):
        return next_command(args, 'calibrate', args.config, checkpoint)
    if not issubclass(MODELS.get(config.model.type) or object, (Recognizer2D, Recognizer3D)):
        return None  # such as the audio network
    try:
        deployed_pipeline(config)
    except UserError:
        return None
    return f'python tools/predict.py VIDEO --model {shlex.quote(str(checkpoint))}'


if __name__ == '__main__':
    run(parse_args, main)
