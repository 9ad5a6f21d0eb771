"""Epochs of a training, with which its schedule ends."""

from mmengine.config import Config

from ..utils.errors import UserError


def use_epochs(config: Config, epochs: int) -> None:
    """Change the epochs of the training, and let its schedule end with the last one.

    Raises:
        UserError: It does not train by epochs.
    """
    before = config.train_cfg.get('max_epochs')
    if before is None:
        raise UserError(f'{config.filename} trains by steps, not by epochs. Change its steps instead.')
    config.train_cfg.max_epochs = epochs
    if epochs != before:
        end_schedule(config, before)


def end_schedule(config: Config, before: int) -> None:
    """End with the last epoch what ended with epoch `before`, and leave out what would begin after the last one."""
    epochs = config.train_cfg.max_epochs
    schedule = config.get('param_scheduler') or []
    schedule = [schedule] if isinstance(schedule, dict) else schedule
    schedule = [part for part in schedule if not part.get('by_epoch', True) or part.get('begin', 0) < epochs]
    for part in (part for part in schedule if part.get('by_epoch', True)):
        begin, end = part.get('begin', 0), part.get('end', before)
        if 'end' in part:
            part.end = epochs if end == before else min(end, epochs)
        if part.get('T_max') == end - begin:
            part.T_max = part.get('end', epochs) - begin
        if 'milestones' in part:
            part.milestones = [max(1, round(milestone * epochs / before)) for milestone in part.milestones]
    config.param_scheduler = schedule
