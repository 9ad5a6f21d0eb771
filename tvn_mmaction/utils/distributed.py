"""TODO."""

import os

# By launcher, what its processes find in their environment, and how they are started.
LAUNCHERS = {
    'pytorch': (('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'), 'torchrun --nproc_per_node N tools/...'),
    'slurm': (('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'), 'srun'),
    'mpi': (('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE'), 'mpirun -n N'),
}


def is_first_process(launcher: str) -> bool:
    """Return whether this process is the only one or the first of several, also before they have met."""
    return launcher not in LAUNCHERS or os.environ.get(LAUNCHERS[launcher][0][0], '0') == '0'
