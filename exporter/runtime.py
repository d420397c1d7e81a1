"""What changes all the time about this process, read the short way: prometheus_client's collectors of the same would
take longer than everything else that a scrape does."""

from __future__ import annotations

import gc
import os
import resource

PAGE = os.sysconf("SC_PAGE_SIZE")  # bytes
CONSTANT = frozenset({"python_info", "process_start_time_seconds"})


class Runtime:
    """Values of process_* and python_gc_*, by the series as prometheus_client writes them. Linux alone has them all."""

    def __init__(self) -> None:
        try:
            self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._statm = -1

    def values(self) -> dict[str, float]:
        """Raises OSError where they cannot be had."""
        pages = os.pread(self._statm, 200, 0).split()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        values = {
            "process_virtual_memory_bytes": float(int(pages[0]) * PAGE),
            "process_resident_memory_bytes": float(int(pages[1]) * PAGE),
            "process_cpu_seconds_total": usage.ru_utime + usage.ru_stime,
            "process_open_fds": float(_open_files()),
            "process_max_fds": float(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        }
        for number, generation in enumerate(gc.get_stats()):
            labels = f'{{generation="{number}"}}'
            values[f"python_gc_objects_collected_total{labels}"] = float(generation["collected"])
            values[f"python_gc_objects_uncollectable_total{labels}"] = float(generation["uncollectable"])
            values[f"python_gc_collections_total{labels}"] = float(generation["collections"])
        return values


def _open_files() -> int:
    """Linux 6.2 and later say it as the folder's size, earlier ones 0."""
    return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))
