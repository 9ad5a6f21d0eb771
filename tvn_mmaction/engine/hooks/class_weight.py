"""Hook that weights the loss of each class by its share of the training clips."""

import torch
from mmaction.models import CrossEntropyLoss
from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...utils.console import console
from ...utils.distributed import is_first_process
from ...utils.errors import UserError


@HOOKS.register_module()
class ClassWeightHook(Hook):
    """Weights the cross-entropy of each class inversely to its number of training clips, with a mean of 1 over clips.

    These are the weights of scikit-learn's `class_weight='balanced'`; a class without training clips has weight 0.
    """

    def before_train(self, runner: Runner) -> None:
        """Set the weights.

        Raises:
            UserError: The network has no cross-entropy loss.
        """
        dataset = runner.train_dataloader.dataset
        labels = torch.tensor([dataset.get_data_info(index)['label'] for index in range(len(dataset))])
        counts = labels.bincount(minlength=len(dataset.metainfo.get('classes') or ()))
        weights = torch.where(counts > 0, len(labels) / (counts.clamp(1) * (counts > 0).sum()), 0)
        losses = [part for part in runner.model.modules() if isinstance(part, CrossEntropyLoss)]
        if not losses:
            raise UserError(
                'class_weight is balanced, and the network has no CrossEntropyLoss. Leave class_weight out.'
            )
        for loss in losses:
            loss.class_weight = weights
        if is_first_process(runner.cfg.get('launcher', 'none')):
            console.print(
                f'class_weight: the loss of a clip is weighted by {weights.min():.2f} to {weights.max():.2f}, '
                'inversely to the training clips of its class',
                highlight=False,
                soft_wrap=True,
            )
