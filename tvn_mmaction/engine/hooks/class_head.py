"""Hook that compares the classes of a checkpoint with those of a run before its weights are loaded."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from ...datasets.class_names import both_lists, check_same_classes, classes_in
from ...utils.console import console, warn
from ...utils.distributed import is_first_process
from ...utils.errors import UserError

REMEDY = 'Use the config and the classes that it was trained with, or start a training from it with load_from.'


class ClassHeadHook(Hook):
    """Lets a classifier start with random weights only in a training that starts from weights for other classes.

    All other weights of its `load_from` are loaded, and a line on the screen names both lists of classes. A test and a
    training that resumes need the same classes in the same order.

    Attributes:
        source: The file that the runner loads next, for messages.
    """

    priority = 'VERY_HIGH'  # before the average of weights takes them
    source = 'the checkpoint'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Check a checkpoint, and replace weights of a classifier for other classes by those of the network.

        Raises:
            UserError: It has other classes than the test or the resumed training.
        """
        is_training = not isinstance(runner._train_loop, dict) and runner._train_loop is not None
        loop = runner.train_loop if is_training else runner.test_loop or runner.val_loop
        ours = list(map(str, loop.dataloader.dataset.metainfo.get('classes') or ()))
        theirs = classes_in(checkpoint.get('meta') or {}, self.source)
        state = checkpoint.get('state_dict', checkpoint)
        network = runner.model.module if is_model_wrapper(runner.model) else runner.model
        initial = _for_other_classes(state, network, len(theirs) if ours and theirs not in ([], ours) else None)
        if not is_training or runner._resume:
            if theirs and ours:
                check_same_classes(self.source, theirs, 'the data set', ours, REMEDY)
            if initial:
                raise UserError(f'{self._counts(state, initial)}. {REMEDY}')
        elif is_first_process(runner.cfg.get('launcher', 'none')):
            if initial:
                known = both_lists(self.source, theirs, 'the data set', ours) if theirs and ours else None
                text = f'{known or self._counts(state, initial)}: the classifier starts with random weights'
                console.print(text, highlight=False, soft_wrap=True)
            elif ours and not theirs:
                warn(f'{self.source} has no class names: only the number of classes is compared')
        state.update(initial)

    def _counts(self, state: dict[str, Tensor], initial: dict[str, Tensor]) -> str:
        name, value = next(iter(initial.items()))
        there, here = ('x'.join(map(str, part.shape)) for part in (state[name], value))
        return f'{self.source} has another classifier than the network ({name} is {there} there and {here} here)'


def _for_other_classes(state: dict[str, Tensor], network: nn.Module, count: int | None) -> dict[str, Tensor]:
    """Return the network's own values of classifier weights of another shape, or for `count` differently named classes.

    The key is the name in `state`.
    """
    own, found = network.state_dict(), {}
    for name, value in state.items():
        inner = name.removeprefix('module.')
        in_classifier = inner in own and (inner.startswith('cls_head.') or '.aux_head.' in inner)
        if in_classifier and (value.shape != own[inner].shape or (value.ndim and len(value) == count)):
            found[name] = own[inner]
    return found
