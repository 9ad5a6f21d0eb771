"""Faults for the tests, registered for configs: signals at a step, decoders that crash or hang."""

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
    """Records the batches of a run and sends a signal to its process at a step."""

    at: tuple[str, int] | None = None  # stage, and a step of 'train' or the epoch before 'val'
    batches: ClassVar[list[tuple[int, int]]] = []  # step, sum of all pixels

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        """Record a batch."""
        total = sum(int(inputs.sum(dtype=torch.int64)) for inputs in data_batch['inputs'])
        SignalHook.batches.append((runner.iter, total))
        if SignalHook.at == ('train', runner.iter):
            os.kill(os.getpid(), signal.SIGTERM)

    def before_val_epoch(self, runner):
        """Send the signal if this is its epoch."""
        if SignalHook.at == ('val', runner.epoch):
            os.kill(os.getpid(), signal.SIGTERM)


@TRANSFORMS.register_module()
class Trap(BaseTransform):
    """Decoder with a fault that a single clip causes."""

    kind = None

    def transform(self, results):
        """Crash or stop the process at the trapped clip."""
        if Path(results['filename']).name == TRAPPED:
            {
                'segfault': lambda: ctypes.string_at(0),
                'stands still': lambda: time.sleep(1000),
                'killed': lambda: os.kill(os.getpid(), signal.SIGKILL),
            }.get(Trap.kind, lambda: None)()
        return results
