"""Processes of distributed trainings, as their launchers start them."""

import os

# By launcher, the environment variables of its processes and the command that starts them.
LAUNCHERS = {
    'pytorch': (('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'), 'torchrun --nproc_per_node N tools/...'),
    'slurm': (('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'), 'srun'),
    'mpi': (('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE'), 'mpirun -n N'),
}


def is_first_process(launcher: str) -> bool:
    """Return whether this process is the only one or the first, even before the process group is initialised."""
    return launcher not in LAUNCHERS or os.environ.get(LAUNCHERS[launcher][0][0], '0') == '0'
