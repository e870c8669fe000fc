"""What the exact search costs beside faiss, call by call in turn, and what the approximate one saves and misses."""
from __future__ import annotations

import ctypes
import gc
import time
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from siamese_emotion_ros.recognition.approximate import ApproximateAnchors
from siamese_emotion_ros.recognition.neighbors import NearestAnchors, on_cache_lines

#: Classes of the made-up anchors.
N_CLASSES = 7

#: Dimensions in which the made-up embeddings vary, clusters that they lie in, and their noise in all dimensions.
INNER_DIMENSIONS, CLUSTERS, NOISE = 16, 64, 0.1

#: Each measurement calls a search again and again for at least this long [s].
SHORTEST = 0.01

#: Queries by which the approximate search's recall is found.
RECALL_QUERIES = 200

#: Memory is measured for embeddings of at least this many bytes: that of fewer is lost in the interpreter's own.
MEASURABLE = 32 << 20


class SearchCost(NamedTuple):
    """What searching N anchors costs for a number of faces at once; times are medians in ms, for all the faces.

    exact_ms, faiss_ms: NearestAnchors.query (k nearest and the nearest of each class) and faiss IndexFlatL2.search (k
    nearest). ratio: the median of exact / faiss over calls made in turn. memory: everything that making the exact
    search and asking it takes, embeddings included, over the embeddings; None where they are too few to tell.
    approximate_ms, recall: ApproximateAnchors, and the share of the k nearest that it finds; None where not measured.
    """

    anchors: int
    faces: int
    exact_ms: float
    faiss_ms: float
    ratio: float
    memory: Optional[float]
    approximate_ms: Optional[float]
    recall: Optional[float]


def made_up_embeddings(count: int, dimensions: int, seed: int) -> Tuple[np.ndarray, np.ndarray]:
    """Embeddings of length 1, float32 [count, dimensions], in clusters as those of faces are, and labels int64 [count].

    The clusters are the same for every seed, so that queries come from where the anchors come from.
    """
    shape = np.random.default_rng(0)
    spread = shape.normal(size=(INNER_DIMENSIONS, dimensions)).astype(np.float32)
    middles = shape.normal(size=(CLUSTERS, INNER_DIMENSIONS)).astype(np.float32)
    random = np.random.default_rng(seed)
    clusters = random.integers(0, CLUSTERS, count)
    embeddings = np.empty((count, dimensions), np.float32)
    for start in range(0, count, 1 << 16):
        part = clusters[start : start + (1 << 16)]
        inner = middles[part] + 0.5 * random.standard_normal((len(part), INNER_DIMENSIONS), np.float32)
        noisy = inner @ spread + NOISE * random.standard_normal((len(part), dimensions), np.float32)
        embeddings[start : start + len(part)] = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
    labels = np.where(random.random(count) < 0.7, clusters, random.integers(0, N_CLASSES, count)) % N_CLASSES
    labels[:N_CLASSES] = np.arange(N_CLASSES)
    return embeddings, labels


def measure_searches(
    sizes: Sequence[int],
    faces: Sequence[int] = (1, 8),
    k: int = 15,
    dimensions: int = 128,
    repeats: int = 25,
    threads: int = 1,
    approximate_from: Optional[int] = None,
    approximate: str = "ivf",
    told: Callable[[str], None] = lambda what: None,
) -> List[SearchCost]:
    """One row for each size and number of faces at once. `told` is called with what is being done.

    With one thread the clock is that of the thread, which other work on the machine hardly moves; with more it is the
    wall's. The `approximate` search (ivf or hnsw) is measured from `approximate_from` anchors on (None = never).
    ModuleNotFoundError where faiss is missing; ValueError for a size that has no room for every class and k.
    """
    import faiss
    import torch

    for size in sizes:
        if size < max(k, N_CLASSES):
            raise ValueError(f"{size} anchors: at least {max(k, N_CLASSES)} are needed for k {k}, {N_CLASSES} classes")
    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)
    clock = time.thread_time if threads == 1 else time.perf_counter
    rows: List[SearchCost] = []
    for size in sizes:
        told(f"making up {size:,} anchors")
        embeddings, labels = made_up_embeddings(size, dimensions, 1)
        embeddings = on_cache_lines(embeddings)  # as a gallery's are
        queries = made_up_embeddings(max(*faces, RECALL_QUERIES), dimensions, 2)[0]
        told(f"searching {size:,} anchors")
        exact, memory = _exact(embeddings, labels, queries[: max(faces)], k)
        index = faiss.IndexFlatL2(dimensions)
        index.add(embeddings)
        costs = []
        for count in faces:
            times = _in_turn((exact.query, index.search), queries[:count], k, repeats, clock)
            ours, faiss_s = np.median(times, axis=1).tolist()
            ratio = float(np.median(times[0] / times[1]))
            costs.append(SearchCost(size, count, 1000 * ours, 1000 * faiss_s, ratio, memory, None, None))
        del index
        if approximate_from is not None and size >= approximate_from:
            told(f"laying out {size:,} anchors for {approximate}")
            searched = ApproximateAnchors(embeddings, labels, N_CLASSES, approximate)
            wanted, found = exact.query(queries, k)[1], searched.query(queries, k)[1]
            recall = float(np.mean([np.isin(one, other).mean() for one, other in zip(wanted, found)]))
            for place, count in enumerate(faces):
                times = _in_turn((searched.query,), queries[:count], k, repeats, clock)
                costs[place] = costs[place]._replace(approximate_ms=1000 * float(np.median(times)), recall=recall)
        rows += costs
    return rows


def _in_turn(
    searches: Sequence[Callable[[np.ndarray, int], object]], queries: np.ndarray, k: int, repeats: int,
    clock: Callable[[], float],
) -> np.ndarray:
    """Seconds a call, float64 [searches, repeats]; they take turns, so that what disturbs one disturbs all."""
    often = []
    for search in searches:
        search(queries, k)
        start = clock()
        search(queries, k)
        often.append(max(1, int(SHORTEST / max(clock() - start, 1e-6))))
    times = np.empty((len(searches), repeats))
    for repeat in range(repeats):
        for place, search in enumerate(searches):
            start = clock()
            for _ in range(often[place]):
                search(queries, k)
            times[place, repeat] = (clock() - start) / often[place]
    return times


def _exact(
    embeddings: np.ndarray, labels: np.ndarray, queries: np.ndarray, k: int
) -> Tuple[NearestAnchors, Optional[float]]:
    """The exact search, made and asked once, and the memory of that; None where the kernel does not say."""
    gc.collect()
    before = _resident("VmRSS") if embeddings.nbytes >= MEASURABLE and _forget_peak() else None
    search = NearestAnchors(embeddings, labels, N_CLASSES)
    search.query(queries, k)
    if before is None:
        return search, None
    return search, 1 + (_resident("VmHWM") - before) / embeddings.nbytes


def _forget_peak() -> bool:
    """Give freed memory back, and have Linux count this process's peak from now on; False where that cannot be."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except (OSError, AttributeError):
        return False
    return True


def _resident(field: str) -> int:
    """Bytes that a field of /proc/self/status says."""
    with open("/proc/self/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(field))
