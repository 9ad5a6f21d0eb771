"""What goes wrong in the tests, registered as a config asks for it."""

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import ClassVar

import torch
from mmaction.registry import HOOKS, TRANSFORMS
from mmcv.transforms import BaseTransform
from mmengine.hooks import Hook

TRAPPED = 'v_Diving_g08_c01.avi'  # in train


@HOOKS.register_module()
class SignalHook(Hook):
    """Notes the batches of a run, and sends its process a signal at a step."""

    at: tuple[str, int] | None = None  # a stage and, for 'train', a step, for 'val', the epoch behind it
    batches: ClassVar[list[tuple[int, int]]] = []  # step, sum of all pixels

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        """Note a batch."""
        total = sum(int(inputs.sum(dtype=torch.int64)) for inputs in data_batch['inputs'])
        SignalHook.batches.append((runner.iter, total))
        if SignalHook.at == ('train', runner.iter):
            os.kill(os.getpid(), signal.SIGTERM)

    def before_val_epoch(self, runner):
        """Send the signal where it is to come now."""
        if SignalHook.at == ('val', runner.epoch):
            os.kill(os.getpid(), signal.SIGTERM)


@TRANSFORMS.register_module()
class Trap(BaseTransform):
    """Stands for a decoder with a fault that shows with one clip."""

    kind = None

    def transform(self, results):
        """Do to the process what such a decoder would."""
        if Path(results['filename']).name == TRAPPED:
            {
                'segfault': lambda: ctypes.string_at(0),
                'stands still': lambda: time.sleep(1000),
                'killed': lambda: os.kill(os.getpid(), signal.SIGKILL),
            }.get(Trap.kind, lambda: None)()
        return results
